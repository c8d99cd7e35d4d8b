//! Who is on the other end: from a TLS certificate, a bearer token or an address to a [`Caller`].
//!
//! A certificate identifies only by being bound, byte for byte, to a partner. That it chains to an anchor is a condition,
//! never an identity.

use std::{net::IpAddr, sync::Arc};

use super::{Directory, Partner, SecretKind};
use crate::{
    clock::Moment,
    config::{PartnerKind, Role},
    refusal::{Code, Refusal},
    trust::{Anchors, Fingerprint},
};

/// How a caller was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By its TLS certificate.
    Certificate,
    /// By the network it comes from.
    Network,
    /// By its bearer token.
    Token,
}

impl How {
    /// The word for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Network => "network",
            Self::Token => "token",
        }
    }
}

/// Somebody who is known and may come. Only this room makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    partner: Arc<Partner>,
    fingerprint: Option<Fingerprint>,
    how: How,
}

impl Caller {
    /// Who it is.
    pub const fn partner(&self) -> &Arc<Partner> {
        &self.partner
    }

    /// The TLS certificate, when there was one.
    pub const fn fingerprint(&self) -> Option<&Fingerprint> {
        self.fingerprint.as_ref()
    }

    /// How it was known.
    pub const fn how(&self) -> How {
        self.how
    }
}

impl Directory {
    /// Who is on a connection of a partner face.
    ///
    /// Judging a binding walks its chain and verifies signatures. Ask once for each connection and snapshot, and keep the
    /// [`Caller`]; not once for each request.
    ///
    /// # Errors
    /// In this order: `ID-001` not bound, or bound to a service; `ID-002` bound in another role; `ID-008`, `ID-004`,
    /// `ID-005` the partner's own state; `ID-003` the binding is not usable.
    pub fn identify_tls(
        &self,
        leaf_der: &[u8],
        anchors: &Anchors,
        now: Moment,
    ) -> Result<Caller, Refusal> {
        let leaf = Fingerprint::of(leaf_der);
        let unbound = |cause: String| Refusal::new(Code::CertificateUnbound, cause);
        let Some((partner, _)) = self.by_leaf(&leaf) else {
            return Err(unbound(format!(
                "the certificate {leaf} is bound to nobody"
            )));
        };
        if partner.kind() == PartnerKind::Service {
            let cause = format!(
                "the certificate {leaf} is that of the service {}",
                partner.id()
            );
            return Err(unbound(cause));
        }
        admit(partner, leaf, anchors, now)
    }

    /// The partner that a TLS certificate is bound to, whatever its state: to address a refusal, never to admit.
    pub fn known(&self, leaf_der: &[u8]) -> Option<Caller> {
        let leaf = Fingerprint::of(leaf_der);
        let (partner, _) = self.by_leaf(&leaf)?;
        partner.certificates().find_in(Role::Tls, &leaf)?;
        Some(Caller {
            partner: Arc::clone(partner),
            fingerprint: Some(leaf),
            how: How::Certificate,
        })
    }

    /// Who sends a request on a service face. What is presented must be right: a wrong token or certificate is refused,
    /// even where the network alone would have been enough, and a token and a certificate must be of the same service.
    ///
    /// # Errors
    /// `ID-006` no service has this token, certificate or network; else as [`Directory::identify_tls`].
    pub fn identify_service(
        &self,
        peer: IpAddr,
        bearer: Option<&str>,
        leaf_der: Option<&[u8]>,
        anchors: &Anchors,
        now: Moment,
    ) -> Result<Caller, Refusal> {
        let by_token = bearer.map(|token| self.by_token(token)).transpose()?;
        let by_leaf = leaf_der
            .map(|der| self.by_service_leaf(der, anchors, now))
            .transpose()?;
        let caller = match (by_token, by_leaf) {
            (Some(service), Some(caller)) if service.id() != caller.partner.id() => {
                let (a, b) = (service.id(), caller.partner.id());
                let cause = format!("the token is that of {a}, the certificate that of {b}");
                return Err(Refusal::new(Code::ServiceUnknown, cause));
            }
            (_, Some(caller)) => caller,
            (Some(service), None) => Caller {
                partner: Arc::clone(service),
                fingerprint: None,
                how: How::Token,
            },
            (None, None) => {
                let service = self.by_network(peer)?;
                Caller {
                    partner: Arc::clone(service),
                    fingerprint: None,
                    how: How::Network,
                }
            }
        };
        caller.partner.standing(now)?;
        Ok(caller)
    }

