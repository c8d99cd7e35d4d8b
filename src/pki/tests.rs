//! The room as a whole: what a plan makes, in memory and on disk.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
};

use rustls::{
    CertificateError, RootCertStore,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use super::{authority::read_certificate, *};
use crate::{clock::Moment, config::Role};

const NOW: Moment = Moment::from_s(1_800_000_000);

/// The standard plan with keys that are made at once.
fn quick_plan() -> Plan {
    let mut plan = Plan::standard(NOW);
    plan.authority_algorithm = Algorithm::P256;
    for party in &mut plan.parties {
        party.algorithms = Algorithms {
            tls: Algorithm::P256,
            encryption: Algorithm::P256,
            signature: Algorithm::P256,
        };
    }
    plan
}

/// rustls' own verdict about a client certificate under the TLS anchor and all lists.
fn tls_verdict(built: &Built, issued: &Issued) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(
            built.hierarchy.root.certificate_der().to_vec(),
        ))
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier: Arc<dyn ClientCertVerifier> =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(
                built
                    .lists
                    .iter()
                    .map(|(_, der)| CertificateRevocationListDer::from(der.clone())),
            )
            .enforce_revocation_expiration()
            .build()
            .unwrap();
    let chain: Vec<CertificateDer<'_>> = issued
        .chain_der
        .iter()
        .map(|der| CertificateDer::from(der.clone()))
        .collect();
    verifier
        .verify_client_cert(&chain[0], &chain[1..], NOW.to_pki_time())
        .map(|_| ())
}

#[test]
fn rustls_takes_every_partys_tls_certificate_and_refuses_the_twins_it_can_tell() {
    let built = build(&quick_plan()).unwrap();
    for party in &built.parties {
        tls_verdict(&built, &party.tls).unwrap();
        // MOSIP's form is no TLS certificate: CA:TRUE is refused as an end entity.
        assert!(tls_verdict(&built, &party.signature).is_err());
    }
    let refusal = |kind| tls_verdict(&built, &built.twin(kind).unwrap().party.tls);
    let is = |kind, expected: CertificateError| {
        let found = refusal(kind).unwrap_err();
        assert_eq!(found, rustls::Error::InvalidCertificate(expected), "{kind}");
    };
    assert!(matches!(
        refusal(TwinKind::Expired),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::ExpiredContext { .. }
        ))
    ));
    assert!(matches!(
        refusal(TwinKind::NotYetValid),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYetContext { .. }
        ))
    ));
    is(TwinKind::Revoked, CertificateError::Revoked);
    is(TwinKind::OtherRoot, CertificateError::BadSignature);
    is(
        TwinKind::BelowPartner,
        CertificateError::UnknownRevocationStatus,
    );
    // What only bindings, usage and organisation can tell passes here: the gateway must not stop at the TLS verifier.
    for kind in [
        TwinKind::RoleSwapped,
        TwinKind::OtherOrganisation,
        TwinKind::SharedKey,
    ] {
        refusal(kind).unwrap();
    }
}

