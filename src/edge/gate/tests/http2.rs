//! HTTP/2 through hyper's real server and client: what of it reaches the canonical request.

use super::served::limits;
use crate::{
    edge::gate::http2,
    exchange::canonical::{CanonicalRequest, HostRules},
};
use bytes::Bytes;
use http_body_util::{Empty, Full};
use hyper::{
    Request, Response, body::Incoming, client::conn::http2::SendRequest, service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use tokio::io::duplex;

/// Answers with the code of the refusal, or `read` and what the canonical request holds.
async fn judge(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, _) = request.into_parts();
    let rules = HostRules::names(["gate.example"]);
    let read = match CanonicalRequest::from_parts(&parts, &rules, Some("gate.example")) {
        Ok(read) => format!(
            "read {} {} {:?}",
            read.host(),
            read.path().as_str(),
            read.query()
        ),
        Err(refusal) => refusal.code().to_string(),
    };
    Ok(Response::builder()
        .header("read", read)
        .body(Full::default())
        .unwrap())
}

async fn client() -> SendRequest<Empty<Bytes>> {
    let (near, far) = duplex(64 << 10);
    tokio::spawn(async move {
        let builder = http2(TokioExecutor::new(), &limits(), 8);
        builder
            .serve_connection(TokioIo::new(far), service_fn(judge))
            .await
    });
    let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near));
    let (sender, connection) = client.await.unwrap();
    tokio::spawn(connection);
    sender
}

/// What the server made of a request, or `reset` when the library would not have it.
async fn judged(uri: &str, headers: &[(&str, &str)]) -> String {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::new()).unwrap();
    match client().await.send_request(request).await {
        Ok(answer) if answer.headers().contains_key("read") => {
            answer.headers()["read"].to_str().unwrap().to_owned()
        }
        Ok(answer) => answer.status().to_string(),
        Err(_) => "reset".to_owned(),
    }
}

#[tokio::test]
async fn http2_requests_are_judged_like_others() {
    const OK: &str = "https://gate.example:8443/a/b?c=d";
    assert_eq!(
        judged(OK, &[]).await,
        "read gate.example /a/b Some(\"c=d\")"
    );
    assert_eq!(judged("https://other.example/a", &[]).await, "HTTP-004");
    assert_eq!(judged(OK, &[("host", "other.example")]).await, "HTTP-004");
    assert_eq!(judged("https://gate.example/a/../b", &[]).await, "HTTP-006");
    assert_eq!(
        judged("https://gate.example/a/%2e%2e/b", &[]).await,
        "HTTP-006"
    );
    assert_eq!(judged(OK, &[("x-triseal-partner", "p")]).await, "HTTP-013");
    assert_eq!(judged(OK, &[("x_triseal_partner", "p")]).await, "HTTP-007");
    assert_eq!(
        judged(OK, &[("signature", "a"), ("signature", "b")]).await,
        "HTTP-007"
    );
}

#[tokio::test]
async fn http2_heads_over_the_limit_are_refused_by_the_library() {
    let large = "v".repeat(limits().head_max_bytes);
    let status = judged("https://gate.example/a", &[("x-large", &large)]).await;
    assert_eq!(status, "431 Request Header Fields Too Large");
}
