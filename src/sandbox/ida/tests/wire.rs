//! On a socket: HTTP/1.1 and HTTP/2, the outbox, and every fault that can be ordered.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    super::{IdaAnswer, IdaService},
    world::{Ask, NOW, ida, signed_by_ida},
};
use crate::{
    clock::Clock,
    sandbox::server::{Running, serve},
};

type Browser = Client<HttpConnector, Full<Bytes>>;

async fn start() -> (Running, Browser) {
    let service = IdaService::new(Arc::new(ida()), Clock::standing_at(NOW));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = serve(listener, None, Arc::new(service)).unwrap();
    (running, Client::builder(TokioExecutor::new()).build_http())
}

async fn send(browser: &Browser, running: &Running, ask: &Ask) -> Result<IdaAnswer, String> {
    let (body, headers) = ask.wire();
    let mut request = http::Request::post(format!("http://{}{}", running.address(), ask.path));
    request.headers_mut().unwrap().extend(headers);
    let response = browser
        .request(request.body(Full::from(body)).unwrap())
        .await
        .map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?;
    Ok(IdaAnswer {
        status: parts.status,
        headers: parts.headers,
        body: body.to_bytes().to_vec(),
        cut_at: None,
    })
}

async fn order(browser: &Browser, running: &Running, fault: Value) -> u16 {
    let request = http::Request::post(format!("http://{}/sandbox/fault", running.address()))
        .body(Full::from(fault.to_string()))
        .unwrap();
    browser.request(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn requests_are_answered_over_http_1_and_http_2() {
    let (running, browser) = start().await;
    let answer = send(&browser, &running, &Ask::new("auth")).await.unwrap();
    assert!(signed_by_ida(&answer));
    let http2: Browser = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let answer = send(&http2, &running, &Ask::new("kyc")).await.unwrap();
    assert!(signed_by_ida(&answer));
    drop((browser, http2));
    running.stop().await;
}

#[tokio::test]
async fn the_outbox_gives_the_password_of_a_transaction() {
    let (running, browser) = start().await;
    let outbox = format!("http://{}/sandbox/otp/1234567890", running.address());
    assert_eq!(
        browser.get(outbox.parse().unwrap()).await.unwrap().status(),
        404
    );
    send(&browser, &running, &Ask::new("otp")).await.unwrap();
    let response = browser.get(outbox.parse().unwrap()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let auth = Ask::new("auth")
        .demographics(Value::Null)
        .inner("otp", body["otp"].clone());
    let answer = send(&browser, &running, &auth).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["response"]["authStatus"], true);
    running.stop().await;
}

#[tokio::test]
async fn every_fault_strikes_as_often_as_ordered_and_no_more() {
    let (running, browser) = start().await;
    let ask = Ask::new("auth");
    for kind in [
        "cut",
        "slow",
        "unsigned",
        "wrong-signature",
        "oversize",
        "error500",
        "not-json",
        "other-transaction",
    ] {
        assert_eq!(
            order(&browser, &running, json!({"kind": kind, "ms": 200})).await,
            200
        );
        let before = std::time::Instant::now();
        let answer = send(&browser, &running, &ask).await;
        let took = before.elapsed();
        match (kind, answer) {
            ("cut", answer) => assert!(answer.is_err(), "a cut answer is no answer"),
            ("slow", answer) => {
                assert!(took.as_millis() >= 200);
                assert!(signed_by_ida(&answer.unwrap()));
            }
            ("unsigned", answer) => {
                assert!(!answer.unwrap().headers.contains_key("response-signature"))
            }
            ("wrong-signature", answer) => assert!(!signed_by_ida(&answer.unwrap())),
            ("oversize", answer) => {
                let answer = answer.unwrap();
                assert!(answer.body.len() == 10 * 1024 * 1024 && signed_by_ida(&answer));
            }
            ("error500", answer) => assert_eq!(answer.unwrap().status, 500),
            ("not-json", answer) => {
                assert!(serde_json::from_slice::<Value>(&answer.unwrap().body).is_err());
            }
            (_, answer) => {
                let answer = answer.unwrap();
                let body: Value = serde_json::from_slice(&answer.body).unwrap();
                assert!(signed_by_ida(&answer) && body["transactionID"] == "0000000000");
            }
        }
        let after = send(&browser, &running, &ask).await.unwrap();
        let body: Value = serde_json::from_slice(&after.body).unwrap();
        assert_eq!(body["response"]["authStatus"], true, "after {kind}");
    }
    assert_eq!(
        order(&browser, &running, json!({"kind": "nonsense"})).await,
        400
    );
    running.stop().await;
}
