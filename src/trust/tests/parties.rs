//! A party's certificates together.

use super::*;

#[test]
fn a_binding_holds_no_longer_than_it_says_and_than_its_certificate() {
    let ca = Ca::root("root");
    let mut world = World::of(&ca);
    let anchors = world.anchors();
    let der = ca.issue(&Leaf::signature());
    let dates = |from: &str, until: &str| {
        let (from, until) = (from.to_owned(), until.to_owned());
        move |_: usize, raw: &mut crate::config::PeerCertificate| {
            raw.valid_from = Some(from.clone());
            raw.valid_until = Some(until.clone());
        }
    };
    let cut = dates("2026-05-31T23:59:50Z", "2026-06-01T02:00:10+02:00");
    let (party, _) = world.party(&anchors, "a", &[(Role::Signature, &der)], cut, false);
    let binding = &party.bindings()[0];
    assert_eq!(
        (binding.valid_from(), binding.valid_until()),
        (at(-10), at(10))
    );
    assert_eq!(binding.judge(&anchors, NOW), Ok(()));
    assert!(binding.judge(&anchors, at(11)).is_err());
    assert_eq!(binding.next_change(&anchors, NOW), Some(at(11)));

    let wide = dates("2000-01-01T00:00:00Z", "2999-01-01T00:00:00Z");
    let (party, _) = world.party(&anchors, "a", &[(Role::Signature, &der)], wide, false);
    let binding = &party.bindings()[0];
    assert_eq!(binding.valid_until(), binding.certificate().not_after());

    let wrong = dates("01.06.2026", "2026-06-01T00:00:10Z");
    let (_, mistakes) = world.party(&anchors, "a", &[(Role::Signature, &der)], wrong, false);
    assert!(mistakes.refuse() && says(&mistakes, "RFC 3339"));
}

#[test]
fn one_key_in_two_roles_is_an_error_unless_it_is_allowed_loudly() {
    let ca = Ca::root("root");
    let mut world = World::of(&ca);
    let anchors = world.anchors();
    let mut leaf = Leaf::mosip();
    leaf.spki = Some(rsa_spki(2048));
    let one = ca.issue(&leaf);
    leaf.serial = vec![2];
    let two = ca.issue(&leaf);
    for second in [&one, &two] {
        let roles: [(Role, &[u8]); 2] = [(Role::Signature, &one), (Role::Encryption, second)];
        let (party, mistakes) = world.party(&anchors, "a", &roles, |_, _| {}, false);
        assert_eq!(mistakes.errors(), 1, "{mistakes}");
        for binding in party.bindings() {
            assert!(matches!(
                binding.judge(&anchors, NOW),
                Err(Unusable::SharedKey { .. })
            ));
        }
        let (party, mistakes) = world.party(&anchors, "a", &roles, |_, _| {}, true);
        assert!(!mistakes.refuse() && says(&mistakes, "INSECURE"));
        for binding in party.bindings() {
            assert_eq!(binding.judge(&anchors, NOW), Ok(()));
        }
    }
    let fingerprint = Fingerprint::of(&one);
    let roles: [(Role, &[u8]); 2] = [(Role::Signature, &one), (Role::Encryption, &one)];
    let (party, _) = world.party(&anchors, "a", &roles, |_, _| {}, true);
    for role in [Role::Signature, Role::Encryption] {
        let found = party.find_in(role, &fingerprint);
        assert_eq!(found.map(Binding::role), Some(role));
    }
    assert!(party.find_in(Role::Tls, &fingerprint).is_none());
    let twice: [(Role, &[u8]); 2] = [(Role::Signature, &one), (Role::Signature, &one)];
    let (_, mistakes) = world.party(&anchors, "a", &twice, |_, _| {}, true);
    assert!(says(&mistakes, "listed twice"));
}

#[test]
fn a_key_of_two_parties_is_found() {
    let ca = Ca::root("root");
    let mut world = World::of(&ca);
    let anchors = world.anchors();
    let mut leaf = Leaf::signature();
    let one = world.bound(&anchors, Role::Signature, &ca.issue(&leaf));
    leaf.serial = vec![2];
    let der = ca.issue(&leaf);
    let anchors_raw = crate::config::RoleAnchors::default();
    let certificates = [crate::config::PeerCertificate {
        role: Role::Signature,
        file: world.file(&der),
        algorithm: None,
        valid_from: None,
        valid_until: None,
        chain: None,
    }];
    let spec = PartySpec {
        id: "partner-2",
        organisation: ORGANISATION,
        certificates: &certificates,
        anchors: &anchors_raw,
        insecure_shared_keys: false,
    };
    let (two, _) = report(|r| PartyCertificates::build(spec, &anchors, r, NOW));
    assert!(shared_between_parties([&one].into_iter()).is_empty());
    assert_eq!(
        shared_between_parties([&one, &two].into_iter()),
        [(
            Fingerprint::of(&der),
            "partner-1".to_owned(),
            "partner-2".to_owned()
        )]
    );
}

#[test]
fn of_overlapping_certificates_the_newest_usable_one_comes_first() {
    let ca = Ca::root("root");
    let mut world = World::of(&ca);
    let anchors = world.anchors();
    let made = |from_s| {
        let mut leaf = Leaf::signature();
        leaf.from_s = from_s;
        ca.issue(&leaf)
    };
    let (old, new, coming) = (made(-1000), made(-10), made(50));
    let all: [(Role, &[u8]); 3] = [
        (Role::Signature, &old),
        (Role::Signature, &new),
        (Role::Signature, &coming),
    ];
    let (party, mistakes) = world.party(&anchors, "a", &all, |_, _| {}, false);
    assert!(mistakes.0.is_empty(), "{mistakes}");
    let order = |now| -> Vec<Fingerprint> {
        party
            .usable(Role::Signature, &anchors, now)
            .map(Binding::fingerprint)
            .collect()
    };
    let of = |ders: &[&Vec<u8>]| -> Vec<Fingerprint> {
        ders.iter().map(|d| Fingerprint::of(d)).collect()
    };
    assert_eq!(order(NOW), of(&[&new, &old]));
    assert_eq!(order(at(50)), of(&[&coming, &new, &old]));
    assert_eq!(party.next_change(&anchors, NOW), Some(at(50)));
}

#[test]
fn the_algorithm_is_the_keys_own_and_another_is_an_error() {
    let ca = Ca::root("root");
    let mut world = World::of(&ca);
    let anchors = world.anchors();
    let mut rsa = Leaf::signature();
    rsa.spki = Some(spki_of(
        &rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap(),
    ));
    let (rsa, p256) = (ca.issue(&rsa), ca.issue(&Leaf::signature()));
    for (der, wished, given) in [
        (&rsa, None, Some(Algorithm::RS256)),
        (&rsa, Some(Algorithm::PS256), Some(Algorithm::PS256)),
        (&rsa, Some(Algorithm::ES256), None),
        (&p256, None, Some(Algorithm::ES256)),
        (&p256, Some(Algorithm::EdDSA), None),
    ] {
        let (party, mistakes) = world.party(
            &anchors,
            "a",
            &[(Role::Signature, der)],
            |_, raw| raw.algorithm = wished,
            false,
        );
        let key = party.bindings()[0].verifying_key();
        assert_eq!(key.map(crate::keys::VerifyingKey::algorithm), given);
        assert_eq!(mistakes.refuse(), given.is_none(), "{mistakes}");
    }
}
