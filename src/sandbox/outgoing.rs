//! The sandbox's outgoing calls: one request over a connection of its own, plain HTTP, as far as the sandbox reaches. Like
//! the services it plays it goes wherever it is told; keeping it from that is the business of what stands in front.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header::HOST, uri::Scheme};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// The largest answer that is read.
const LARGEST: usize = 1024 * 1024;

/// Sends a request to the address in its URI, within a time for all of it.
///
/// # Errors
/// When it is no plain HTTP address, nobody answers in time, or the answer breaks off.
pub(super) async fn call(
    request: Request<Full<Bytes>>,
    limit: Duration,
) -> io::Result<Response<Bytes>> {
    timeout(limit, at_leisure(request))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn at_leisure(mut request: Request<Full<Bytes>>) -> io::Result<Response<Bytes>> {
    let address = request.uri().clone();
    let Some(authority) = address
        .authority()
        .filter(|_| address.scheme() == Some(&Scheme::HTTP))
    else {
        return Err(io::Error::other("not a plain HTTP address"));
    };
    let path = address.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(io::Error::other)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(io::Error::other)?;
    request.headers_mut().insert(HOST, host);
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let exchange = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, LARGEST)
            .collect()
            .await
            .map_err(io::Error::other)?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end first, with the answer already in hand.
        _ = connection => exchange.await,
    }
}