/// All ways in which a certificate is not what the party's should be.
fn wrongs(built: &Built, plan: &Plan, party: &Party, role: Role) -> BTreeSet<&'static str> {
    let of = plan
        .parties
        .iter()
        .find(|of| Some(&of.id) == plan.twins_of.as_ref())
        .unwrap();
    let der = &party.issued(role).certificate_der;
    let certificate = read_certificate(der).unwrap();
    let by = Hierarchy::issuer_for(of.kind, role);
    let authority = built.hierarchy.authority(by);
    let issuer = read_certificate(authority.certificate_der()).unwrap();
    let mut wrongs = BTreeSet::new();
    if certificate.issuer().as_raw() != issuer.subject().as_raw() {
        wrongs.insert("below-partner");
    } else if certificate
        .verify_signature(Some(issuer.public_key()))
        .is_err()
    {
        wrongs.insert("other-root");
    }
    if certificate.validity().not_after.timestamp() < NOW.s() {
        wrongs.insert("expired");
    }
    if certificate.validity().not_before.timestamp() > NOW.s() {
        wrongs.insert("not-yet-valid");
    }
    let list = built.list(by).unwrap();
    if authority
        .read_crl(list)
        .unwrap()
        .revoked
        .iter()
        .any(|line| line.serial == Serial::of(der).unwrap())
    {
        wrongs.insert("revoked");
    }
    if certificate
        .subject()
        .iter_organization()
        .next()
        .unwrap()
        .as_str()
        .unwrap()
        != of.organisation
    {
        wrongs.insert("other-organisation");
    }
    let usage = *certificate.key_usage().unwrap().unwrap().value;
    let fits = match role {
        Role::Tls => {
            usage.digital_signature() && certificate.extended_key_usage().unwrap().is_some()
        }
        Role::Encryption => usage.key_encipherment() || usage.key_agreement(),
        Role::Signature => usage.digital_signature(),
    };
    if !fits {
        wrongs.insert("role-swapped");
    }
    let other_keys = ROLES
        .into_iter()
        .filter(|other| *other != role)
        .map(|other| party.issued(other).key.spki_der());
    if other_keys
        .into_iter()
        .any(|spki| spki == party.issued(role).key.spki_der())
    {
        wrongs.insert("shared-key");
    }
    assert_eq!(
        certificate.public_key().raw,
        party.issued(role).key.spki_der(),
        "the key is its own"
    );
    wrongs
}

#[test]
fn a_wrong_twin_is_wrong_in_exactly_one_way_in_each_role() {
    let plan = quick_plan();
    let built = build(&plan).unwrap();
    let right = built.party("crvs").unwrap();
    assert_eq!(built.twins.len(), TwinKind::ALL.len());
    for role in ROLES {
        assert_eq!(wrongs(&built, &plan, right, role), BTreeSet::new());
        for twin in &built.twins {
            let found = wrongs(&built, &plan, &twin.party, role);
            let expected = match (twin.kind, role) {
                (TwinKind::SharedKey, Role::Tls) => BTreeSet::new(),
                (kind, _) => BTreeSet::from([kind.as_str()]),
            };
            assert_eq!(found, expected, "{} {}", twin.kind, role.as_str());
        }
    }
}

#[test]
fn no_two_certificates_share_a_key_but_those_of_the_shared_key_twin() {
    let built = build(&quick_plan()).unwrap();
    let mut seen = HashSet::new();
    let twins = built
        .twins
        .iter()
        .filter(|twin| twin.kind != TwinKind::SharedKey)
        .map(|twin| &twin.party);
    for party in built.parties.iter().chain(twins) {
        for role in ROLES {
            assert!(
                seen.insert(party.issued(role).key.spki_der()),
                "{} {}",
                party.id,
                role.as_str()
            );
        }
    }
}

#[test]
fn a_partners_certificate_has_the_form_mosip_gives_it() {
    let built = build(&quick_plan()).unwrap();
    let party = built.party("misp").unwrap();
    let certificate = read_certificate(&party.signature.certificate_der).unwrap();
    let constraints = certificate.basic_constraints().unwrap().unwrap();
    assert!(
        constraints.critical
            && constraints.value.ca
            && constraints.value.path_len_constraint.is_none()
    );
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    // digitalSignature (bit 0), keyEncipherment (2), keyCertSign (5), nothing else.
    assert_eq!(usage.value.flags, 0b10_0101);
    // Basic constraints, subject key identifier, key usage: no AKI, no EKU, no SAN.
    assert_eq!(certificate.extensions().len(), 3);
    assert!(certificate.extended_key_usage().unwrap().is_none());
    assert!(
        certificate.raw_serial().len() <= 8
            && Serial::of(&party.signature.certificate_der)
                .unwrap()
                .is_negative()
    );
    assert!(
        !Serial::of(&party.encryption.certificate_der)
            .unwrap()
            .is_negative()
    );
    let issuer = read_certificate(built.hierarchy.partner.certificate_der()).unwrap();
    certificate
        .verify_signature(Some(issuer.public_key()))
        .unwrap();
    assert_eq!(
        certificate.subject().to_string(),
        "O=MISP One, CN=misp-signature"
    );
}

