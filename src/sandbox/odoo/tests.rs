//! Odoo from outside.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use super::{FaultOrder, Odoo, OdooConfig, OdooFault};
use crate::{
    clock::{Clock, Moment},
    sandbox::{
        ida::IdaAnswer,
        server::{Caller, Handler},
    },
};

fn odoo() -> Odoo {
    let config = OdooConfig {
        database: "registry".to_owned(),
        login: "seeder".to_owned(),
        password: "open sesame".to_owned(),
    };
    Odoo::new(config, Clock::standing_at(Moment::from_s(1_790_000_000)))
}

fn send(odoo: &Odoo, method: &str, path: &str, cookie: &str, body: &Value) -> IdaAnswer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("cookie", cookie)
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let caller = Caller {
        address: ([127, 0, 0, 1], 1).into(),
        tls_certificate: None,
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(odoo.handle(&caller, request))
}

fn log_in(odoo: &Odoo, password: &str) -> (Value, String) {
    let body = json!({"jsonrpc": "2.0", "params": {"db": "registry", "login": "seeder", "password": password}});
    let answer = send(odoo, "GET", "/web/session/authenticate", "", &body);
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    (
        serde_json::from_slice(&answer.body).unwrap(),
        cookie.split(';').next().unwrap().to_owned(),
    )
}

fn token() -> Value {
    json!([{"updateId": 7, "ids": [{"id_type": "MOSIP UIN TOKEN", "value": "123", "status": "valid"}]}])
}

const UPDATE: &str = "/api/v1/registry/update_individual";

#[test]
fn a_session_lets_write_and_a_session_of_nobody_does_not() {
    let odoo = odoo();
    let (said, nobody) = log_in(&odoo, "close sesame");
    assert_eq!(said["error"]["data"]["message"], "Access Denied");
    assert_eq!(send(&odoo, "PUT", UPDATE, &nobody, &token()).status, 403);
    assert_eq!(send(&odoo, "PUT", UPDATE, "", &token()).status, 403);

    let (said, cookie) = log_in(&odoo, "open sesame");
    assert_eq!(said["result"]["uid"], 2);
    assert_eq!(send(&odoo, "PUT", UPDATE, &cookie, &json!({})).status, 422);
    assert_eq!(send(&odoo, "PUT", UPDATE, &cookie, &token()).status, 200);
    let registry = send(&odoo, "GET", "/sandbox/registry", "", &Value::Null);
    let registry: Value = serde_json::from_slice(&registry.body).unwrap();
    assert_eq!(registry, json!({"7": {"MOSIP UIN TOKEN": "123"}}));

    send(&odoo, "GET", "/web/session/logout", &cookie, &Value::Null);
    assert_eq!(send(&odoo, "PUT", UPDATE, &cookie, &token()).status, 403);
}

#[test]
fn faults_come_in_order_and_everything_is_noted() {
    let odoo = odoo();
    let (_, cookie) = log_in(&odoo, "open sesame");
    for kind in [
        OdooFault::Error500,
        OdooFault::ErrorIn200,
        OdooFault::Redirect,
    ] {
        odoo.misbehave(FaultOrder { kind, times: 1 });
    }
    let statuses: Vec<u16> = (0..4)
        .map(|_| {
            send(&odoo, "PUT", UPDATE, &cookie, &token())
                .status
                .as_u16()
        })
        .collect();
    assert_eq!(statuses, [500, 200, 307, 200]);
    let received = send(&odoo, "GET", "/sandbox/received", "", &Value::Null);
    let received: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(received.as_array().unwrap().len(), 4);
    assert_eq!(received[0]["authorization"], "session");
}
