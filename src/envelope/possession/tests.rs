//! A challenge is taken for exactly what it was made for, and answered by exactly the new key.

use super::{super::testing::GATEWAY, *};
use crate::keys::{ContentWrapKey, KeyKind, made_entry as entry};

fn challenge(role: Role, nonce: Nonce) -> Challenge {
    Challenge {
        audience: "misp".to_owned(),
        partner: "crvs".to_owned(),
        role,
        algorithm: None,
        certificate: Fingerprint::from_bytes([7; 32]),
        connection: "ab".to_owned(),
        issued: Moment::from_ms(1_780_272_000_123),
        nonce,
    }
}

fn claim<'a>(role: Role) -> Claim<'a> {
    Claim {
        audience: "misp",
        partner: "crvs",
        role,
        algorithm: None,
        certificate: Fingerprint::from_bytes([7; 32]),
    }
}

fn signer() -> DetachedSigner {
    DetachedSigner::new(GATEWAY.signing.clone(), Algorithm::RS256, &GATEWAY.der)
}

fn gateway() -> VerifyingKey {
    VerifyingKey::new(&GATEWAY.public, Algorithm::RS256).unwrap()
}

fn read(text: &str) -> Result<Challenge, PossessionProblem> {
    let key = gateway();
    Challenge::read(text, |signer| {
        (*signer == Fingerprint::of(&GATEWAY.der)).then_some(&key)
    })
}

#[test]
fn a_challenge_comes_back_as_it_was_made() {
    let nonce = random().unwrap();
    for made in [
        challenge(Role::Tls, Nonce::Signed(nonce.clone())),
        challenge(Role::Encryption, Nonce::hide(&nonce).unwrap()),
        Challenge {
            algorithm: Some(Algorithm::PS256),
            ..challenge(Role::Signature, Nonce::Signed(nonce.clone()))
        },
    ] {
        let text = made.sign(&signer()).unwrap();
        assert_eq!(read(&text).unwrap(), made);
        if made.role == Role::Encryption {
            let claims = text.split('.').nth(1).unwrap();
            let claims = forms::base64url(claims).unwrap();
            assert!(!String::from_utf8(claims).unwrap().contains(&nonce));
        }
    }
}

#[test]
fn a_challenge_that_is_not_ours_is_none() {
    let made = challenge(Role::Tls, Nonce::Signed(random().unwrap()));
    let text = made.sign(&signer()).unwrap();
    let parts: Vec<&str> = text.split('.').collect();
    // One changed claim.
    let mut claims: Value = serde_json::from_slice(&forms::base64url(parts[1]).unwrap()).unwrap();
    claims["sub"] = json!("seeder");
    let changed = forms::to_base64url(claims.to_string().as_bytes());
    assert!(read(&format!("{}.{changed}.{}", parts[0], parts[2])).is_err());
    // Signed by another party, and something else signed by us.
    let nobody = Challenge::read(&text, |_| None);
    assert!(matches!(nobody, Err(PossessionProblem::Wrong(_))));
    let header = json!({
        "alg": "RS256", "typ": "triseal-tree-head", "x5t#S256": encoded(&signer().fingerprint()),
    });
    let signed = format!(
        "{}.{}",
        joined(&header, &json!(0)).split('.').next().unwrap(),
        parts[1]
    );
    let signature = GATEWAY
        .signing
        .sign(Algorithm::RS256, signed.as_bytes())
        .unwrap();
    let head = format!("{signed}.{}", forms::to_base64url(&signature));
    assert!(matches!(read(&head), Err(PossessionProblem::Form(_))));
    for broken in ["", ".", "..", "a.b", "a.b.c.d", &"a".repeat(9000)] {
        assert!(read(broken).is_err(), "{broken:?}");
    }
}

#[test]
fn a_challenge_is_remembered_whatever_signature_it_carries() {
    let text = "a.b.c";
    assert_eq!(digest(text), digest("a.b.d"));
    assert_ne!(digest(text), digest("a.c.c"));
}