#[test]
fn mosips_own_encryption_certificate_is_no_ca() {
    let built = build(&quick_plan()).unwrap();
    let mosip = built.party("mosip").unwrap();
    let encryption = read_certificate(&mosip.encryption.certificate_der).unwrap();
    assert!(!encryption.is_ca());
    assert_eq!(encryption.key_usage().unwrap().unwrap().value.flags, 0b100);
    let signature = read_certificate(&mosip.signature.certificate_der).unwrap();
    assert_eq!(
        signature
            .basic_constraints()
            .unwrap()
            .unwrap()
            .value
            .path_len_constraint,
        Some(1)
    );
    for certificate in [encryption, signature] {
        assert_eq!(certificate.issuer().to_string(), "O=MOSIP, CN=MOSIP IDA");
    }
}

#[test]
fn resigning_copies_subject_and_key_and_nothing_else() {
    let hierarchy = Hierarchy::make(&quick_plan()).unwrap();
    let validity = Validity::days(NOW, 365);
    let own_ca = Authority::root(
        &Name::new("Own CA", "Civil Registry"),
        Algorithm::P384,
        validity,
    )
    .unwrap();
    let request = LeafRequest {
        name: Name {
            unit: Some("ID".into()),
            country: Some("CH".into()),
            ..Name::new("PARTNER-crvs", "Civil Registry")
        },
        role: Role::Tls,
        algorithm: Algorithm::P256,
        validity: Validity::days(NOW, 700),
        alternative_names: vec!["crvs.example".into()],
    };
    let own = own_ca.issue(&request).unwrap();
    let resigned = hierarchy
        .partner
        .resign_like_mosip(
            &own.certificate_der,
            MosipForm::OtherPartner,
            validity,
            SerialSign::Random,
        )
        .unwrap();
    let (before, after) = (
        read_certificate(&own.certificate_der).unwrap(),
        read_certificate(&resigned).unwrap(),
    );
    assert_eq!(
        after.subject().to_string(),
        "C=CH, O=Civil Registry, OU=ID, CN=PARTNER-crvs"
    );
    assert_eq!(after.public_key().raw, before.public_key().raw);
    assert_eq!(after.extensions().len(), 3);
    assert_eq!(after.key_usage().unwrap().unwrap().value.flags, 0b10_0001);
    assert_eq!(
        after.validity().not_after.timestamp(),
        validity.not_after.s()
    );
    assert_ne!(after.raw_serial(), before.raw_serial());
}

#[test]
fn about_half_of_random_mosip_serials_are_negative() {
    let hierarchy = Hierarchy::make(&quick_plan()).unwrap();
    let party = hierarchy.issue_party(
        &PartyPlan {
            resign: false,
            ..PartyPlan::partner("x", "X")
        },
        Validity::days(NOW, 1),
    );
    let der = party.unwrap().tls.certificate_der;
    let negative = (0..200)
        .filter(|_| {
            let form = MosipForm::AuthPartner;
            let again = hierarchy.partner.resign_like_mosip(
                &der,
                form,
                Validity::days(NOW, 1),
                SerialSign::Random,
            );
            Serial::of(&again.unwrap()).unwrap().is_negative()
        })
        .count();
    assert!((50..150).contains(&negative), "{negative} of 200");
}

#[test]
fn a_list_names_negative_serials_as_they_are_and_is_carried_on() {
    let hierarchy = Hierarchy::make(&quick_plan()).unwrap();
    let lines = ["-6a3f02", "6a3f02", "00"].map(|serial| Revoked {
        serial: serial.parse().unwrap(),
        since: NOW,
        reason: Reason::KeyCompromise,
    });
    let later = NOW.plus_ms(1_000);
    let der = hierarchy.partner.crl(&lines, u64::MAX, NOW, later).unwrap();
    let read = hierarchy.partner.read_crl(&der).unwrap();
    assert_eq!(
        read,
        RevocationList {
            number: u64::MAX,
            revoked: lines.to_vec()
        }
    );
    let pem = hierarchy.partner.crl_pem(&lines, 7, NOW, later).unwrap();
    assert_eq!(
        hierarchy.partner.read_crl(pem.as_bytes()).unwrap().number,
        7
    );

    assert!(matches!(
        hierarchy.tls.read_crl(&der),
        Err(PkiError::ForeignList { .. })
    ));
    let namesake = Hierarchy::make(&quick_plan()).unwrap();
    assert!(matches!(
        namesake.partner.read_crl(&der),
        Err(PkiError::Signature(_))
    ));
    assert!(matches!(
        hierarchy.partner.crl(&[], 1, NOW, NOW),
        Err(PkiError::Validity(_))
    ));
}

