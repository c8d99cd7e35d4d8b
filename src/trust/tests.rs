//! What the rules refuse, each by its near miss.

use rcgen::{BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

use super::testing::*;
use super::*;
use crate::config::{Algorithm, Mistakes, Revocation, Role};

/// The verdict on one certificate under one fresh root.
fn verdict(role: Role, leaf: &Leaf) -> Result<(), Unusable> {
    let ca = Ca::root("root");
    verdict_of(&ca, role, &ca.issue(leaf), NOW)
}

fn verdict_of(ca: &Ca, role: Role, der: &[u8], now: Moment) -> Result<(), Unusable> {
    let mut world = World::of(ca);
    let anchors = world.anchors();
    let party = world.bound(&anchors, role, der);
    party.bindings()[0].judge(&anchors, now)
}

fn usage(verdict: &Result<(), Unusable>) -> bool {
    matches!(verdict, Err(Unusable::Usage(_)))
}

fn no_path(verdict: &Result<(), Unusable>) -> bool {
    matches!(
        verdict,
        Err(Unusable::NoPath(_) | Unusable::UnknownIssuer(_))
    )
}

fn says(mistakes: &Mistakes, what: &str) -> bool {
    mistakes.to_string().contains(what)
}

#[test]
fn a_certificate_in_its_own_role_is_usable() {
    assert_eq!(verdict(Role::Tls, &Leaf::tls()), Ok(()));
    assert_eq!(verdict(Role::Signature, &Leaf::signature()), Ok(()));
    assert_eq!(verdict(Role::Encryption, &Leaf::encryption()), Ok(()));
}

#[test]
fn a_certificate_in_another_role_is_refused() {
    assert!(usage(&verdict(Role::Signature, &Leaf::tls())));
    assert!(usage(&verdict(Role::Encryption, &Leaf::tls())));
    assert!(usage(&verdict(Role::Encryption, &Leaf::signature())));
    assert!(usage(&verdict(Role::Signature, &Leaf::encryption())));
    assert!(usage(&verdict(Role::Tls, &Leaf::encryption())));
    let mut server = Leaf::tls();
    server.purposes = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert_eq!(verdict(Role::Tls, &server), Ok(()));
    server.purposes = vec![ExtendedKeyUsagePurpose::CodeSigning];
    assert!(usage(&verdict(Role::Tls, &server)));
}

#[test]
fn the_right_name_under_another_ca_is_refused() {
    let (ours, twin) = (Ca::root("root"), Ca::root("root"));
    for (role, leaf) in [
        (Role::Tls, Leaf::tls()),
        (Role::Signature, Leaf::signature()),
    ] {
        assert!(no_path(&verdict_of(&ours, role, &twin.issue(&leaf), NOW)));
    }
}

#[test]
fn a_chain_to_an_anchor_of_somebody_else_is_refused() {
    let (ours, theirs) = (Ca::root("ours"), Ca::root("theirs"));
    let mut world = World::of(&ours);
    world.anchor("b", &[&theirs.der], &[&theirs.list(&[], 3600)]);
    let anchors = world.anchors();
    for (role, leaf) in [
        (Role::Tls, Leaf::tls()),
        (Role::Signature, Leaf::signature()),
    ] {
        let der = theirs.issue(&leaf);
        let party = world.bound(&anchors, role, &der);
        assert!(no_path(&party.bindings()[0].judge(&anchors, NOW)));
        let (party, _) = world.party(&anchors, "b", &[(role, &der)], |_, _| {}, false);
        assert_eq!(party.bindings()[0].judge(&anchors, NOW), Ok(()));
    }
}

#[test]
fn a_certificate_is_expired_from_the_second_after_its_end() {
    let ca = Ca::root("root");
    for (role, mut leaf) in [
        (Role::Tls, Leaf::tls()),
        (Role::Signature, Leaf::signature()),
    ] {
        leaf.from_s = -10;
        leaf.until_s = 10;
        let der = ca.issue(&leaf);
        let judge = |now| verdict_of(&ca, role, &der, now);
        assert_eq!(judge(at(10).plus_ms(999)), Ok(()));
        assert_eq!(judge(at(11)), Err(Unusable::Expired(at(10))));
        assert_eq!(judge(at(-10)), Ok(()));
        assert_eq!(judge(at(-10).plus_ms(-1)), Err(Unusable::NotYet(at(-10))));
    }
}

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
fn a_leaf_as_mosip_re_signs_it_may_sign_and_be_encrypted_to_but_not_speak_tls() {
    let ca = Ca::root("root");
    let mut leaf = Leaf::mosip();
    leaf.spki = Some(rsa_spki(2048));
    let positive = ca.issue(&leaf);
    let negative = ca.resign(&positive, &[2, 8, 0x1a, 1], &[2, 8, 0x9a, 1]);
    let read = Certificate::from_der(negative.clone()).unwrap();
    assert_eq!(read.serial_hex(), "-65fefdfcfbfaf9f9");
    for der in [&positive, &negative] {
        assert_eq!(verdict_of(&ca, Role::Signature, der, NOW), Ok(()));
        assert_eq!(verdict_of(&ca, Role::Encryption, der, NOW), Ok(()));
        assert!(usage(&verdict_of(&ca, Role::Tls, der, NOW)));
    }
}

#[test]
fn a_certificate_issued_below_a_partners_leaf_is_refused() {
    let ca = Ca::root("root");
    let parent = Leaf::mosip();
    let parent_der = ca.issue(&parent);
    let below = Ca::usurp(&parent, &parent_der);
    for (role, leaf) in [
        (Role::Signature, Leaf::signature()),
        (Role::Tls, Leaf::tls()),
    ] {
        // With the parent in its own file, and under lists of every kind, it is still nobody's leaf.
        let pem = [below.issue(&leaf), parent_der.clone()]
            .map(|der| pem(&der))
            .concat();
        assert!(verdict_of(&ca, role, pem.as_bytes(), NOW).is_err());
    }
    let pem = [below.issue(&Leaf::signature()), parent_der]
        .map(|der| pem(&der))
        .concat();
    assert!(no_path(&verdict_of(
        &ca,
        Role::Signature,
        pem.as_bytes(),
        NOW
    )));
}

#[test]
fn a_partners_leaf_among_an_anchors_certificates_is_an_error() {
    let ca = Ca::root("root");
    let leaf = Leaf::mosip();
    let der = ca.issue(&leaf);
    let mut world = World::new();
    world.anchor("a", &[&ca.der, &der], &[&ca.list(&[], 3600)]);
    let anchors = world.anchors();
    // The very certificate, and another one with the same key.
    let mut renewed = leaf;
    renewed.serial = vec![9];
    for der in [&der, &ca.issue(&renewed)] {
        let (party, mistakes) =
            world.party(&anchors, "a", &[(Role::Signature, der)], |_, _| {}, false);
        assert!(says(&mistakes, "could issue certificates for others"));
        assert_eq!(
            party.bindings()[0].judge(&anchors, NOW),
            Err(Unusable::Issuer)
        );
    }
}

#[test]
fn an_intermediate_counts_only_from_the_anchors_files() {
    let root = Ca::root("root");
    let issuing = root.below("issuing");
    let lists = [root.list(&[], 3600), issuing.list(&[], 3600)];
    for (role, leaf) in [
        (Role::Signature, Leaf::signature()),
        (Role::Tls, Leaf::tls()),
    ] {
        let der = issuing.issue(&leaf);
        let mut world = World::new();
        world.anchor("a", &[&root.der, &issuing.der], &[&lists[0], &lists[1]]);
        let anchors = world.anchors();
        let party = world.bound(&anchors, role, &der);
        assert_eq!(party.bindings()[0].judge(&anchors, NOW), Ok(()));

        let pem = [der, issuing.der.clone()].map(|der| pem(&der)).concat();
        let verdict = verdict_of(&root, role, pem.as_bytes(), NOW);
        match role {
            Role::Signature => assert!(no_path(&verdict)),
            // TLS follows the chain, and then misses the list of an issuer that is not configured.
            _ => assert!(matches!(verdict, Err(Unusable::RevocationUnknown { .. }))),
        }
    }
}

#[test]
fn issuers_must_be_cas_and_keep_their_path_length() {
    let root = Ca::root("root");
    let tight = Ca::root_with("tight", |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let no_sign = Ca::root_with("no sign", |p| {
        p.key_usages = vec![KeyUsagePurpose::CrlSign];
    });
    let gone = root.below_with("gone", |p| {
        p.not_after = time::OffsetDateTime::from_unix_timestamp(NOW.s() - 1).unwrap();
    });
    let ordinary = tight.below("ordinary");
    let critical = root.below_with("critical", |p| {
        let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![5, 0]);
        unknown.set_criticality(true);
        p.custom_extensions = vec![unknown];
    });
    for (top, middle, why) in [
        (&tight, Some(&ordinary), "longer than it allows"),
        (&no_sign, None, "may not sign"),
        (&root, Some(&gone), "was valid until"),
        (
            &root,
            Some(&critical),
            "unknown critical extension 1.3.6.1.4.1.1",
        ),
    ] {
        let mut world = World::new();
        let certificates: Vec<&[u8]> = [Some(top), middle]
            .into_iter()
            .flatten()
            .map(|c| &c.der[..])
            .collect();
        world.anchor("a", &certificates, &[]).revocation = Revocation::InsecureNone;
        let anchors = world.anchors();
        let der = middle.unwrap_or(top).issue(&Leaf::signature());
        let party = world.bound(&anchors, Role::Signature, &der);
        let verdict = party.bindings()[0].judge(&anchors, NOW);
        let Err(Unusable::NoPath(told)) = &verdict else {
            panic!("{verdict:?}");
        };
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn a_leaf_with_an_unknown_critical_extension_is_refused() {
    let mut leaf = Leaf::signature();
    let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![5, 0]);
    leaf.extensions = vec![unknown.clone()];
    assert_eq!(verdict(Role::Signature, &leaf), Ok(()));
    unknown.set_criticality(true);
    leaf.extensions = vec![unknown];
    assert!(no_path(&verdict(Role::Signature, &leaf)));
}

#[test]
fn a_path_may_be_six_certificates_long_and_no_longer() {
    let mut cas = vec![Ca::root("0")];
    for i in 1..6 {
        let next = cas.last().unwrap().below(&i.to_string());
        cas.push(next);
    }
    let ders: Vec<&[u8]> = cas.iter().map(|c| &c.der[..]).collect();
    let mut world = World::new();
    world.anchor("a", &ders, &[]).revocation = Revocation::InsecureNone;
    let anchors = world.anchors();
    let judge = |world: &mut World, ca: &Ca| {
        let der = ca.issue(&Leaf::signature());
        world.bound(&anchors, Role::Signature, &der).bindings()[0].judge(&anchors, NOW)
    };
    assert_eq!(judge(&mut world, &cas[4]), Ok(()));
    assert!(no_path(&judge(&mut world, &cas[5])));
}

#[test]
fn keys_that_are_too_small_or_of_the_wrong_kind_are_refused() {
    let with = |spki| {
        let mut leaf = Leaf::mosip();
        leaf.spki = Some(spki);
        leaf
    };
    let small = |v| matches!(v, Err(Unusable::KeySize(_)));
    for role in [Role::Signature, Role::Encryption] {
        assert!(small(verdict(role, &with(rsa_spki(1024)))));
        assert!(small(verdict(role, &with(rsa_spki(2040)))));
        assert_eq!(verdict(role, &with(rsa_spki(2048))), Ok(()));
    }
    let made = |algorithm| spki_of(&rcgen::KeyPair::generate_for(algorithm).unwrap());
    let ed25519 = || with(made(&rcgen::PKCS_ED25519));
    let p384 = || with(made(&rcgen::PKCS_ECDSA_P384_SHA384));
    assert!(small(verdict(Role::Encryption, &ed25519())));
    assert_eq!(verdict(Role::Signature, &ed25519()), Ok(()));
    assert!(small(verdict(Role::Signature, &p384())));
    assert_eq!(verdict(Role::Encryption, &p384()), Ok(()));
}

#[test]
fn the_organisation_must_be_the_partys_to_the_letter() {
    for wrong in [Some("example registry"), Some("Example Registry "), None] {
        let mut leaf = Leaf::signature();
        leaf.organisation = wrong.map(str::to_owned);
        assert_eq!(
            verdict(Role::Signature, &leaf),
            Err(Unusable::Organisation {
                expected: ORGANISATION.to_owned(),
                found: wrong.map(str::to_owned),
            })
        );
    }
}

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

#[test]
fn every_mistake_in_the_anchors_names_what_to_do() {
    let ca = Ca::root("root");
    let below = ca.below("issuing");
    let leaf = ca.issue(&Leaf::tls());
    let mut world = World::new();
    world.anchor("a", &[&ca.der, &leaf], &[&ca.list(&[], 60)]);
    world.anchor("a", &[b"nonsense"], &[&ca.list(&[], 60)]);
    world.anchor("c", &[&below.der], &[&below.list(&[], 60)]);
    world.anchor("d", &[], &[]).certificates = vec!["/nonexistent".into()];
    let (_, mistakes) = world.read();
    for what in [
        "is not a CA certificate",
        "another anchor `a`",
        "holds no certificate",
        "none of the certificates is self-signed",
        "cannot be read",
    ] {
        assert!(says(&mistakes, what), "{what}:\n{mistakes}");
    }
}

#[test]
fn an_issuers_sha1_signature_is_refused_before_it_is_tried() {
    let ca = Ca::root_with_key("root", rsa_key(), |_| {});
    let der = ca.issue(&Leaf::signature());
    assert_eq!(verdict_of(&ca, Role::Signature, &der, NOW), Ok(()));
    // sha256WithRSAEncryption becomes sha1WithRSAEncryption, inside and outside.
    let (sha256, sha1) = ([0xf7, 0x0d, 1, 1, 0x0b], [0xf7, 0x0d, 1, 1, 0x05]);
    let mut old = der.clone();
    while let Some(place) = old.windows(5).position(|w| w == sha256) {
        old[place..place + 5].copy_from_slice(&sha1);
    }
    let verdict = verdict_of(&ca, Role::Signature, &old, NOW);
    assert!(
        matches!(&verdict, Err(Unusable::NoPath(why)) if why.contains("algorithm")),
        "{verdict:?}"
    );
    // One of the two alone is not a certificate.
    let mut half = der;
    let place = half.windows(5).position(|w| w == sha256).unwrap();
    half[place..place + 5].copy_from_slice(&sha1);
    assert!(matches!(
        Certificate::from_der(half),
        Err(CertificateError::Form)
    ));
}

#[test]
fn an_altered_certificate_is_refused_though_its_names_fit() {
    let ca = Ca::root("root");
    for (role, leaf) in [
        (Role::Tls, Leaf::tls()),
        (Role::Signature, Leaf::signature()),
    ] {
        let mut der = ca.issue(&leaf);
        let place = der.windows(4).position(|w| w == [2, 8, 0x1a, 1]).unwrap();
        der[place + 5] ^= 1;
        assert!(no_path(&verdict_of(&ca, role, &der, NOW)));
    }
}

#[test]
fn a_self_signed_leaf_is_refused() {
    let ca = Ca::root("root");
    let leaf = Leaf::signature();
    let own = Ca::usurp(&leaf, &[]);
    let der = own.params.self_signed(&own.key).unwrap().der().to_vec();
    assert!(no_path(&verdict_of(&ca, Role::Signature, &der, NOW)));
}

#[test]
fn every_cut_and_every_turned_byte_of_a_certificate_is_read_without_a_panic() {
    let ca = Ca::root("root");
    let anchors = World::of(&ca).anchors();
    let anchor = anchors.get("a").unwrap();
    let der = ca.issue(&Leaf::mosip());
    for cut in 0..der.len() {
        assert!(Certificate::from_der(der[..cut].to_vec()).is_err());
        for bits in [0x01, 0x80, 0xff] {
            let mut turned = der.clone();
            turned[cut] ^= bits;
            if let Ok(read) = Certificate::from_der(turned) {
                let verdict = path::find(&read, anchor, NOW, &|_| Ok(()));
                assert!(no_path(&verdict), "byte {cut} ^ {bits:02x}");
            }
        }
    }
}
