//! The odd encodings of the published clients: each is taken from a partner whose contract lists that client, and refused
//! from one whose contract does not.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde_json::{Value, json};

use crate::{
    forge::{Forger, assert_refused, opencrvs_x5c, sdk_x5c},
    harness::{Ask, Site},
};

/// An odd form, and which of the contracts take it: keymanager's alone, mosip-auth-sdk, opencrvs.
struct Form {
    name: &'static str,
    taken: [bool; 3],
    code: &'static str,
    header: Option<fn(&Forger) -> String>,
    body: Option<fn(Value) -> Value>,
}

const CONTRACTS: [&str; 3] = ["", "\"mosip-auth-sdk\"", "\"opencrvs\""];
const REFUSED_FORM: &[&str] = &["IDA-MLC-007", "IDA-MPA-001"];
const REFUSED_MEMBER: &[&str] = &["IDA-MLC-007", "IDA-MLC-009"];

const fn x5c(name: &'static str, taken: [bool; 3], header: fn(&Forger) -> String) -> Form {
    Form {
        name,
        taken,
        code: "SIG-002",
        header: Some(header),
        body: None,
    }
}

const fn member(name: &'static str, taken: [bool; 3], body: fn(Value) -> Value) -> Form {
    Form {
        name,
        taken,
        code: "MSG-003",
        header: None,
        body: Some(body),
    }
}

fn with_x5c(text: &str) -> String {
    json!({"alg": "RS256", "x5c": [text]}).to_string()
}

/// Pads an unpadded member.
fn padded(mut body: Value, name: &str) -> Value {
    let text = body[name].as_str().unwrap().to_owned();
    let pad = "=".repeat((4 - text.len() % 4) % 4);
    assert!(!pad.is_empty(), "{name} needs no padding");
    body[name] = format!("{text}{pad}").into();
    body
}

fn thumbprint(body: &Value) -> Vec<u8> {
    let text = body["thumbprint"].as_str().unwrap();
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .unwrap()
}

const NONE: [bool; 3] = [false; 3];
const ALL: [bool; 3] = [true; 3];
const SDK: [bool; 3] = [false, true, false];
const OPENCRVS: [bool; 3] = [false, false, true];
const BOTH: [bool; 3] = [false, true, true];

fn forms() -> Vec<Form> {
    vec![
        x5c("x5c: DER in base64", ALL, |f| {
            with_x5c(&STANDARD.encode(&f.leaf))
        }),
        x5c("x5c: PEM with LF in lines of 76", SDK, |f| {
            with_x5c(&sdk_x5c(&f.leaf))
        }),
        x5c("the same with spaces in the header's JSON", SDK, |f| {
            with_x5c(&sdk_x5c(&f.leaf))
                .replace(':', ": ")
                .replace(',', ", ")
        }),
        x5c("the same without its last line end", NONE, |f| {
            with_x5c(sdk_x5c(&f.leaf).trim_end())
        }),
        x5c("the same without line breaks", NONE, |f| {
            with_x5c(&sdk_x5c(&f.leaf).replace('\n', ""))
        }),
        x5c("x5c: PEM with CRLF in base64url", OPENCRVS, |f| {
            with_x5c(&opencrvs_x5c(&f.leaf))
        }),
        x5c("the same padded", NONE, |f| {
            with_x5c(&(opencrvs_x5c(&f.leaf) + "="))
        }),
        x5c("x5c: DER in base64url", NONE, |f| {
            with_x5c(
                &URL_SAFE
                    .encode(&f.leaf)
                    .replacen('+', "-", 1)
                    .replace('=', ""),
            )
        }),
        x5c("a kid, as keymanager writes it", ALL, |f| {
            json!({"alg": "RS256", "kid": "k", "x5c": [STANDARD.encode(&f.leaf)]}).to_string()
        }),
        member("request padded", BOTH, |b| padded(b, "request")),
        member("requestSessionKey padded", SDK, |b| {
            padded(b, "requestSessionKey")
        }),
        member("thumbprint padded", BOTH, |b| padded(b, "thumbprint")),
        member("thumbprint in upper-case hex", ALL, |mut b| {
            b["thumbprint"] = thumbprint(&b)
                .iter()
                .map(|b| format!("{b:02X}"))
                .collect::<String>()
                .into();
            b
        }),
        member("thumbprint in lower-case hex", ALL, |mut b| {
            b["thumbprint"] = thumbprint(&b)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect::<String>()
                .into();
            b
        }),
        member("request in plain base64's alphabet", NONE, |mut b| {
            let text = b["request"]
                .as_str()
                .unwrap()
                .replace('-', "+")
                .replace('_', "/");
            // A few hundred letters hold one of the two for certain.
            assert!(text.contains(['+', '/']));
            b["request"] = text.into();
            b
        }),
        member("request with a line end", NONE, |mut b| {
            b["request"] = format!("{}\n", b["request"].as_str().unwrap()).into();
            b
        }),
        member("requestHMAC padded", NONE, |mut b| {
            b["requestHMAC"] = format!("{}=", b["requestHMAC"].as_str().unwrap()).into();
            b
        }),
    ]
}

/// A block whose sealed form has a length that wants padding, and letters enough.
fn ask(site: &Site) -> Ask {
    let mut ask = site.auth();
    let mut text = ask.inner.as_ref().unwrap().to_string().into_bytes();
    text.extend(" ".repeat(600).bytes());
    while (text.len() + 32).is_multiple_of(3) {
        text.push(b' ');
    }
    ask.inner_text = Some(text);
    ask
}

#[test]
fn each_odd_encoding_is_taken_where_the_contract_lists_its_client_and_refused_elsewhere() {
    for (n, contract) in CONTRACTS.iter().enumerate() {
        let mut site = Site::new("encodings");
        site.edit("misp/partners/crvs.toml", |text| {
            text.replace(
                "clients = [\"mosip-auth-sdk\", \"opencrvs\"]",
                &format!("clients = [{contract}]"),
            )
        });
        site.start_misp();
        let forger = Forger::load(&site.party("crvs"), "signature");
        for form in forms() {
            let ask = ask(&site);
            let body: Value = serde_json::from_slice(&ask.body()).unwrap();
            let body = match form.body {
                Some(change) => change(body),
                None => body,
            };
            let body = body.to_string().into_bytes();
            let header = form
                .header
                .map_or_else(|| forger.header().to_string(), |make| make(&forger));
            let signature = forger.jws_of_text(&header, &body, crate::forge::How::Pkcs1);
            let wire = ask.wire_with(body).header("signature", &signature);
            let answer = site.connect().ask(&wire.http1());
            let case = format!("clients = [{contract}], {}", form.name);
            if form.taken[n] {
                assert!(
                    answer.says_yes(),
                    "{case}: {} {}",
                    answer.code(),
                    answer.text()
                );
            } else {
                assert_eq!(answer.code(), form.code, "{case}: {}", answer.text());
                let mosip = if form.code == "SIG-002" {
                    REFUSED_FORM
                } else {
                    REFUSED_MEMBER
                };
                assert_refused(&site, &answer, form.code, mosip);
            }
        }
    }
}
