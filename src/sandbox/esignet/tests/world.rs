//! One E-Signet, one client with its key, and a browser that fills the pages in.

use std::sync::{Arc, OnceLock};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::Request;
use josekit::jws::{self, JwsHeader, RS256};
use openssl::{
    pkey::{PKey, Private},
    rsa::Rsa,
    sha::sha256,
};
use serde_json::{Value, json};

use super::super::{
    ClientRecord, Esignet, EsignetConfig, EsignetService, Pkce, UserinfoForm, keys, static_code,
};
use crate::{
    clock::{Clock, Moment},
    sandbox::{
        ida::{IdaAnswer, OwnKey},
        people::{self, Person},
        server::{Caller, Handler},
        web::encode,
        wire::decoded,
    },
};

pub(super) const NOW: Moment = Moment::from_s(1_790_000_000);
pub(super) const ISSUER: &str = "http://esignet.example.org/v1/esignet";
pub(super) const HOME: &str = "https://registry.example.org/back";
/// The verifier of RFC 7636, appendix B.
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// Keys are made once: they take time.
struct Pki {
    client: PKey<Private>,
    sealed: (PKey<Private>, Vec<u8>),
    authority: OwnKey,
}

fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let authority = keys::testing::certified("authority");
        Pki {
            client: PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
            sealed: keys::testing::certified("sealed"),
            authority: OwnKey {
                key: authority.0.private_key_to_pkcs8().unwrap().into(),
                certificate: authority.1,
            },
        }
    })
}

/// The key that sealed userinfo is for.
pub(super) fn sealed_key() -> &'static PKey<Private> {
    &pki().sealed.0
}

/// The certificate of the authority.
pub(super) fn authority() -> &'static [u8] {
    &pki().authority.certificate
}

pub(super) fn person() -> Person {
    people::all().remove(0)
}

pub(super) struct World {
    service: EsignetService,
    pub(super) esignet: Arc<Esignet>,
    pub(super) clock: Clock,
}

impl World {
    pub(super) fn new() -> Self {
        let rsa = pki().client.rsa().unwrap();
        let url = |number: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(number.to_vec());
        let key = json!({"kty": "RSA", "n": url(rsa.n()), "e": url(rsa.e())});
        let client = |id: &str, userinfo, pkce| ClientRecord {
            id: id.to_owned(),
            name: "Registry <of> tests".to_owned(),
            redirect_uris: vec![HOME.to_owned()],
            key: key.clone(),
            claims: ["name", "birthdate", "address", "email", "individual_id"]
                .map(str::to_owned)
                .to_vec(),
            userinfo,
            pkce,
        };
        let mut config = EsignetConfig::new("http://esignet.example.org", pki().authority.clone());
        let jwe = |compressed| UserinfoForm::Jwe {
            certificate: pki().sealed.1.clone(),
            compressed,
        };
        config.clients = vec![
            client("plain", UserinfoForm::Jws, Pkce::Optional),
            client("strict", UserinfoForm::Jws, Pkce::Required),
            client("sealed", jwe(false), Pkce::Optional),
            client("packed", jwe(true), Pkce::Optional),
        ];
        let esignet = Arc::new(Esignet::new(config).unwrap());
        let clock = Clock::standing_at(NOW);
        Self {
            service: EsignetService::new(esignet.clone(), clock.clone()),
            esignet,
            clock,
        }
    }

    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> IdaAnswer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://x{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let caller = Caller {
            address: ([127, 0, 0, 1], 1).into(),
            tls_certificate: None,
        };
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(self.service.handle(&caller, request))
    }

    pub(super) fn get(&self, path: &str) -> IdaAnswer {
        self.send("GET", path, &[], "")
    }

    pub(super) fn post(&self, path: &str, cookie: &str, form: &[(&str, &str)]) -> IdaAnswer {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("cookie", cookie),
        ];
        self.send("POST", path, &headers, &query(form))
    }

    pub(super) fn begin(&self, changes: &[(&str, &str)]) -> IdaAnswer {
        self.get(&format!("/authorize?{}", query(&request(changes))))
    }

    /// A login from end to end: where the browser is sent back to.
    pub(super) fn log_in(&self, changes: &[(&str, &str)], ticked: &[(&str, &str)]) -> String {
        let begun = self.begin(changes);
        assert_eq!(begun.status, 200, "{}", text(&begun));
        let (transaction, cookie) = (transaction(&begun), cookie(&begun));
        let person = person();
        let shown = self.post(
            "/authorize/login",
            &cookie,
            &[
                ("transaction", &transaction),
                ("individual_id", &person.uin),
                ("code", static_code(&person)),
            ],
        );
        assert!(text(&shown).contains("asks to know"), "{}", text(&shown));
        let mut form = vec![("transaction", transaction.as_str()), ("decision", "allow")];
        form.extend(ticked);
        location(&self.post("/authorize/consent", &cookie, &form))
    }

    /// The code of a login.
    pub(super) fn code(&self, changes: &[(&str, &str)]) -> String {
        let back = self.log_in(changes, &[]);
        member(&back, "code").unwrap()
    }

    pub(super) fn exchange(&self, code: &str, changes: &[(&str, &str)]) -> IdaAnswer {
        let client = changes
            .iter()
            .find(|(name, _)| *name == "client_id")
            .map_or("plain", |(_, value)| *value);
        let assertion = assertion(&claims(client));
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", HOME),
            ("client_id", "plain"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", &assertion),
        ];
        change(&mut form, changes);
        self.post("/v1/esignet/oauth/v2/token", "", &form)
    }

    /// The access token of a whole login.
    pub(super) fn access(&self, client: &str, changes: &[(&str, &str)]) -> String {
        let mut asked = vec![("client_id", client)];
        asked.extend(changes);
        let code = self.code(&asked);
        let answer = self.exchange(&code, &[("client_id", client)]);
        assert_eq!(answer.status, 200, "{}", text(&answer));
        json(&answer)["access_token"].as_str().unwrap().to_owned()
    }

    pub(super) fn userinfo(&self, access: &str) -> IdaAnswer {
        let bearer = format!("Bearer {access}");
        let headers = [("authorization", bearer.as_str())];
        self.send("GET", "/v1/esignet/oidc/userinfo", &headers, "")
    }
}

