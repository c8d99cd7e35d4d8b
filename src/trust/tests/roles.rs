//! What a certificate must be to stand in a role.

use super::*;

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
