//! The admin listener: metrics and health, on an address of its own. Nothing here changes anything.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

use super::{
    accept::Serves,
    gate::{self, GateLimits, Going},
};
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
    refusal_fields: "",
};

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;

/// The admin listener. It outlives the faces, so that a stop can be watched.
pub(super) struct Admin {
    gateway: Arc<Gateway>,
    places: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
}

/// Ends the admin listener.
pub(super) struct Closing {
    tell: watch::Sender<bool>,
    places: Arc<Semaphore>,
}

impl Admin {
    pub(super) fn new(gateway: Arc<Gateway>) -> (Self, Closing) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let (tell, closing) = watch::channel(false);
        let closer = Closing {
            tell,
            places: Arc::clone(&places),
        };
        let admin = Self {
            gateway,
            places,
            closing,
        };
        (admin, closer)
    }
}

impl Closing {
    /// Accepts nothing more, and resolves when what was being answered is answered.
    pub(super) async fn close(&self) {
        self.tell.send_replace(true);
        // The listener has a place of its own.
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let _ = self.places.acquire_many(all).await;
    }
}

impl Serves for Admin {
    type Accepting = Option<OwnedSemaphorePermit>;

    fn begins(&self) -> Self::Accepting {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    async fn enough(&self) {
        let _ = self.closing.clone().wait_for(|closing| *closing).await;
    }

    fn serve(
        self: &Arc<Self>,
        stream: TcpStream,
        _: SocketAddr,
    ) -> impl Future<Output = ()> + Send + 'static {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let admin = Arc::clone(self);
        async move {
            let Ok(_place) = place else {
                return;
            };
            let going = Going::default();
            let stop = async {
                admin.enough().await;
                going.go_now();
                std::future::pending::<()>().await;
            };
            let gateway = &admin.gateway;
            let answering =
                |parts: Box<Parts>, _: CallerBody| async move { Box::new(answer(gateway, &parts)) };
            tokio::select! {
                biased;
                () = stop => {}
                _ = gate::serve(stream, LIMITS, gateway.clock(), answering, &going) => {}
            }
        }
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
