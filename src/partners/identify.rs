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
mod tests;
