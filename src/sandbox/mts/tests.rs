//! The seeder from outside, with the Odoo stand-in on a real socket behind it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Mts, MtsConfig, MtsService, multipart};
use crate::{
    clock::{Clock, Moment},
    sandbox::{
        ida::{IdaAnswer, tests::bare_ida},
        odoo::{FaultOrder, Odoo, OdooConfig, OdooFault},
        people::{self, Person},
        server::{self, Caller, Handler, Running},
    },
};

const NOW: Moment = Moment::from_s(1_790_000_000);

struct World {
    service: MtsService,
    odoo: Arc<Odoo>,
    running: Running,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::standing_at(NOW);
        let config = MtsConfig {
            partner: "mts".to_owned(),
        };
        let ida = Arc::new(bare_ida());
        let odoo = Arc::new(Odoo::new(
            OdooConfig {
                database: "registry".to_owned(),
                login: "seeder".to_owned(),
                password: "open sesame".to_owned(),
            },
            clock.clone(),
        ));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self {
            service: MtsService::new(Mts::start(config, ida, clock)),
            running: server::serve(listener, None, odoo.clone()).unwrap(),
            odoo,
        }
    }

    async fn send(&self, method: &str, path: &str, media: &str, body: Vec<u8>) -> IdaAnswer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media)
            .body(Bytes::from(body))
            .unwrap();
        let caller = Caller {
            address: ([127, 0, 0, 1], 1).into(),
            tls_certificate: None,
        };
        self.service.handle(&caller, request).await
    }

    async fn ask(&self, request: Value) -> (u16, Value) {
        let body = envelope(request).to_string().into_bytes();
        let answer = self
            .send("POST", "/authtoken/json", "application/json", body)
            .await;
        (answer.status.as_u16(), read(&answer))
    }

    /// The code a request is refused with.
    async fn code(&self, change: &[(&str, Value)]) -> (u16, String) {
        let (status, said) = self.ask(changed(change)).await;
        let code = said["errors"][0]["errorCode"].as_str().unwrap_or("-");
        (status, code.to_owned())
    }

    /// The request's status once it is no longer under way.
    async fn done(&self, said: &Value) -> String {
        let id = said["response"]["request_identifier"].as_str().unwrap();
        for _ in 0..500 {
            let path = format!("/authtoken/status/{id}");
            let answer = read(&self.send("GET", &path, "", Vec::new()).await);
            let status = answer["response"]["status"].as_str().unwrap().to_owned();
            if !status.starts_with("submitted") && status != "processing" {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it is never done");
    }

    async fn file(&self, said: &Value) -> String {
        self.done(said).await;
        let id = said["response"]["request_identifier"].as_str().unwrap();
        let answer = self
            .send("GET", &format!("/authtoken/file/{id}"), "", Vec::new())
            .await;
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).unwrap()
    }

    async fn seen(&self, path: &str) -> Value {
        let request = Request::builder().uri(path).body(Bytes::new()).unwrap();
        let caller = Caller {
            address: ([127, 0, 0, 1], 1).into(),
            tls_certificate: None,
        };
        read(&self.odoo.handle(&caller, request).await)
    }

    /// Callback properties as the OpenG2P connector sends them.
    fn callback(&self, auth: &str) -> Value {
        let base = format!("http://{}", self.running.address());
        json!({
            "url": format!("{base}/api/v1/registry/update_individual"), "httpMethod": "PUT",
            "timeoutSeconds": 10, "callInBulk": false, "authType": auth,
            "authOdoo": {
                "database": "registry", "authUrl": format!("{base}/web/session/authenticate"),
                "username": "seeder", "password": "open sesame",
            },
            "authOauth": {
                "authUrl": format!("{base}/oauth/token"),
                "clientId": "seeder", "clientSecret": "open sesame",
            },
            "authStaticBearer": {"token": "nobody's"},
        })
    }
}

fn read(answer: &IdaAnswer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "a literal at every call")]
fn envelope(request: Value) -> Value {
    json!({"id": "string", "version": "string", "metadata": "string",
        "requesttime": "2026-09-21T13:33:20.000Z", "request": request})
}

/// A person as a registry knows them.
fn record(person: &Person) -> Value {
    let english = |texts: &[people::Text]| people::in_language(texts, "eng").unwrap().to_owned();
    let name = english(&person.name);
    let (given, family) = name.split_once(' ').unwrap();
    let address: Vec<String> = person
        .address_lines
        .iter()
        .chain(&person.locations)
        .map(|texts| english(texts))
        .collect();
    json!({
        "id": 7, "vid": person.vid, "given_name": given, "family_name": family,
        "birthdate": person.date_of_birth, "gender": english(&person.gender),
        "address": format!("{} {}", address.join(" "), person.postal_code),
        "email": "", "phone": false,
    })
}