#[test]
fn a_request_gets_the_usage_of_the_role_it_is_signed_in_not_what_it_asks() {
    let hierarchy = Hierarchy::make(&quick_plan()).unwrap();
    let key = Key::generate(Algorithm::P256).unwrap();
    let names = [
        "crvs.example".to_owned(),
        "10.1.2.3".to_owned(),
        "fd00::1".to_owned(),
    ];
    let der = Request::make(
        &key,
        &Name::new("crvs", "Civil Registry"),
        Role::Tls,
        &names,
    )
    .unwrap();
    let request = Request::read(&der).unwrap();
    assert_eq!(request.alternative_names, names);
    let issue = |role| {
        hierarchy
            .tls
            .certify_request(&request, role, Validity::days(NOW, 1))
            .unwrap()
    };
    let tls = issue(Role::Tls);
    assert!(
        read_certificate(&tls)
            .unwrap()
            .extended_key_usage()
            .unwrap()
            .unwrap()
            .value
            .client_auth
    );
    let signature = issue(Role::Signature);
    let signature = read_certificate(&signature).unwrap();
    assert!(signature.extended_key_usage().unwrap().is_none());
    assert!(signature.subject_alternative_name().unwrap().is_none());
    assert_eq!(signature.public_key().raw, key.spki_der());

    let mut altered = der.clone();
    let at = der.windows(4).position(|window| window == b"crvs").unwrap();
    altered[at] = b'b';
    assert!(matches!(
        Request::read(&altered),
        Err(PkiError::Signature(_))
    ));
}

#[test]
fn a_key_store_gives_back_key_and_chain_in_mosips_form_too_and_needs_its_password() {
    let built = build(&quick_plan()).unwrap();
    let party = &built.parties[1];
    let issued = &party.signature;
    let store = write_p12(
        "misp-signature",
        &issued.key,
        &issued.chain_der,
        party.password.expose(),
    )
    .unwrap();
    let read = read_p12(&store, party.password.expose()).unwrap();
    assert_eq!(read.keys.len(), 1);
    assert_eq!(read.keys[0].0.as_deref(), Some("misp-signature"));
    assert_eq!(*read.keys[0].1, issued.key_pkcs8_der());
    assert_eq!(
        read.certificates
            .iter()
            .map(|(_, der)| der.clone())
            .collect::<Vec<_>>(),
        issued.chain_der
    );
    assert!(matches!(
        read_p12(&store, "wrong"),
        Err(PkiError::Pkcs12(_))
    ));
    assert!(matches!(
        write_p12("x", &party.encryption.key, &issued.chain_der, "x"),
        Err(PkiError::KeyMismatch(_))
    ));
}

#[test]
fn a_leaf_is_no_authority_and_a_foreign_key_is_not_its_own() {
    let built = build(&quick_plan()).unwrap();
    let leaf = &built.parties[1].tls;
    let key = Key::from_der(leaf.key_pkcs8_der()).unwrap();
    assert!(matches!(
        Authority::load(leaf.chain_der.clone(), key),
        Err(PkiError::NotAnAuthority { .. })
    ));
    let key = Key::from_der(leaf.key_pkcs8_der()).unwrap();
    let authority = built.hierarchy.tls.certificate_der().to_vec();
    assert!(matches!(
        Authority::load(vec![authority], key),
        Err(PkiError::KeyMismatch(_))
    ));
}

