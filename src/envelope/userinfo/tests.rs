//! Userinfo made by josekit, as E-Signet and the identity authority make it, and everything that is nearly that.

use josekit::{
    jwe::{self, JweHeader, RSA_OAEP, RSA_OAEP_256},
    jwk::alg::rsa::RsaKeyPair,
    jws::{self, JwsHeader, PS256, RS256},
};
use serde_json::json;

use super::*;

const NOW: Moment = Moment::from_ms(1_700_000_000_000);
const PAYLOAD: &[u8] = br#"{"sub":"psut","name":"Amina"}"#;

struct Scene {
    authority: RsaKeyPair,
    keys: KeySet,
    own: RsaKeyPair,
    key: DecryptionKey,
    fingerprint: Fingerprint,
}

impl Scene {
    fn new() -> Self {
        let authority = RsaKeyPair::generate(2048).unwrap();
        let mut jwk = authority.to_jwk_public_key();
        jwk.set_key_id("kyc");
        let set = json!({"keys": [serde_json::to_value(&jwk).unwrap()]});
        let own = RsaKeyPair::generate(2048).unwrap();
        Self {
            keys: KeySet::parse(set.to_string().as_bytes()).unwrap(),
            key: DecryptionKey::from_pkcs8_der(&own.to_der_private_key()).unwrap(),
            fingerprint: Fingerprint::from_bytes([7; 32]),
            authority,
            own,
        }
    }

    fn kid(&self) -> String {
        forms::to_base64url(self.fingerprint.as_bytes())
    }

    fn jws_of(pair: &RsaKeyPair, kid: &str, payload: &[u8]) -> String {
        let mut header = JwsHeader::new();
        header.set_key_id(kid);
        let signer = RS256.signer_from_pem(pair.to_pem_private_key()).unwrap();
        jws::serialize_compact(payload, &header, &signer).unwrap()
    }

    fn jws(&self) -> String {
        Self::jws_of(&self.authority, "kyc", PAYLOAD)
    }

    /// The header as E-Signet makes it.
    fn header(&self) -> JweHeader {
        let mut header = JweHeader::new();
        header.set_content_encryption("A256GCM");
        header.set_token_type("JWT");
        header.set_content_type("JWT");
        header.set_key_id(self.kid());
        header
    }

    /// The header as the identity authority makes it.
    fn deflated(&self) -> JweHeader {
        let mut header = self.header();
        header.set_compression("DEF");
        header.set_x509_certificate_sha256_thumbprint(*self.fingerprint.as_bytes());
        header
    }

    fn jwe(&self, header: &JweHeader, content: &[u8]) -> String {
        let key = self.own.to_der_public_key();
        let encrypter = RSA_OAEP_256.encrypter_from_der(key).unwrap();
        jwe::serialize_compact(content, header, &encrypter).unwrap()
    }

    fn open(&self, text: &str, form: UserinfoForm) -> Result<Userinfo, UserinfoProblem> {
        let own = [(self.fingerprint, &self.key)];
        open(
            text.as_bytes(),
            form,
            &own,
            &self.keys,
            Algorithm::RS256,
            NOW,
        )
    }

    #[track_caller]
    fn refused(&self, text: &str, form: UserinfoForm) -> UserinfoProblem {
        self.open(text, form).unwrap_err()
    }
}

fn is_form(problem: UserinfoProblem) -> bool {
    matches!(problem, UserinfoProblem::Form(_))
}

#[test]
fn each_form_opens_under_its_own_name_and_under_no_other() {
    let scene = Scene::new();
    let jws = scene.jws();
    let texts = [
        (UserinfoForm::Jws, jws.clone()),
        (
            UserinfoForm::Jwe,
            scene.jwe(&scene.header(), jws.as_bytes()),
        ),
        (
            UserinfoForm::JweDeflatedByIda,
            scene.jwe(&scene.deflated(), jws.as_bytes()),
        ),
    ];
    for (form, text) in &texts {
        for (other, _) in &texts {
            if form == other {
                let opened = scene.open(text, *form).unwrap();
                assert_eq!(opened.jws, jws);
                assert_eq!(opened.claims["sub"], "psut");
            } else {
                assert!(
                    is_form(scene.refused(text, *other)),
                    "{form:?} as {other:?}"
                );
            }
        }
    }
}

