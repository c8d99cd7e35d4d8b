//! The admin listener: metrics and health, on an address of its own. Nothing here changes anything.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use pingora_core::{
    apps::ServerApp,
    protocols::{Stream, l4::stream::Stream as L4Stream},
    server::ShutdownWatch,
};

use super::gate::{self, GateLimits, Going};
use crate::{
    exchange::Gateway,
    upstream::{AnswerBody, CallerBody},
};

/// Bounds of the admin listener; it serves scrapers, not partners.
const LIMITS: GateLimits = GateLimits {
    head_max_bytes: 8 << 10,
    headers_max: 50,
    head_timeout: Duration::from_secs(5),
    idle_timeout: Duration::from_secs(75),
};

/// The admin listener.
pub(super) struct Admin {
    gateway: Arc<Gateway>,
    places: tokio::sync::Semaphore,
}

impl Admin {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        Self {
            gateway,
            places: tokio::sync::Semaphore::new(64),
        }
    }
}

#[async_trait]
impl ServerApp for Admin {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let stream = *stream.into_any().downcast::<L4Stream>().ok()?;
        let _place = self.places.try_acquire().ok()?;
        let going = Going::default();
        let mut stopping = shutdown.clone();
        let stop = async {
            let _ = stopping.wait_for(|s| *s).await;
            going.go();
            std::future::pending::<()>().await;
        };
        let gateway = &self.gateway;
        let answering = |parts: Parts, _: CallerBody| async move { answer(gateway, &parts) };
        tokio::select! {
            biased;
            () = stop => {}
            _ = gate::serve(stream, LIMITS, gateway.clock(), answering, &going) => {}
        }
        None
    }
}

fn answer(gateway: &Gateway, request: &Parts) -> Response<AnswerBody> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            b"only GET\n".to_vec(),
        );
    }
    match request.uri.path() {
        "/metrics" => {
            gateway.refresh_metrics();
            text(
                StatusCode::OK,
                "text/plain; version=0.0.4",
                gateway.metrics().render(),
            )
        }
        "/healthz" => {
            let health = gateway.health();
            text(
                StatusCode::OK,
                "application/json",
                health.to_string().into_bytes(),
            )
        }
        "/readyz" => {
            let (ready, why) = gateway.readiness();
            let status = if ready {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            text(status, "application/json", why.to_string().into_bytes())
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "text/plain",
            b"here are /metrics, /healthz and /readyz\n".to_vec(),
        ),
    }
}

fn text(status: StatusCode, media: &'static str, body: Vec<u8>) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