    /// The partner that a path names, which must be the one that is connected.
    ///
    /// # Errors
    /// `ID-007` it is another one, `ID-008` there is no such partner.
    pub fn named(&self, caller: &Caller, id: &str) -> Result<(), Refusal> {
        if caller.partner.id().as_str() == id {
            return Ok(());
        }
        let connected = caller.partner.id();
        Err(match self.partner(id) {
            Some(other) => {
                let cause = format!("{connected} is connected, the path names {}", other.id());
                Refusal::new(Code::PartnerMismatch, cause)
            }
            None => Refusal::new(
                Code::PartnerUnknown,
                format!("{connected} names a partner that is not registered"),
            ),
        })
    }

    /// Compares every token of every service, so that the time tells nothing.
    fn by_token(&self, presented: &str) -> Result<&Arc<Partner>, Refusal> {
        let unknown = || Refusal::new(Code::ServiceUnknown, "no service has this bearer token");
        let hash = self
            .hash(SecretKind::Token, presented)
            .ok_or_else(unknown)?;
        let mut found = None;
        for (token, service) in &self.tokens {
            if bool::from(token.fits(&hash)) {
                found = Some(service);
            }
        }
        found.ok_or_else(unknown)
    }

    fn by_service_leaf(
        &self,
        der: &[u8],
        anchors: &Anchors,
        now: Moment,
    ) -> Result<Caller, Refusal> {
        let leaf = Fingerprint::of(der);
        let unknown = |cause: String| Refusal::new(Code::ServiceUnknown, cause);
        let Some((partner, _)) = self.by_leaf(&leaf) else {
            return Err(unknown(format!(
                "the certificate {leaf} is bound to nobody"
            )));
        };
        if partner.kind() != PartnerKind::Service {
            let cause = format!(
                "the certificate {leaf} is that of the partner {}, not of a service",
                partner.id()
            );
            return Err(unknown(cause));
        }
        if !partner.access().certificate() {
            return Err(unknown(format!(
                "{} is not known by certificate",
                partner.id()
            )));
        }
        admit(partner, leaf, anchors, now)
    }

    fn by_network(&self, peer: IpAddr) -> Result<&Arc<Partner>, Refusal> {
        (self.networks.iter())
            .find(|(network, _)| network.contains(peer))
            .map(|(_, service)| service)
            .ok_or_else(|| {
                Refusal::new(
                    Code::ServiceUnknown,
                    format!("no service is known at {peer}"),
                )
            })
    }
}

