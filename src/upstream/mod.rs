//! Calls outward: connections kept and pooled, mutual TLS, time and size limits, several addresses with health.
//!
//! What is called and what its answer means is the handlers' business. Two rules hold here (field guide 3.4): a request
//! that may have arrived is never sent again, and an answer is whole or it is an error.

mod body;
mod connector;
mod http1;

pub use body::{AnswerBody, CallerBody, RequestBody, Source};
pub use connector::TlsSettings;

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, header, uri::Authority,
};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};

use prometheus::Histogram;

use crate::{
    clock::Clock,
    config,
    observe::Metrics,
    patience::Patience,
    refusal::{Code, Refusal, violation},
};
use body::{Answering, Streamed};
use connector::Connector;
use http1::{Failed, Pool};

/// One service behind the gateway.
#[derive(Debug)]
pub struct Upstream {
    spec: config::Upstream,
    addresses: Vec<Address>,
    next: AtomicUsize,
    clock: Clock,
    seconds: OnceLock<Histogram>,
}

/// One address with its pool and its health.
#[derive(Debug)]
struct Address {
    authority: Authority,
    scheme: &'static str,
    transport: Transport,
    unhealthy_until_ms: AtomicI64,
}

/// One address of an upstream.
#[derive(Debug)]
pub struct Origin<'u>(&'u Address);

impl std::fmt::Display for Origin<'_> {
    /// Scheme and authority in the normal form of RFC 3986 section 6.2.3.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scheme, authority) = (self.0.scheme, &self.0.authority);
        let host = authority.host().to_ascii_lowercase();
        let own = if scheme == "https" { 443 } else { 80 };
        match authority.port_u16().filter(|port| *port != own) {
            Some(port) => write!(f, "{scheme}://{host}:{port}"),
            None => write!(f, "{scheme}://{host}"),
        }
    }
}

/// How requests reach an address.
#[derive(Debug)]
enum Transport {
    /// HTTP/1.1: the exchange drives its connection itself.
    Http1(Arc<Pool>),
    /// HTTP/2, or what the TLS handshake agrees on: hyper's pooled client.
    Negotiated(Box<Client<Connector, RequestBody>>),
}

/// An answer as it comes, in a box: it goes through many hands.
type Received = Box<Response<AnswerBody>>;