/// The members of a good authorization request, with changes; an empty value leaves a member out.
fn request<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut members = vec![
        ("client_id", "plain"),
        ("redirect_uri", HOME),
        ("response_type", "code"),
        ("scope", "openid profile"),
        ("state", "s t&te"),
        ("nonce", "n0nce"),
        (
            "claims",
            r#"{"userinfo":{"name":{"essential":true},"birthdate":{"essential":true},"email":null,"picture":{"essential":true}},"id_token":{}}"#,
        ),
    ];
    change(&mut members, changes);
    members
}

fn change<'a>(members: &mut Vec<(&'a str, &'a str)>, changes: &[(&'a str, &'a str)]) {
    for (name, value) in changes {
        members.retain(|(found, _)| found != name);
        if !value.is_empty() {
            members.push((name, value));
        }
    }
}

fn query(members: &[(&str, &str)]) -> String {
    members
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// The claims of a good assertion.
pub(super) fn claims(client: &str) -> Value {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let unique = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    json!({
        "iss": client, "sub": client, "aud": [format!("{ISSUER}/oauth/v2/token"), ISSUER],
        "iat": NOW.s(), "exp": NOW.s().saturating_add(60), "jti": format!("jti-{unique}"),
    })
}

/// Signed with the client's key.
pub(super) fn assertion(claims: &Value) -> String {
    signed(&pki().client, claims)
}

pub(super) fn signed(key: &PKey<Private>, claims: &Value) -> String {
    let signer = RS256
        .signer_from_der(key.private_key_to_pkcs8().unwrap())
        .unwrap();
    jws::serialize_compact(claims.to_string().as_bytes(), &JwsHeader::new(), &signer).unwrap()
}

pub(super) fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(sha256(VERIFIER.as_bytes()))
}

pub(super) fn text(answer: &IdaAnswer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

pub(super) fn json(answer: &IdaAnswer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

pub(super) fn location(answer: &IdaAnswer) -> String {
    assert_eq!(answer.status, 303, "{}", text(answer));
    answer.headers["location"].to_str().unwrap().to_owned()
}

/// The hidden field of a page.
pub(super) fn transaction(page: &IdaAnswer) -> String {
    let html = text(page);
    let after = html.split("name=\"transaction\" value=\"").nth(1).unwrap();
    after.split('"').next().unwrap().to_owned()
}

pub(super) fn cookie(page: &IdaAnswer) -> String {
    let value = page.headers["set-cookie"].to_str().unwrap();
    assert!(value.contains("HttpOnly") && value.contains("SameSite=Lax"));
    value.split(';').next().unwrap().to_owned()
}

/// A member of an address.
pub(super) fn member(address: &str, name: &str) -> Option<String> {
    let (_, query) = address.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
        .and_then(decoded)
}

/// The payload of a JWS, unverified.
pub(super) fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
