//! On a socket: HTTP/1.1 and HTTP/2, the outbox, and every fault that can be ordered.

use std::sync::{Arc, Mutex};

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

/// The answer, or what of it arrived: the head, or nothing.
async fn send(browser: &Browser, running: &Running, ask: &Ask) -> Result<IdaAnswer, Option<u16>> {
    let (body, headers) = ask.wire();
    let mut request = http::Request::post(format!("http://{}{}", running.address(), ask.path));
    request.headers_mut().unwrap().extend(headers);
    let response = browser
        .request(request.body(Full::from(body)).unwrap())
        .await
        .map_err(|_| None)?;
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|_| Some(parts.status.as_u16()))?;
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
            ("cut", answer) => assert_eq!(
                answer.err(),
                Some(Some(200)),
                "the head arrives, the body does not"
            ),
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

#[tokio::test]
async fn with_mutual_tls_the_log_names_the_client_certificate_and_strangers_are_kept_out() {
    let issuer = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        rcgen::CertifiedIssuer::self_signed(params, key).unwrap()
    };
    let leaf = |issuer: &rcgen::CertifiedIssuer<'_, rcgen::KeyPair>| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (certificate.der().clone(), key)
    };
    let (ca, other) = (issuer("ca"), issuer("other"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let roots = Arc::new(roots);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        roots.clone(),
        provider.clone(),
    )
    .build()
    .unwrap();
    let (certificate, key) = leaf(&ca);
    let mut tls = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];

    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let ida = ida().with_log(move |line| sink.lock().unwrap().push(line.connection.clone()));
    let service = IdaService::new(Arc::new(ida), Clock::standing_at(NOW));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = serve(listener, Some(Arc::new(tls)), Arc::new(service)).unwrap();

    for (issuer, welcome) in [(&ca, true), (&other, false)] {
        let (certificate, key) = leaf(issuer);
        let client = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(vec![certificate.clone()], key)
            .unwrap();
        let stream = tokio::net::TcpStream::connect(running.address())
            .await
            .unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(client))
            .connect("localhost".try_into().unwrap(), stream)
            .await
            .unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let ask = Ask::new("auth");
        let (body, headers) = ask.wire();
        let mut request = http::Request::post(&ask.path);
        request.headers_mut().unwrap().extend(headers);
        let answer = sender
            .send_request(request.body(Full::<Bytes>::from(body)).unwrap())
            .await;
        assert_eq!(answer.is_ok(), welcome);
        let fingerprint: String = openssl::sha::sha256(&certificate)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(lines.lock().unwrap().contains(&Some(fingerprint)), welcome);
    }
    running.stop().await;
}
