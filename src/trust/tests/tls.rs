//! The verifiers that handshakes ask.

use std::sync::Arc;

use rustls::{CertificateError as TlsCertificateError, Error, crypto::aws_lc_rs::default_provider};
use rustls_pki_types::{CertificateDer, ServerName};

use super::*;
use crate::clock::Moment;

fn shown_as_client(
    world: &World,
    names: &[&str],
    chain: &[Vec<u8>],
    now: Moment,
) -> Result<(), Error> {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let verifier = client_verifier(&names, &Arc::new(world.read().0), &default_provider()).unwrap();
    assert!(verifier.client_auth_mandatory());
    let chain: Vec<CertificateDer<'_>> = chain
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    verifier
        .verify_client_cert(&chain[0], &chain[1..], now.to_pki_time())
        .map(|_| ())
}

const fn refused(reason: TlsCertificateError) -> Result<(), Error> {
    Err(Error::InvalidCertificate(reason))
}

#[test]
fn a_client_is_admitted_until_its_list_is_past_its_grace() {
    let ca = Ca::root("root");
    let mut world = World::new();
    world.anchor("a", &[&ca.der], &[&ca.list(&[], 100)]).grace_s = 50;
    let leaf = [ca.issue(&Leaf::tls())];
    for (now, verdict) in [
        (at(100), Ok(())),
        (at(101), Ok(())),
        (at(150), Ok(())),
        (
            at(151),
            refused(TlsCertificateError::UnknownRevocationStatus),
        ),
    ] {
        assert_eq!(shown_as_client(&world, &["a"], &leaf, now), verdict);
    }
}

#[test]
fn a_revoked_client_is_refused_and_another_anchor_is_no_excuse() {
    let (ca, other) = (Ca::root("root"), Ca::root("other"));
    let revoked = Leaf::tls();
    let mut world = World::new();
    world.anchor("a", &[&ca.der], &[&ca.list(&[&revoked.serial], 100)]);
    world.anchor("b", &[&other.der], &[]).revocation = Revocation::InsecureNone;
    for names in [&["a"][..], &["a", "b"], &["b", "a"]] {
        assert_eq!(
            shown_as_client(&world, names, &[ca.issue(&revoked)], NOW),
            refused(TlsCertificateError::Revoked)
        );
    }
    let theirs = [other.issue(&revoked)];
    assert_eq!(shown_as_client(&world, &["a", "b"], &theirs, NOW), Ok(()));
    assert_eq!(
        shown_as_client(&world, &["a"], &theirs, NOW),
        refused(TlsCertificateError::UnknownIssuer)
    );
}

#[test]
fn an_anchor_without_lists_admits_nobody() {
    let ca = Ca::root("root");
    let mut world = World::new();
    world.anchor("a", &[&ca.der], &[]);
    assert_eq!(
        shown_as_client(&world, &["a"], &[ca.issue(&Leaf::tls())], NOW),
        refused(TlsCertificateError::UnknownRevocationStatus)
    );
}

#[test]
fn a_client_may_leave_out_the_anchors_intermediates() {
    let root = Ca::root("root");
    let issuing = root.below("issuing");
    let lists = [root.list(&[], 100), issuing.list(&[], 100)];
    let mut world = World::new();
    world.anchor("a", &[&root.der, &issuing.der], &[&lists[0], &lists[1]]);
    let leaf = issuing.issue(&Leaf::tls());
    let alone = [leaf.clone()];
    let whole = [leaf, issuing.der.clone(), root.der.clone()];
    assert_eq!(shown_as_client(&world, &["a"], &alone, NOW), Ok(()));
    assert_eq!(shown_as_client(&world, &["a"], &whole, NOW), Ok(()));
}

#[test]
fn a_ca_leaf_and_a_servers_certificate_are_no_clients() {
    let ca = Ca::root("root");
    let world = World::of(&ca);
    let mut server = Leaf::tls();
    server.purposes = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for leaf in [server, Leaf::mosip()] {
        assert_eq!(
            shown_as_client(&world, &["a"], &[ca.issue(&leaf)], NOW),
            refused(TlsCertificateError::InvalidPurpose)
        );
    }
}

#[test]
fn a_root_is_judged_by_its_own_end_too() {
    let ca = Ca::root_with("root", |p| {
        p.not_after = time::OffsetDateTime::from_unix_timestamp(at(10).s()).unwrap();
    });
    let world = World::of(&ca);
    let leaf = [ca.issue(&Leaf::tls())];
    assert_eq!(shown_as_client(&world, &["a"], &leaf, at(10)), Ok(()));
    assert_eq!(
        shown_as_client(&world, &["a"], &leaf, at(11)),
        refused(TlsCertificateError::UnknownIssuer)
    );
}

#[test]
fn a_server_must_have_the_name_that_was_called() {
    let ca = Ca::root("root");
    let world = World::of(&ca);
    let mut leaf = Leaf::tls();
    leaf.purposes = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let der = ca.issue(&leaf);
    let verifier = server_verifier(
        &["a".to_owned()],
        &Arc::new(world.anchors()),
        &default_provider(),
    )
    .unwrap();
    let verify = |name: &str| {
        verifier
            .verify_server_cert(
                &CertificateDer::from(der.as_slice()),
                &[],
                &ServerName::try_from(name.to_owned()).unwrap(),
                &[],
                NOW.to_pki_time(),
            )
            .map(|_| ())
    };
    assert_eq!(verify("partner.example"), Ok(()));
    assert_eq!(
        verify("partner.example.org"),
        refused(TlsCertificateError::NotValidForName)
    );
}

#[test]
fn a_verifier_without_any_root_is_not_made() {
    let world = World::of(&Ca::root("root"));
    let made = client_verifier(
        &["b".to_owned()],
        &Arc::new(world.anchors()),
        &default_provider(),
    );
    assert!(made.is_err());
}
