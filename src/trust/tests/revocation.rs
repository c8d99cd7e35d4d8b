//! Revocation: which lists are taken, and what they do, to the second.

use super::*;

#[test]
fn a_revoked_certificate_is_refused_in_every_role() {
    let ca = Ca::root("root");
    for (role, leaf) in [
        (Role::Tls, Leaf::tls()),
        (Role::Signature, Leaf::signature()),
        (Role::Encryption, Leaf::encryption()),
    ] {
        let der = ca.issue(&leaf);
        let mut world = World::new();
        world.anchor("a", &[&ca.der], &[&ca.list(&[&leaf.serial], 3600)]);
        let anchors = world.anchors();
        let party = world.bound(&anchors, role, &der);
        let binding = &party.bindings()[0];
        assert!(matches!(
            binding.judge(&anchors, NOW),
            Err(Unusable::Revoked { .. })
        ));
        let view = binding.revocation(&anchors, NOW);
        assert_eq!(view.standing, Standing::Revoked);
        assert_eq!(party.usable(role, &anchors, NOW).count(), 0);
    }
}

#[test]
fn a_negative_serial_is_revoked_by_itself_and_not_by_its_positive_twin() {
    let ca = Ca::root("root");
    let leaf = Leaf::mosip();
    let (positive, negative) = ([2, 8, 0x1a, 1], [2, 8, 0x9a, 1]);
    let der = ca.resign(&ca.issue(&leaf), &positive, &negative);
    let list = ca.list(&[&leaf.serial], 3600);
    let own = ca.resign(&list, &positive, &negative);
    let mut twin_serial = leaf.serial.clone();
    twin_serial[0] = 0x9a;
    let twin = ca.list(&[&twin_serial], 3600);
    for (list, revoked) in [(own, true), (twin, false)] {
        let mut world = World::new();
        world.anchor("a", &[&ca.der], &[&list]);
        let anchors = world.anchors();
        let party = world.bound(&anchors, Role::Signature, &der);
        let verdict = party.bindings()[0].judge(&anchors, NOW);
        assert_eq!(verdict.is_err(), revoked, "{verdict:?}");
    }
}

#[test]
fn a_revoked_issuer_takes_everything_below_it_along() {
    let root = Ca::root("root");
    let issuing = root.below_with("issuing", |p| {
        p.serial_number = Some(rcgen::SerialNumber::from_slice(&[7, 7]));
    });
    let lists = [root.list(&[&[7, 7]], 3600), issuing.list(&[], 3600)];
    let mut world = World::new();
    world.anchor("a", &[&root.der, &issuing.der], &[&lists[0], &lists[1]]);
    let anchors = world.anchors();
    for (role, leaf) in [
        (Role::Tls, Leaf::tls()),
        (Role::Signature, Leaf::signature()),
    ] {
        let party = world.bound(&anchors, role, &issuing.issue(&leaf));
        assert!(matches!(
            party.bindings()[0].judge(&anchors, NOW),
            Err(Unusable::Revoked { .. })
        ));
    }
}

#[test]
fn a_list_is_used_until_the_last_second_of_its_grace() {
    let ca = Ca::root("root");
    for (role, leaf) in [
        (Role::Tls, Leaf::tls()),
        (Role::Signature, Leaf::signature()),
    ] {
        let der = ca.issue(&leaf);
        let mut world = World::new();
        world.anchor("a", &[&ca.der], &[&ca.list(&[], 100)]).grace_s = 50;
        let anchors = world.anchors();
        let party = world.bound(&anchors, role, &der);
        let binding = &party.bindings()[0];
        let look = |now| {
            let view = binding.revocation(&anchors, now);
            (
                view.standing,
                view.left_s,
                binding.judge(&anchors, now).is_ok(),
            )
        };
        assert_eq!(look(at(100)), (Standing::Good, Some(50), true));
        assert_eq!(look(at(101)), (Standing::Stale, Some(49), true));
        assert_eq!(look(at(150)), (Standing::Stale, Some(0), true));
        assert_eq!(look(at(151)), (Standing::Stale, Some(-1), false));
        assert_eq!(
            binding.judge(&anchors, at(151)),
            Err(Unusable::RevocationStale {
                issuer: "CN=root".to_owned(),
                deadline: at(150)
            })
        );
        assert_eq!(binding.next_change(&anchors, NOW), Some(at(101)));
        assert_eq!(binding.next_change(&anchors, at(101)), Some(at(151)));
    }
}