#[test]
fn a_signature_that_is_not_of_the_set_is_refused() {
    let scene = Scene::new();
    let stranger = RsaKeyPair::generate(2048).unwrap();
    let signature = |text: &str| scene.refused(text, UserinfoForm::Jws);
    for (pair, kid) in [
        (&stranger, "kyc"),
        (&stranger, "other"),
        (&scene.authority, "other"),
    ] {
        let text = Scene::jws_of(pair, kid, PAYLOAD);
        assert_eq!(signature(&text), UserinfoProblem::Signature);
        // Inside a JWE as well: anybody can encrypt to us.
        let sealed = scene.jwe(&scene.header(), text.as_bytes());
        assert_eq!(
            scene.refused(&sealed, UserinfoForm::Jwe),
            UserinfoProblem::Signature
        );
    }
    // Another algorithm than the agreed one, none at all, no kid.
    let mut header = JwsHeader::new();
    header.set_key_id("kyc");
    let pss = PS256
        .signer_from_pem(scene.authority.to_pem_private_key())
        .unwrap();
    let text = jws::serialize_compact(PAYLOAD, &header, &pss).unwrap();
    assert_eq!(signature(&text), UserinfoProblem::Signature);
    let none = format!(
        "{}.{}.",
        forms::to_base64url(br#"{"alg":"none","kid":"kyc"}"#),
        forms::to_base64url(PAYLOAD)
    );
    assert!(scene.open(&none, UserinfoForm::Jws).is_err());
    let signer = RS256
        .signer_from_pem(scene.authority.to_pem_private_key())
        .unwrap();
    let text = jws::serialize_compact(PAYLOAD, &JwsHeader::new(), &signer).unwrap();
    assert_eq!(signature(&text), UserinfoProblem::Signature);
}

#[test]
fn a_jwe_with_another_header_is_refused_before_any_key_is_touched() {
    let scene = Scene::new();
    let jws = scene.jws();
    let refused = |header: &JweHeader| {
        let problem = scene.refused(&scene.jwe(header, jws.as_bytes()), UserinfoForm::Jwe);
        assert!(is_form(problem), "{header}: {problem}");
    };
    let mut header = scene.header();
    header.set_content_encryption("A128GCM");
    refused(&header);
    let mut header = scene.header();
    header.set_content_type("json");
    refused(&header);
    let mut header = scene.header();
    header.set_token_type("JOSE");
    refused(&header);
    let mut header = scene.header();
    header.set_key_id(forms::to_base64url(&[8; 32]));
    refused(&header);
    let mut header = scene.header();
    header.set_key_id("short");
    refused(&header);
    let mut header = scene.header();
    header.set_jwk_set_url("https://x");
    refused(&header);
    let mut header = scene.header();
    header.set_claim("new", Some(json!(1))).unwrap();
    refused(&header);
    // A thumbprint that names another certificate than `kid`.
    let mut header = scene.deflated();
    header.set_x509_certificate_sha256_thumbprint([8; 32]);
    let text = scene.jwe(&header, jws.as_bytes());
    assert!(is_form(
        scene.refused(&text, UserinfoForm::JweDeflatedByIda)
    ));
    let key = scene.own.to_der_public_key();
    let oaep_sha1 = RSA_OAEP.encrypter_from_der(key).unwrap();
    let text = jwe::serialize_compact(jws.as_bytes(), &scene.header(), &oaep_sha1).unwrap();
    assert!(is_form(scene.refused(&text, UserinfoForm::Jwe)));
}

#[test]
fn short_tags_short_ivs_and_sloppy_base64_are_refused_and_every_failure_to_decrypt_looks_the_same()
{
    let scene = Scene::new();
    let good = scene.jwe(&scene.header(), scene.jws().as_bytes());
    let parts: Vec<&str> = good.split('.').collect();
    let with = |n: usize, part: &str| {
        let mut parts = parts.clone();
        parts[n] = part;
        scene.refused(&parts.join("."), UserinfoForm::Jwe)
    };
    let cut = |n: usize, to: usize| {
        let bytes = forms::base64url(parts[n]).unwrap();
        forms::to_base64url(&bytes[..to])
    };
    let changed = |n: usize| {
        let mut bytes = forms::base64url(parts[n]).unwrap();
        bytes[0] ^= 1;
        forms::to_base64url(&bytes)
    };
    for problem in [
        with(4, &cut(4, 15)),
        with(4, &cut(4, 1)),
        with(4, ""),
        with(2, &cut(2, 8)),
        with(2, ""),
        with(4, &format!("{}==", parts[4])),
        with(3, &format!("{}\n", parts[3])),
    ] {
        assert!(is_form(problem), "{problem}");
    }
    assert!(is_form(
        scene.refused(&format!("{good}.x"), UserinfoForm::Jwe)
    ));
    assert!(is_form(scene.refused("a.b.c.d", UserinfoForm::Jwe)));
    for problem in [
        with(1, &changed(1)),
        with(1, &cut(1, 255)),
        with(1, ""),
        with(2, &changed(2)),
        with(3, &changed(3)),
        with(3, ""),
        with(4, &changed(4)),
    ] {
        assert_eq!(problem, UserinfoProblem::Undecryptable);
    }
}

#[test]
fn what_inflates_beyond_its_bound_is_refused() {
    let scene = Scene::new();
    let form = UserinfoForm::JweDeflatedByIda;
    let bomb = scene.jwe(&scene.deflated(), &vec![b'a'; USERINFO_MAX + 1]);
    assert!(bomb.len() < 10_000);
    let problem = scene.refused(&bomb, form);
    assert_eq!(
        problem,
        UserinfoProblem::Form("the content does not inflate within its bound")
    );
    // One byte less inflates, and is no JWS.
    let large = scene.jwe(&scene.deflated(), &vec![b'a'; USERINFO_MAX]);
    assert_ne!(scene.refused(&large, form), problem);
    assert!(is_form(
        scene.refused(&"a".repeat(USERINFO_MAX + 1), UserinfoForm::Jwe)
    ));
}