/// A request to an upstream.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Path and query in canonical form.
    pub path_and_query: String,
    /// Headers; `host` and the framing are set here.
    pub headers: HeaderMap,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers as received.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Upstream {
    /// Builds pools for every address. Mistakes are reported; `tls` is what https addresses are called with.
    pub fn build(
        spec: &config::Upstream,
        tls: Option<&TlsSettings>,
        clock: &Clock,
        report: &mut config::Report<'_>,
    ) -> Option<Self> {
        let mut addresses: Vec<Address> = Vec::new();
        for (i, text) in spec.addresses.iter().enumerate() {
            let place = format!("addresses[{i}]");
            match Address::build(text, spec, tls) {
                Ok(address) => {
                    if addresses.iter().any(|a| a.scheme != address.scheme) {
                        report.error(
                            &place,
                            "http and https are mixed",
                            "Use one scheme for all addresses of an upstream.",
                        );
                    }
                    addresses.push(address);
                }
                Err((what, remedy)) => report.error(&place, what, remedy),
            }
        }
        if spec.addresses.is_empty() {
            report.error(
                "addresses",
                "the list is empty",
                "Add at least one address.",
            );
        }
        (addresses.len() == spec.addresses.len() && !addresses.is_empty()).then(|| Self {
            spec: spec.clone(),
            addresses,
            next: AtomicUsize::new(0),
            clock: clock.clone(),
            seconds: OnceLock::new(),
        })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Counts the time a call took.
    pub fn took(&self, metrics: &Metrics, time: Duration) {
        self.seconds
            .get_or_init(|| metrics.upstream_seconds.with_label_values(&[self.name()]))
            .observe(time.as_secs_f64());
    }

    /// The configuration it was built from.
    pub const fn spec(&self) -> &config::Upstream {
        &self.spec
    }

    /// Addresses that are left alone at present, with the milliseconds until they are tried again.
    pub fn unhealthy(&self) -> Vec<(String, i64)> {
        let now = self.clock.now().ms();
        self.addresses
            .iter()
            .filter_map(|a| {
                let left = a
                    .unhealthy_until_ms
                    .load(Ordering::Relaxed)
                    .saturating_sub(now);
                (left > 0).then(|| (a.authority.to_string(), left))
            })
            .collect()
    }

    /// How many addresses there are.
    pub fn address_count(&self) -> usize {
        self.addresses.len()
    }

    /// Sends a whole body and takes a whole answer. When an address cannot be connected to, the next is tried: nothing was
    /// sent yet. After that nothing is repeated.
    ///
    /// # Errors
    /// `UP-001` no connection, `UP-002` too slow, `UP-003` cut or not HTTP, `UP-004` too large.
    pub async fn call(&self, outgoing: Outgoing, body: Bytes) -> Result<Answer, Refusal> {
        let limit = Duration::from_millis(self.spec.answer_timeout_ms);
        tokio::time::timeout(limit, self.call_unlimited(outgoing, body))
            .await
            .unwrap_or_else(|_| {
                Err(Refusal::new(
                    Code::UpstreamSlow,
                    format!(
                        "{}: no answer within {} ms",
                        self.spec.name, self.spec.answer_timeout_ms
                    ),
                ))
            })
    }

    /// The addresses in the order in which they would be tried now: for messages that are signed for one address.
    pub fn origins(&self) -> Vec<Origin<'_>> {
        self.in_turn().map(Origin).collect()
    }

    /// As [`Upstream::call`], at one address and no other.
    ///
    /// # Errors
    /// As [`Upstream::call`]. After `UP-001` nothing was sent, and another address may be tried.
    pub async fn call_at(
        &self,
        origin: &Origin<'_>,
        outgoing: Outgoing,
        body: Bytes,
    ) -> Result<Answer, Refusal> {
        let limit = Duration::from_millis(self.spec.answer_timeout_ms);
        let called = async {
            let body = RequestBody::whole(body);
            let received = self.attempt(origin.0, Box::new(outgoing), body).await?;
            self.collect(received).await
        };
        tokio::time::timeout(limit, called)
            .await
            .unwrap_or_else(|_| {
                let ms = self.spec.answer_timeout_ms;
                let cause = format!("{}: no answer within {ms} ms", self.spec.name);
                Err(Refusal::new(Code::UpstreamSlow, cause))
            })
    }

    async fn call_unlimited(&self, outgoing: Outgoing, body: Bytes) -> Result<Answer, Refusal> {
        let received = self
            .send(Box::new(outgoing), || RequestBody::whole(body.clone()))
            .await?;
        self.collect(received).await
    }

    /// Sends a body as it comes and gives the answer as it comes. The time limit covers the answer's head; its body is cut off
    /// with an error when it stalls. The limit counts from `began`.
    ///
    /// # Errors
    /// As [`Upstream::call`], without `UP-004`.
    pub async fn stream(
        &self,
        outgoing: Box<Outgoing>,
        body: RequestBody,
        patience: &Patience,
        began: Instant,
    ) -> Result<Box<Response<AnswerBody>>, Refusal> {
        let limit = Duration::from_millis(self.spec.answer_timeout_ms);
        let deadline = began.checked_add(limit).unwrap_or(began);
        let sent = async {
            if self.addresses.len() > 1 && body.is_empty() {
                // In a box: the room it needs is not the room of the usual one address.
                Box::pin(self.send(outgoing, || RequestBody::whole(Bytes::new()))).await
            } else {
                self.send_once(outgoing, body).await
            }
        };
        let sent = patience.until(deadline, pin!(sent)).await;
        sent.unwrap_or_else(|| {
            let ms = self.spec.answer_timeout_ms;
            let cause = format!("{}: no answer within {ms} ms", self.spec.name);
            Err(Refusal::new(Code::UpstreamSlow, cause))
        })
    }

    /// Tries the addresses in turn until one takes the connection.
    async fn send(
        &self,
        outgoing: Box<Outgoing>,
        mut body: impl FnMut() -> RequestBody,
    ) -> Result<Received, Refusal> {
        if self.addresses.len() == 1 {
            return self.send_once(outgoing, body()).await;
        }
        let mut last = None;
        for address in self.in_turn() {
            match self.attempt(address, outgoing.clone(), body()).await {
                Ok(received) => return Ok(received),
                Err(refusal) if refusal.code() == Code::UpstreamDown => last = Some(refusal),
                Err(refusal) => return Err(refusal),
            }
        }
        Err(last.unwrap_or_else(|| Code::UpstreamDown.into()))
    }

    /// One address only: a streamed body cannot be made twice.
    async fn send_once(
        &self,
        outgoing: Box<Outgoing>,
        body: RequestBody,
    ) -> Result<Received, Refusal> {
        match self.in_turn().next() {
            Some(address) => self.attempt(address, outgoing, body).await,
            None => Err(Code::UpstreamDown.into()),
        }
    }

    async fn attempt(
        &self,
        address: &Address,
        outgoing: Box<Outgoing>,
        body: RequestBody,
    ) -> Result<Received, Refusal> {
        let stall = Duration::from_millis(self.spec.answer_timeout_ms);
        let streamed = |from| AnswerBody::streamed(Streamed::new(from, stall));
        let failed = |error: &(dyn std::error::Error + 'static), code: Code| {
            let cause = format!(
                "{} at {}: {}",
                self.spec.name,
                address.authority,
                chain(error)
            );
            Refusal::new(code, cause)
        };
        let outcome = match &address.transport {
            Transport::Http1(pool) => match pool.send(&outgoing, body).await {
                Ok((status, mut lease)) => {
                    let headers = lease.take_headers();
                    let mut response = Box::new(Response::new(streamed(Answering::Http1(lease))));
                    *response.status_mut() = status;
                    *response.headers_mut() = headers;
                    Ok(response)
                }
                Err(error) => Err(failed(
                    &error,
                    match &error {
                        Failed::Connect(_) => Code::UpstreamDown,
                        Failed::Body(cause) => violation(cause).unwrap_or(Code::HttpBodyCut),
                        Failed::Broken(_) | Failed::Unbelievable(_) => Code::UpstreamBroken,
                        Failed::Target => Code::Fault,
                    },
                )),
            },
            Transport::Negotiated(client) => {
                let outgoing = *outgoing;
                let mut request = Request::new(body);
                *request.method_mut() = outgoing.method;
                *request.headers_mut() = outgoing.headers;
                *request.uri_mut() = target(outgoing.path_and_query, address)?;
                match client.request(request).await {
                    Ok(response) => Ok(Box::new(
                        response.map(|incoming| streamed(Answering::Negotiated(incoming))),
                    )),
                    Err(error) if error.is_connect() => Err(failed(&error, Code::UpstreamDown)),
                    Err(error) => Err(failed(&error, Code::UpstreamBroken)),
                }
            }
        };
        match &outcome {
            Ok(_) => address.unhealthy_until_ms.store(0, Ordering::Relaxed),
            Err(refusal) if refusal.code() == Code::UpstreamDown => {
                let rest = i64::try_from(self.spec.unhealthy_ms).unwrap_or(i64::MAX);
                let until = self.clock.now().ms().saturating_add(rest);
                address.unhealthy_until_ms.store(until, Ordering::Relaxed);
            }
            Err(_) => {}
        }
        outcome
    }

    /// Closes connections that nobody has used for a while. Call it now and then.
    pub fn put_away_idle(&self) {
        for address in &self.addresses {
            if let Transport::Http1(pool) = &address.transport {
                pool.put_away();
            }
        }
    }

    /// Healthy addresses in turn, then the others: when all are unhealthy, trying is better than giving up.
    fn in_turn(&self) -> impl Iterator<Item = &Address> {
        let count = self.addresses.len().max(1);
        // With one address its health changes nothing, and the clock need not be asked.
        let (turn, now) = if count == 1 {
            (0, i64::MAX)
        } else {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            (turn, self.clock.now().ms())
        };
        let start = turn.checked_rem(count).unwrap_or(0);
        let healthy = move |a: &&Address| a.unhealthy_until_ms.load(Ordering::Relaxed) <= now;
        let from_start = move || self.addresses.iter().cycle().skip(start).take(count);
        from_start()
            .filter(healthy)
            .chain(from_start().filter(move |a| !healthy(a)))
    }

    async fn collect(&self, received: Received) -> Result<Answer, Refusal> {
        let (parts, mut body) = received.into_parts();
        let max = self.spec.answer_max_bytes;
        let too_large = || {
            Refusal::new(
                Code::UpstreamSize,
                format!("{}: more than {max} bytes", self.spec.name),
            )
        };
        if body.left() > Some(u64::try_from(max).unwrap_or(u64::MAX)) {
            return Err(too_large());
        }
        let mut first: Option<Bytes> = None;
        let mut more = BytesMut::new();
        while let Some(data) = poll_fn(|cx| body.poll_data(cx)).await {
            let data = data.map_err(|e| {
                let cause = format!("{}: {}", self.spec.name, chain(&e));
                Refusal::new(Code::UpstreamBroken, cause)
            })?;
            let so_far = first
                .as_ref()
                .map_or(0, Bytes::len)
                .saturating_add(more.len());
            if so_far.saturating_add(data.len()) > max {
                return Err(too_large());
            }
            match first {
                None => first = Some(data),
                Some(_) => more.extend_from_slice(&data),
            }
        }
        // Most answers come in one frame and need no copy.
        let body = match first {
            None => Bytes::new(),
            Some(one) if more.is_empty() => one,
            Some(one) => {
                let mut whole = BytesMut::with_capacity(one.len().saturating_add(more.len()));
                whole.extend_from_slice(&one);
                whole.extend_from_slice(&more);
                whole.freeze()
            }
        };
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

impl Address {
    fn build(
        text: &str,
        spec: &config::Upstream,
        tls: Option<&TlsSettings>,
    ) -> Result<Self, (String, &'static str)> {
        const FORM: &str = "Write it as https://host:port or http://host:port, without a path.";
        let uri: Uri = text
            .parse()
            .map_err(|e| (format!("`{text}` is not an address: {e}"), FORM))?;
        let scheme = match uri.scheme_str() {
            Some("https") => "https",
            Some("http") => "http",
            _ => return Err((format!("`{text}` has no scheme http or https"), FORM)),
        };
        let Some(authority) = uri
            .authority()
            .cloned()
            .filter(|a| !a.as_str().contains('@'))
        else {
            return Err((format!("`{text}` has no host"), FORM));
        };
        if uri.path_and_query().is_some_and(|p| p.as_str() != "/") {
            return Err((format!("`{text}` has a path"), FORM));
        }
        let tls = match (scheme, tls) {
            ("https", None) => {
                return Err((
                    "https needs TLS settings".to_owned(),
                    "List `anchors` for this upstream.",
                ));
            }
            ("https", Some(tls)) => Some(tls.clone()),
            _ => None,
        };
        if tls.is_none() && spec.http == config::HttpVersion::Http2 {
            return Err((
                "HTTP/2 without TLS".to_owned(),
                "Use https, or http = \"1.1\".",
            ));
        }
        let connector = Connector::new(
            tls,
            spec.http,
            Duration::from_millis(spec.connect_timeout_ms),
        );
        let idle = Duration::from_millis(spec.idle_timeout_ms);
        let http1 = scheme == "http" || spec.http == config::HttpVersion::Http11;
        let transport = if http1 {
            Pool::new(
                connector,
                scheme,
                &authority,
                spec.idle_connections_max,
                idle,
            )
            .map(|pool| Transport::Http1(Arc::new(pool)))
            .map_err(|e| (format!("`{text}` is not an address: {e}"), FORM))?
        } else {
            let client = Client::builder(TokioExecutor::new())
                .pool_idle_timeout(idle)
                .pool_max_idle_per_host(spec.idle_connections_max)
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .http2_only(spec.http == config::HttpVersion::Http2)
                // hyper gives a request back only when not a byte of it was written (a kept connection that had closed).
                .retry_canceled_requests(true)
                .build(connector);
            Transport::Negotiated(Box::new(client))
        };
        Ok(Self {
            authority,
            scheme,
            transport,
            unhealthy_until_ms: AtomicI64::new(0),
        })
    }
}

/// The request's target, absolute for a client that finds the connection by it.
fn target(path_and_query: String, address: &Address) -> Result<Uri, Refusal> {
    Uri::builder()
        .scheme(address.scheme)
        .authority(address.authority.clone())
        .path_and_query(path_and_query)
        .build()
        .map_err(|e| Refusal::new(Code::Fault, format!("upstream target: {e}")))
}

/// Takes away what never goes from one connection to another (RFC 9110 section 7.6.1), from an answer.
pub fn keep_end_to_end(headers: &mut HeaderMap) {
    let of_one_connection = |name: &&HeaderName| {
        matches!(
            name.as_str(),
            "connection"
                | "keep-alive"
                | "proxy-connection"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        )
    };
    let found: Vec<HeaderName> = headers.keys().filter(of_one_connection).cloned().collect();
    // Most answers have none of them left (`http1/answer.rs`).
    if found.is_empty() {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&found) {
        headers.remove(name);
    }
}

/// An error with its sources, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