#[test]
fn a_revoked_certificate_stays_revoked_when_the_list_is_stale() {
    let ca = Ca::root("root");
    let leaf = Leaf::signature();
    let mut world = World::new();
    world
        .anchor("a", &[&ca.der], &[&ca.list(&[&leaf.serial], 100)])
        .grace_s = 50;
    let anchors = world.anchors();
    let party = world.bound(&anchors, Role::Signature, &ca.issue(&leaf));
    for now in [at(120), at(1000)] {
        assert!(matches!(
            party.bindings()[0].judge(&anchors, now),
            Err(Unusable::Revoked { .. })
        ));
    }
}

#[test]
fn a_missing_list_refuses_what_it_would_cover() {
    let root = Ca::root("root");
    let issuing = root.below("issuing");
    let mut world = World::new();
    world.anchor("a", &[&root.der, &issuing.der], &[&root.list(&[], 3600)]);
    let (anchors, mistakes) = world.read();
    assert!(!mistakes.refuse() && says(&mistakes, "no list of `CN=issuing`"));
    for (role, leaf) in [
        (Role::Tls, Leaf::tls()),
        (Role::Signature, Leaf::signature()),
    ] {
        let party = world.bound(&anchors, role, &issuing.issue(&leaf));
        assert_eq!(
            party.bindings()[0].judge(&anchors, NOW),
            Err(Unusable::RevocationUnknown {
                issuer: "CN=issuing".to_owned()
            })
        );
    }
}

#[test]
fn required_revocation_without_any_list_is_an_error_and_refuses() {
    let ca = Ca::root("root");
    let mut world = World::new();
    world.anchor("a", &[&ca.der], &[]);
    let (anchors, mistakes) = world.read();
    assert!(mistakes.refuse() && says(&mistakes, "insecure_none"));
    let party = world.bound(&anchors, Role::Tls, &ca.issue(&Leaf::tls()));
    assert!(party.bindings()[0].judge(&anchors, NOW).is_err());
}

#[test]
fn without_revocation_nothing_is_asked_and_it_is_said_loudly() {
    let ca = Ca::root("root");
    let mut world = World::new();
    world.anchor("a", &[&ca.der], &[]).revocation = Revocation::InsecureNone;
    let (anchors, mistakes) = world.read();
    assert!(says(&mistakes, "are not noticed"));
    let party = world.bound(&anchors, Role::Tls, &ca.issue(&Leaf::tls()));
    let binding = &party.bindings()[0];
    assert_eq!(binding.judge(&anchors, NOW), Ok(()));
    let view = binding.revocation(&anchors, NOW);
    assert_eq!(view.standing, Standing::Unchecked);
}

#[test]
fn of_two_lists_of_one_issuer_the_newest_that_has_begun_counts() {
    let ca = Ca::root("root");
    let leaf = Leaf::signature();
    let der = ca.issue(&leaf);
    let old = ca.list_with(&[], -1000, 3600);
    let new = ca.list_with(&[&leaf.serial], 100, 3600);
    for lists in [[&old[..], &new], [&new, &old]] {
        let mut world = World::new();
        world.anchor("a", &[&ca.der], &lists);
        let anchors = world.anchors();
        let party = world.bound(&anchors, Role::Signature, &der);
        let binding = &party.bindings()[0];
        assert_eq!(binding.judge(&anchors, at(99)), Ok(()));
        assert!(binding.judge(&anchors, at(100)).is_err());
        assert_eq!(binding.next_change(&anchors, NOW), Some(at(100)));
    }
}