/// Role, state, binding: in this order.
fn admit(
    partner: &Arc<Partner>,
    leaf: Fingerprint,
    anchors: &Anchors,
    now: Moment,
) -> Result<Caller, Refusal> {
    let Some(binding) = partner.certificates().find_in(Role::Tls, &leaf) else {
        let cause = format!(
            "the certificate {leaf} of {} is not bound to the connection",
            partner.id()
        );
        return Err(Refusal::new(Code::CertificateRole, cause));
    };
    partner.standing(now)?;
    binding.judge(anchors, now).map_err(|unusable| {
        let cause = format!("the certificate {leaf} of {}: {unusable}", partner.id());
        Refusal::new(Code::CertificateUnusable, cause)
    })?;
    Ok(Caller {
        partner: Arc::clone(partner),
        fingerprint: Some(leaf),
        how: How::Certificate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partners::testing::{ANCHORED, NOW, World, certificate, partner};

    fn code<T>(answer: Result<T, Refusal>) -> Option<Code> {
        answer.err().map(|refusal| refusal.code())
    }

    /// A partner `p-1` with a TLS and a signature certificate; the DER of both.
    fn one_partner(state: &str) -> (World, Vec<u8>, Vec<u8>) {
        let world = World::new();
        let tls = world.leaf("tls", "p-1 Ltd");
        let signature = world.leaf("signature", "p-1 Ltd");
        let text = partner("p-1")
            + state
            + ANCHORED
            + &certificate("tls", "tls")
            + &certificate("signature", "signature");
        world.write("p-1.toml", &text);
        (world, tls, signature)
    }

    #[test]
    fn a_bound_tls_certificate_is_its_partner() {
        let (world, tls, _) = one_partner("");
        let caller = world
            .directory()
            .identify_tls(&tls, world.anchors(), NOW)
            .unwrap();
        assert_eq!(caller.partner().id().as_str(), "p-1");
        assert_eq!(caller.fingerprint(), Some(&Fingerprint::of(&tls)));
        assert_eq!(caller.how(), How::Certificate);
    }

    #[test]
    fn an_unbound_certificate_of_the_right_name_and_ca_is_a_stranger() {
        let (world, _, _) = one_partner("");
        let twin = world.leaf("tls-twin", "p-1 Ltd");
        let answer = world.directory().identify_tls(&twin, world.anchors(), NOW);
        assert_eq!(code(answer), Some(Code::CertificateUnbound));
    }

    #[test]
    fn a_certificate_of_another_role_is_refused_as_such() {
        let (world, _, signature) = one_partner("");
        let answer = world
            .directory()
            .identify_tls(&signature, world.anchors(), NOW);
        assert_eq!(code(answer), Some(Code::CertificateRole));
    }

    #[test]
    fn a_certificate_bound_in_two_roles_may_come_when_one_of_them_is_tls() {
        let world = World::new();
        let shared = world.leaf("tls", "p-1 Ltd");
        let text = partner("p-1") + "insecure_shared_keys = true\n" + ANCHORED;
        world.write(
            "p.toml",
            &(text + &certificate("signature", "tls") + &certificate("tls", "tls")),
        );
        let directory = world.directory();
        assert_eq!(
            directory
                .by_leaf(&Fingerprint::of(&shared))
                .unwrap()
                .1
                .role(),
            Role::Signature
        );
        assert!(
            directory
                .identify_tls(&shared, world.anchors(), NOW)
                .is_ok()
        );
    }

    #[test]
    fn each_state_of_a_partner_has_its_answer() {
        for (state, answer) in [
            ("state = \"active\"\n", None),
            ("state = \"inactive\"\n", Some(Code::PartnerInactive)),
            ("state = \"deleted\"\n", Some(Code::PartnerUnknown)),
        ] {
            let (world, tls, _) = one_partner(state);
            assert_eq!(
                code(world.directory().identify_tls(&tls, world.anchors(), NOW)),
                answer
            );
        }
        let (world, tls, _) = one_partner(
            "valid_from = \"2027-01-01T00:00:00Z\"\nvalid_until = \"2027-02-01T00:00:00Z\"\n",
        );
        let directory = world.directory();
        let (first, last) = (Moment::from_s(1_798_761_600), Moment::from_s(1_801_440_000));
        for (moment, answer) in [
            (first.plus_ms(-1), Some(Code::PartnerNotValid)),
            (first, None),
            (last, None),
            (last.plus_ms(1), Some(Code::PartnerNotValid)),
        ] {
            assert_eq!(
                code(directory.identify_tls(&tls, world.anchors(), moment)),
                answer,
                "{moment:?}"
            );
        }
    }

    #[test]
    fn a_wrong_role_is_told_before_the_partners_state_and_the_state_before_the_binding() {
        let (world, _, signature) = one_partner("state = \"inactive\"\n");
        let answer = world
            .directory()
            .identify_tls(&signature, world.anchors(), NOW);
        assert_eq!(code(answer), Some(Code::CertificateRole));
        for (state, expected) in [
            ("state = \"inactive\"\n", Code::PartnerInactive),
            ("", Code::CertificateUnusable),
        ] {
            let world = World::new();
            let tls = world.leaf("tls", "Another Organisation");
            world.write(
                "p.toml",
                &(partner("p-1") + state + ANCHORED + &certificate("tls", "tls")),
            );
            assert_eq!(
                code(world.directory().identify_tls(&tls, world.anchors(), NOW)),
                Some(expected)
            );
        }
    }

    #[test]
    fn a_certificate_of_another_ca_than_the_partners_is_unusable() {
        let world = World::new();
        let tls = world.leaf("tls", "p-1 Ltd");
        let other = ANCHORED.replace("\"ca\"", "\"other\"");
        world.write(
            "p.toml",
            &(partner("p-1") + &other + &certificate("tls", "tls")),
        );
        let answer = world.directory().identify_tls(&tls, world.anchors(), NOW);
        assert_eq!(code(answer), Some(Code::CertificateUnusable));
    }

    /// Services: `by-token` (token `t-1`), `by-net` (10.0.0.0/8), `by-leaf` (certificate, and token `t-2`); a partner `p-1`.
    fn services() -> (World, Vec<u8>, Vec<u8>) {
        let world = World::new();
        let of_service = world.leaf("tls-s", "by-leaf Ltd");
        let of_partner = world.leaf("tls-p", "p-1 Ltd");
        let hash = |secret: &str| World::hash(SecretKind::Token, secret);
        let access = |id: &str, access: &str| {
            format!("{}kind = \"service\"\n[access]\n{access}\n", partner(id))
        };
        world.write(
            "1.toml",
            &access("by-token", &format!("token_hashes = [\"{}\"]", hash("t-1"))),
        );
        world.write("2.toml", &access("by-net", "networks = [\"10.0.0.0/8\"]"));
        let both = format!("certificate = true\ntoken_hashes = [\"{}\"]", hash("t-2"));
        world.write(
            "3.toml",
            &(access("by-leaf", &both) + ANCHORED + &certificate("tls", "tls-s")),
        );
        world.write(
            "4.toml",
            &(partner("p-1") + ANCHORED + &certificate("tls", "tls-p")),
        );
        (world, of_service, of_partner)
    }

    const INSIDE: &str = "::ffff:10.1.2.3";
    const OUTSIDE: &str = "192.0.2.1";

    fn known(
        world: &World,
        peer: &str,
        bearer: Option<&str>,
        leaf: Option<&[u8]>,
    ) -> Result<(String, How), Code> {
        world
            .directory()
            .identify_service(peer.parse().unwrap(), bearer, leaf, world.anchors(), NOW)
            .map(|caller| (caller.partner().id().to_string(), caller.how()))
            .map_err(|refusal| refusal.code())
    }

    #[test]
    fn a_service_is_known_by_token_certificate_or_network() {
        let (world, leaf, _) = services();
        let id = |id: &str, how| Ok((id.to_owned(), how));
        assert_eq!(
            known(&world, OUTSIDE, Some("t-1"), None),
            id("by-token", How::Token)
        );
        assert_eq!(
            known(&world, OUTSIDE, None, Some(&leaf)),
            id("by-leaf", How::Certificate)
        );
        assert_eq!(
            known(&world, INSIDE, None, None),
            id("by-net", How::Network)
        );
        assert_eq!(
            known(&world, INSIDE, Some("t-1"), None),
            id("by-token", How::Token)
        );
        assert_eq!(
            known(&world, INSIDE, Some("t-2"), Some(&leaf)),
            id("by-leaf", How::Certificate)
        );
        assert_eq!(
            known(&world, OUTSIDE, None, None),
            Err(Code::ServiceUnknown)
        );
    }

    #[test]
    fn a_wrong_token_is_refused_even_from_a_network_that_is_admitted() {
        let (world, leaf, _) = services();
        for bad in ["", "t-", "t-11", "T-1", "t-3", &"t".repeat(5000)] {
            assert_eq!(
                known(&world, INSIDE, Some(bad), None),
                Err(Code::ServiceUnknown),
                "{bad}"
            );
            assert_eq!(
                known(&world, INSIDE, Some(bad), Some(&leaf)),
                Err(Code::ServiceUnknown),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_wrong_certificate_is_refused_even_from_a_network_that_is_admitted() {
        let (world, _, of_partner) = services();
        let stranger = world.leaf("tls-x", "by-leaf Ltd");
        for bad in [stranger.as_slice(), &of_partner, b"not a certificate"] {
            assert_eq!(
                known(&world, INSIDE, None, Some(bad)),
                Err(Code::ServiceUnknown)
            );
            assert_eq!(
                known(&world, INSIDE, Some("t-1"), Some(bad)),
                Err(Code::ServiceUnknown)
            );
        }
    }

    #[test]
    fn token_and_certificate_of_two_services_are_refused() {
        let (world, leaf, _) = services();
        assert_eq!(
            known(&world, OUTSIDE, Some("t-1"), Some(&leaf)),
            Err(Code::ServiceUnknown)
        );
    }

    #[test]
    fn a_service_is_no_partner_and_a_certificate_counts_only_where_the_service_says_so() {
        let (world, leaf, _) = services();
        let answer = world.directory().identify_tls(&leaf, world.anchors(), NOW);
        assert_eq!(code(answer), Some(Code::CertificateUnbound));
        let text = std::fs::read_to_string(world.path("3.toml")).unwrap();
        world.write("3.toml", &text.replace("certificate = true", ""));
        assert_eq!(
            known(&world, OUTSIDE, None, Some(&leaf)),
            Err(Code::ServiceUnknown)
        );
    }

    #[test]
    fn a_service_that_is_switched_off_is_told_so_however_it_comes() {
        let (world, leaf, _) = services();
        for file in ["1.toml", "2.toml", "3.toml"] {
            let text = std::fs::read_to_string(world.path(file)).unwrap();
            world.write(
                file,
                &text.replace("[access]", "state = \"inactive\"\n[access]"),
            );
        }
        assert_eq!(
            known(&world, OUTSIDE, Some("t-1"), None),
            Err(Code::PartnerInactive)
        );
        assert_eq!(
            known(&world, INSIDE, None, None),
            Err(Code::PartnerInactive)
        );
        assert_eq!(
            known(&world, OUTSIDE, None, Some(&leaf)),
            Err(Code::PartnerInactive)
        );
    }

    #[test]
    fn the_partner_in_the_path_is_the_one_that_is_connected() {
        let (world, tls, _) = one_partner("");
        world.write("p-2.toml", &partner("p-2"));
        let directory = world.directory();
        let caller = directory.identify_tls(&tls, world.anchors(), NOW).unwrap();
        assert_eq!(code(directory.named(&caller, "p-1")), None);
        assert_eq!(
            code(directory.named(&caller, "p-2")),
            Some(Code::PartnerMismatch)
        );
        assert_eq!(
            code(directory.named(&caller, "P-1")),
            Some(Code::PartnerUnknown)
        );
        assert_eq!(
            code(directory.named(&caller, "")),
            Some(Code::PartnerUnknown)
        );
    }
}
