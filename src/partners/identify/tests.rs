//! Who is known, and every way of not being it.

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
    let access =
        |id: &str, access: &str| format!("{}kind = \"service\"\n[access]\n{access}\n", partner(id));
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