#[test]
fn lists_that_are_forged_partial_or_unreadable_are_errors() {
    let (ca, twin) = (Ca::root("root"), Ca::root("root"));
    let other = Ca::root("other");
    let mut altered = ca.list(&[], 3600);
    let last = altered.len() - 1;
    altered[last] ^= 1;
    let mut partial = rcgen::CertificateRevocationListParams {
        this_update: time::OffsetDateTime::from_unix_timestamp(NOW.s() - 60).unwrap(),
        next_update: time::OffsetDateTime::from_unix_timestamp(NOW.s() + 60).unwrap(),
        crl_number: rcgen::SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    partial.issuing_distribution_point = Some(rcgen::CrlIssuingDistributionPoint {
        distribution_point: rcgen::CrlDistributionPoint {
            uris: vec!["http://crl.example/1".to_owned()],
        },
        scope: None,
    });
    let partial = partial.signed_by(&ca.issuer()).unwrap().der().to_vec();
    for (list, why) in [
        (twin.list(&[], 3600), "does not bear its issuer's signature"),
        (other.list(&[], 3600), "none of the anchor's certificates"),
        (altered, "does not bear its issuer's signature"),
        (partial, "lists of a part are not read"),
        (b"not a list".to_vec(), "holds no revocation list"),
        (ca.der.clone(), "not an X.509 revocation list"),
    ] {
        let mut world = World::new();
        world.anchor("a", &[&ca.der], &[&list]);
        let (_, mistakes) = world.read();
        assert!(mistakes.refuse() && says(&mistakes, why), "{mistakes}");
    }
}

#[test]
fn a_list_signed_by_a_certificate_that_may_not_sign_lists_is_an_error() {
    let ca = Ca::root_with("root", |p| {
        p.key_usages = vec![KeyUsagePurpose::KeyCertSign]
    });
    let mut forged = Ca::usurp(&Leaf::mosip(), &ca.der);
    forged.params = ca.params.clone();
    forged.params.key_usages = vec![KeyUsagePurpose::CrlSign];
    forged.key = rcgen::KeyPair::try_from(ca.key.serialized_der()).unwrap();
    let mut world = World::new();
    world.anchor("a", &[&ca.der], &[&forged.list(&[], 3600)]);
    let (_, mistakes) = world.read();
    assert!(mistakes.refuse() && says(&mistakes, "may not sign lists"));
}

#[test]
fn a_list_past_its_grace_is_a_warning_when_it_is_loaded() {
    let ca = Ca::root("root");
    let mut world = World::new();
    world.anchor("a", &[&ca.der], &[&ca.list_with(&[], -3600, -60)]);
    let (anchors, mistakes) = world.read();
    assert!(!mistakes.refuse() && says(&mistakes, "everything it covers is refused"));
    let party = world.bound(&anchors, Role::Signature, &ca.issue(&Leaf::signature()));
    assert!(matches!(
        party.bindings()[0].judge(&anchors, NOW),
        Err(Unusable::RevocationStale { .. })
    ));
}

#[test]
fn no_cut_and_no_turned_byte_of_a_list_is_taken() {
    let ca = Ca::root("root");
    let issuer = Certificate::from_der(ca.der.clone()).unwrap();
    let list = ca.list(&[&[5]], 3600);
    let read = |der: &[u8]| {
        let issuers = std::iter::once(&issuer);
        super::super::revocation::RevocationList::read(der, "crl".as_ref(), issuers, 0)
    };
    assert!(read(&list).is_ok());
    for cut in 0..list.len() {
        assert!(read(&list[..cut]).is_err());
        for bits in [0x01, 0x80, 0xff] {
            let mut turned = list.clone();
            turned[cut] ^= bits;
            assert!(read(&turned).is_err(), "byte {cut} ^ {bits:02x}");
        }
    }
}
