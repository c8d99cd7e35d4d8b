//! Confirmations, in process; the wire is tested from outside (`tests/it/sandbox_registration.rs`).

use http::{Method, Request};
use serde_json::{Value, json};

use super::*;

fn core() -> Core {
    let config = CoreConfig::new("http://127.0.0.1:1".to_owned()).unwrap();
    Core::new(config, Clock::system(), None::<fn(&str)>)
}

async fn send(core: &Core, path: &str, token: &str, body: &Value) -> (u16, Value) {
    let caller = Caller {
        address: "127.0.0.1:9".parse().unwrap(),
        tls_certificate: None,
    };
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let answer = core.handle(&caller, request).await;
    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    (answer.status.as_u16(), body)
}

async fn action(core: &Core, kind: &str) -> Value {
    send(core, "/sandbox/actions", "", &json!({"kind": kind}))
        .await
        .1
}

fn input(action: &Value) -> Value {
    json!({
        "transactionId": "t", "eventId": action["eventId"], "actionId": action["actionId"],
        "registrationNumber": "D1", "declaration": {},
    })
}

const ACCEPT: &str = "/events/event.actions.register.accept?batch=1";

#[tokio::test]
async fn a_dotted_path_in_superjson_leaves_the_null_of_the_old_middleware() {
    let core = core();
    let action = action(&core, "death").await;
    let mut input = input(&action);
    input["declaration"] = json!({"child.nid": null});
    let meta = json!({"values": {"declaration.child.nid": ["undefined"]}});
    let body = json!({"0": {"json": input, "meta": meta}});
    let (status, answer) = send(&core, ACCEPT, action["token"].as_str().unwrap(), &body).await;
    assert_eq!(status, 200, "{answer}");
    let declaration = &answer[0]["result"]["data"]["json"]["actions"][0]["declaration"];
    assert_eq!(*declaration, json!({"child.nid": null}));
}

#[tokio::test]
async fn a_batch_with_two_verdicts_is_207() {
    let core = core();
    let action = action(&core, "death").await;
    let path = "/events/event.actions.register.accept,event.actions.register.reject?batch=1";
    let body = json!({"0": {"json": input(&action)}, "1": {"json": input(&action)}});
    let (status, answer) = send(&core, path, action["token"].as_str().unwrap(), &body).await;
    assert_eq!(status, 207);
    assert!(answer[0]["result"].is_object());
    let words = &answer[1]["error"]["json"]["message"];
    assert_eq!(words, "Action has already been accepted.");
}

#[tokio::test]
async fn a_rejected_action_cannot_be_accepted() {
    let core = core();
    let action = action(&core, "birth").await;
    let token = action["token"].as_str().unwrap();
    let body = json!({"0": {"json": input(&action)}});
    let reject = "/events/event.actions.register.reject?batch=1";
    assert_eq!(send(&core, reject, token, &body).await.0, 200);
    let (status, answer) = send(&core, ACCEPT, token, &body).await;
    assert_eq!(status, 400);
    assert_eq!(
        answer[0]["error"]["json"]["message"],
        "Action has already been rejected."
    );
}

#[tokio::test]
async fn nobody_from_elsewhere_gets_a_token() {
    let core = core();
    let caller = Caller {
        address: "192.0.2.1:9".parse().unwrap(),
        tls_certificate: None,
    };
    let answer = core.only_here(&caller, &Method::POST, "token", b"").await;
    assert_eq!(answer.status, 403);
}