fn walk(dir: &Path, found: &mut BTreeSet<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found)
        } else {
            assert!(found.insert(path))
        }
    }
}

#[test]
fn secrets_on_disk_are_for_their_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let made = make(&quick_plan(), &dir.path().join("pki"), Overwrite::Refuse).unwrap();
    let mut found = BTreeSet::new();
    walk(dir.path(), &mut found);
    assert_eq!(made.files.iter().cloned().collect::<BTreeSet<_>>(), found);
    for path in found {
        let text = fs::read(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let secret = text.windows(11).any(|window| window == b"PRIVATE KEY")
            || path
                .extension()
                .is_some_and(|end| end == "p12" || end == "txt");
        assert_eq!(
            mode,
            if secret { 0o600 } else { 0o644 },
            "{}",
            path.display()
        );
    }
    for folder in ["ca", "parties", "parties/misp", "twins"] {
        let mode = fs::metadata(dir.path().join("pki").join(folder))
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(mode, 0o700, "{folder}");
    }
}

#[test]
fn one_file_of_the_hundred_in_the_way_keeps_all_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let plan = quick_plan();
    let made = make(&plan, dir.path(), Overwrite::Refuse).unwrap();
    // Every single file that would be written is in the way, wherever it stands in the order.
    for path in &made.files {
        let other = tempfile::tempdir().unwrap();
        let target = other.path().join(path.strip_prefix(dir.path()).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&target, "mine").unwrap();
        let error = make(&plan, other.path(), Overwrite::Refuse).unwrap_err();
        assert!(
            matches!(&error, PkiError::Exists(paths) if *paths == [target.clone()]),
            "{error}"
        );
        let mut left = BTreeSet::new();
        walk(other.path(), &mut left);
        assert_eq!(left, BTreeSet::from([target.clone()]));
        assert_eq!(fs::read(&target).unwrap(), b"mine");
    }
}

#[test]
fn replacing_replaces_and_a_folder_serves_to_add_a_party() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = quick_plan();
    plan.twins_of = None;
    let first = make(&plan, dir.path(), Overwrite::Refuse).unwrap();
    make(&plan, dir.path(), Overwrite::Replace).unwrap();
    let hierarchy = load_hierarchy(dir.path()).unwrap();
    assert_ne!(
        hierarchy.root.certificate_der(),
        first.built.hierarchy.root.certificate_der()
    );

    let party = PartyPlan {
        algorithms: plan.parties[0].algorithms,
        ..PartyPlan::partner("late", "Late")
    };
    let files = add_party(dir.path(), &party, plan.leaves, Overwrite::Refuse).unwrap();
    assert_eq!(files.len(), 10);
    let leaf =
        certificates_of_pem(&fs::read(dir.path().join("parties/late/tls.pem")).unwrap()).unwrap();
    let issuer = read_certificate(hierarchy.tls.certificate_der()).unwrap();
    read_certificate(&leaf[0])
        .unwrap()
        .verify_signature(Some(issuer.public_key()))
        .unwrap();
    assert!(matches!(
        add_party(dir.path(), &party, plan.leaves, Overwrite::Refuse),
        Err(PkiError::Exists(_))
    ));
}

#[test]
fn an_rsa_leaf_wraps_keys_and_an_ec_leaf_agrees_on_them() {
    let hierarchy = Hierarchy::make(&quick_plan()).unwrap();
    let usage = |algorithm| {
        let issued = hierarchy.partner.issue(&LeafRequest {
            name: Name::new("x", "X"),
            role: Role::Encryption,
            algorithm,
            validity: Validity::days(NOW, 1),
            alternative_names: Vec::new(),
        })?;
        let certificate = read_certificate(&issued.certificate_der)?;
        Ok::<_, PkiError>(certificate.key_usage().unwrap().unwrap().value.flags)
    };
    assert_eq!(usage(Algorithm::Rsa2048).unwrap(), 0b100);
    assert_eq!(usage(Algorithm::P384).unwrap(), 0b1_0000);
    assert!(matches!(usage(Algorithm::Ed25519), Err(PkiError::Key(_))));
}