fn good() -> Value {
    json!({
        "output": "json", "deliverytype": "download", "lang": "eng",
        "mapping": {
            "vid": "vid", "name": ["given_name", "family_name"], "gender": "gender",
            "dob": "birthdate", "fullAddress": ["address"], "emailId": "email", "phoneNumber": "phone",
        },
        "authdata": [record(&people::all()[0])],
    })
}

fn changed(change: &[(&str, Value)]) -> Value {
    let mut request = good();
    for (name, value) in change {
        request[*name] = value.clone();
    }
    request
}

#[tokio::test]
async fn a_record_that_fits_gets_the_token_that_ida_gives_this_partner() {
    let world = World::new().await;
    let (status, said) = world.ask(good()).await;
    assert_eq!((status, &said["errors"]), (200, &Value::Null), "{said}");
    assert_eq!(world.done(&said).await, "processed");
    let file: Value = serde_json::from_str(&world.file(&said).await).unwrap();
    assert_eq!(file[0]["status"], "processed");
    let token = file[0]["token"].as_str().unwrap();
    assert_eq!(token.len(), 36);
    let (_, again) = world.ask(good()).await;
    assert!(world.file(&again).await.contains(token));
}

#[tokio::test]
async fn records_that_do_not_fit_say_why_with_idas_codes() {
    let world = World::new().await;
    let person = &people::all()[0];
    let mut wrong_name = record(person);
    wrong_name["given_name"] = json!("Eda");
    let mut several = wrong_name.clone();
    several["birthdate"] = json!("1987-11-26");
    let mut no_dob = record(person);
    no_dob["birthdate"] = Value::Null;
    let mut unknown = record(person);
    unknown["vid"] = json!("1234567890123456");
    let data = json!([record(person), wrong_name, several, no_dob, unknown]);
    let (_, said) = world.ask(changed(&[("authdata", data)])).await;
    assert_eq!(world.done(&said).await, "processed_with_errors");
    let file: Value = serde_json::from_str(&world.file(&said).await).unwrap();
    let codes: Vec<_> = file
        .as_array()
        .unwrap()
        .iter()
        .map(|output| output["errorCode"].as_str().unwrap_or("-"))
        .collect();
    assert_eq!(
        codes,
        [
            "-",
            "IDA-DEA-001",
            "ATS-REQ-103",
            "ATS-REQ-012",
            "IDA-MLC-004"
        ]
    );
    let joined = file[2]["errorMessage"].as_str().unwrap();
    assert!(joined.contains("IDA-DEA-001::") && joined.contains(','));
    assert_eq!(file[3]["status"], "invalid");
}