#[test]
fn keys_that_sign_answer_with_a_signature_for_this_and_nothing_else() {
    for algorithm in [
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ] {
        let (own, public) = entry(algorithm);
        let (other, _) = entry(algorithm);
        let nonce = random().unwrap();
        let asked = challenge(Role::Tls, Nonce::Signed(nonce.clone()));
        let proof = claim(Role::Tls).prove(&own, &nonce).unwrap();
        assert_eq!(asked.answered(&public, &proof), Ok(()));
        let wrong = |claim: &Claim<'_>, key: &KeyEntry, nonce: &str| {
            let proof = claim.prove(key, nonce).unwrap();
            let said = asked.answered(&public, &proof);
            assert!(matches!(said, Err(PossessionProblem::Wrong(_))), "{said:?}");
        };
        wrong(&claim(Role::Tls), &other, &nonce);
        wrong(&claim(Role::Tls), &own, &random().unwrap());
        wrong(&claim(Role::Signature), &own, &nonce);
        let mut elsewhere = claim(Role::Tls);
        elsewhere.audience = "another";
        wrong(&elsewhere, &own, &nonce);
        let mut somebody = claim(Role::Tls);
        somebody.partner = "seeder";
        wrong(&somebody, &own, &nonce);
        let mut certificate = claim(Role::Tls);
        certificate.certificate = Fingerprint::from_bytes([8; 32]);
        wrong(&certificate, &own, &nonce);
        // The header is exactly alg and typ.
        let signed = |header: Value| {
            let signed = joined(&header, &claim(Role::Tls).says(&nonce));
            let signature = own.prove_possession(None, signed.as_bytes()).unwrap();
            format!("{signed}.{}", forms::to_base64url(&signature))
        };
        let alg = proof_algorithm(public.kind(), None);
        for header in [
            json!({"alg": alg}),
            json!({"alg": alg, "typ": "JWT"}),
            json!({"alg": alg, "typ": PROOF, "jwk": {}}),
            json!({"alg": "none", "typ": PROOF}),
        ] {
            assert!(
                asked.answered(&public, &signed(header.clone())).is_err(),
                "{header}"
            );
        }
        // What was asked for a key that decrypts is not answered by a signature.
        let hidden = challenge(Role::Encryption, Nonce::hide(&nonce).unwrap());
        assert!(hidden.answered(&public, &proof).is_err());
    }
}

#[test]
fn a_key_that_decrypts_answers_with_what_was_sealed_to_it() {
    let nonce = random().unwrap();
    let asked = challenge(Role::Encryption, Nonce::hide(&nonce).unwrap());
    for algorithm in [&rcgen::PKCS_RSA_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let (own, public) = entry(algorithm);
        let key = ContentWrapKey::new(&public).unwrap();
        let private = own.content_key().unwrap();
        let seal = |content: &[u8], media_type: &str, to: Fingerprint| {
            let sealed = jose::seal(content, media_type, to, &key).unwrap();
            String::from_utf8(sealed.to_vec()).unwrap()
        };
        let good = asked.to_seal(&nonce);
        let sealed = seal(&good, SEALED, asked.certificate);
        let claim = claim(Role::Encryption);
        let proof = claim.open(&sealed, &private).unwrap();
        assert_eq!(asked.answered(&public, &proof), Ok(()));
        // Not a decryption for whoever asks.
        for (content, media_type, to) in [
            (&good[..], "application/json", asked.certificate),
            (&good, SEALED, Fingerprint::from_bytes([8; 32])),
            (b"{\"identity\":1}", SEALED, asked.certificate),
            (
                &challenge(Role::Tls, asked.nonce.clone()).to_seal(&nonce),
                SEALED,
                asked.certificate,
            ),
        ] {
            assert!(
                claim
                    .open(&seal(content, media_type, to), &private)
                    .is_err()
            );
        }
        let (stranger, _) = entry(algorithm);
        assert!(
            claim
                .open(&sealed, &stranger.content_key().unwrap())
                .is_err()
        );
        assert_ne!(public.kind(), KeyKind::Ed25519);
    }
    let (_, public) = entry(&rcgen::PKCS_RSA_SHA256);
    for wrong in [random().unwrap(), String::new(), format!("{nonce}=")] {
        assert!(asked.answered(&public, &wrong).is_err());
    }
}
