//! What a chain must be to end at an anchor.

use super::*;

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