#[tokio::test]
async fn the_connectors_request_ends_in_the_registry_of_odoo() {
    let world = World::new().await;
    let format =
        r#"[{updateId: .input.id, ids: [{id_type: "MOSIP UIN TOKEN", value: .output.token}]}]"#;
    for auth in ["odoo", "oauth"] {
        let (status, said) = world
            .ask(changed(&[
                ("deliverytype", json!("callback")),
                ("callbackProperties", world.callback(auth)),
                ("outputFormat", json!(format)),
            ]))
            .await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(world.done(&said).await, "processed");
    }
    let registry = world.seen("/sandbox/registry").await;
    assert!(registry["7"]["MOSIP UIN TOKEN"].is_string(), "{registry}");
    let received = world.seen("/sandbox/received").await;
    let kinds: Vec<_> = received
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["authorization"].as_str().unwrap(),
                one["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(kinds, [("session", 200), ("bearer", 200)]);
}

#[tokio::test]
async fn the_reply_to_a_callback_is_not_looked_at_and_only_silence_is_an_error() {
    let world = World::new().await;
    world.odoo.misbehave(FaultOrder {
        kind: OdooFault::Error500,
        times: 1,
    });
    let with = |callback: Value| {
        changed(&[
            ("deliverytype", json!("callback")),
            ("callbackProperties", callback),
        ])
    };
    let (_, said) = world.ask(with(world.callback("staticBearer"))).await;
    assert_eq!(world.done(&said).await, "processed");
    let mut nowhere = world.callback("none");
    nowhere["url"] = json!("http://127.0.0.1:1/");
    let (_, said) = world.ask(with(nowhere)).await;
    assert_eq!(world.done(&said).await, "error_making_callback_request");
}

#[tokio::test]
async fn a_file_comes_and_goes_as_csv() {
    let world = World::new().await;
    let mut record = record(&people::all()[0]);
    // Odoo's `false` for nothing would be a word in a file.
    record["phone"] = json!("");
    let fields = record.as_object().unwrap();
    let text = |value: &Value| match value {
        Value::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    };
    let csv = format!(
        "{}\n{}\n",
        fields.keys().cloned().collect::<Vec<_>>().join(";"),
        fields.values().map(text).collect::<Vec<_>>().join(";")
    );
    let mut request = changed(&[("output", json!("csv")), ("csvDelimiter", json!(";"))]);
    request.as_object_mut().unwrap().remove("authdata");
    let mut body = multipart::one_file("b", "csv_file", csv.as_bytes());
    let second = multipart::one_file("b", "request", envelope(request).to_string().as_bytes());
    body.truncate(body.len() - b"--b--\r\n".len());
    body.extend(second);
    let media = "multipart/form-data; boundary=b";
    let answer = world.send("POST", "/authtoken/csv", media, body).await;
    let said = read(&answer);
    assert_eq!(answer.status, 200, "{said}");
    let file = world.file(&said).await;
    assert!(
        file.starts_with("vid;status;token;errorCode;errorMessage\r\n"),
        "{file}"
    );
    assert!(file.contains(";processed;"), "{file}");
}

#[tokio::test]
async fn what_is_malformed_or_missing_is_refused_with_its_code() {
    let world = World::new().await;
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let callback = |name: &str, value: Value| {
        let mut properties = world.callback("odoo");
        properties[name] = value;
        vec![
            ("deliverytype", json!("callback")),
            ("callbackProperties", properties),
        ]
    };
    let to_callback = [("deliverytype", json!("callback"))];
    assert_eq!(
        world.code(&[("output", json!("xml"))]).await,
        refused(422, "ATS-REQ-102")
    );
    assert_eq!(
        world.code(&[("outputFormat", json!(".a |"))]).await,
        refused(400, "ATS-REQ-103")
    );
    assert_eq!(
        world.code(&[("mapping", json!({"vid": "a b"}))]).await,
        refused(400, "ATS-REQ-103")
    );
    assert_eq!(world.code(&to_callback).await, refused(400, "ATS-REQ-024"));
    for (change, code) in [
        (callback("authType", json!("kerberos")), "ATS-REQ-027"),
        (callback("authOdoo", Value::Null), "ATS-REQ-028"),
        (callback("authOdoo", json!({})), "ATS-REQ-031"),
        (callback("authOdoo", json!({"authUrl": "x"})), "ATS-REQ-032"),
        (
            callback("authOdoo", json!({"authUrl": "x", "username": "y"})),
            "ATS-REQ-033",
        ),
    ] {
        assert_eq!(world.code(&change).await, refused(400, code));
    }
    let mut csv = callback("requestFileName", json!(""));
    csv.push(("output", json!("csv")));
    assert_eq!(world.code(&csv).await, refused(400, "ATS-REQ-025"));
    assert_eq!(
        world.code(&[("authdata", json!([{}]))]).await,
        refused(200, "ATS-REQ-101")
    );

    let odk = |config: Value| {
        envelope(json!({"odkconfig": config}))
            .to_string()
            .into_bytes()
    };
    let whole =
        json!({"baseurl": "x", "email": "x", "password": "x", "projectid": "1", "formid": "x"});
    for (config, code) in [(json!({}), "ATS-REQ-18"), (whole, "ATS-REQ-100")] {
        let answer = world
            .send("POST", "/authtoken/odk", "application/json", odk(config))
            .await;
        assert_eq!(read(&answer)["errors"][0]["errorCode"], code);
    }
    let answer = world
        .send("GET", "/authtoken/status/none", "", Vec::new())
        .await;
    assert_eq!(
        (
            answer.status.as_u16(),
            &read(&answer)["errors"][0]["errorCode"]
        ),
        (404, &json!("ATS-REQ-016"))
    );
}

#[tokio::test]
async fn a_program_that_fails_or_says_nothing_is_null() {
    for program in [".a.b.c | error", "empty", "infinite"] {
        assert_eq!(
            super::jq::first(program, &json!({})).await,
            Value::Null,
            "{program}"
        );
    }
    assert_eq!(
        super::jq::first(".a | map(. + 1)", &json!({"a": [1, 2]})).await,
        json!([2, 3])
    );
}
