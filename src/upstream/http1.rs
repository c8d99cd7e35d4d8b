//! HTTP/1.1 connections to one address, each driven by the exchange that uses it.
//!
//! hyper's pooled client gives every connection a task of its own and speaks to it through channels; for a relay that is a
//! tenth of the processor's work (bench/README.md). Here the exchange polls its connection itself, and a connection that
//! nobody uses rests in the pool unpolled. Two consequences, both handled: whether a resting connection was closed is
//! found out when it is taken, and resting connections are put away by [`Pool::put_away`], not by a timer of their own.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use http::{Request, Response, Uri, uri::Authority};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, Connection, SendRequest},
};

use super::{
    RequestBody,
    connector::{Connector, Link},
};

/// Resting connections of one address.
#[derive(Debug)]
pub(super) struct Pool {
    connector: Connector,
    target: Uri,
    resting: Mutex<VecDeque<(Conn, Instant)>>,
    resting_max: usize,
    rest: Duration,
}

/// A connection with both its ends.
#[derive(Debug)]
struct Conn {
    sender: SendRequest<RequestBody>,
    driver: Pin<Box<Connection<Link, RequestBody>>>,
}

/// A connection in use; goes back to its pool when the answer was read to its end, and is closed otherwise.
#[derive(Debug)]
pub(super) struct Lease {
    conn: Option<Conn>,
    pool: Arc<Pool>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum SendError {
    /// No connection: not a byte was sent.
    Connect(std::io::Error),
    /// The connection failed; the request may have arrived.
    Broken(hyper::Error),
}

impl Pool {
    pub(super) fn new(
        connector: Connector,
        scheme: &str,
        authority: &Authority,
        resting_max: usize,
        rest: Duration,
    ) -> Result<Self, http::Error> {
        let target = Uri::builder()
            .scheme(scheme)
            .authority(authority.clone())
            .path_and_query("/")
            .build()?;
        Ok(Self {
            connector,
            target,
            resting: Mutex::new(VecDeque::new()),
            resting_max,
            rest,
        })
    }

    /// Sends a request in origin form, with Host, on a resting connection or a new one. A resting connection that turns out to
    /// be closed before a byte of the request was written is left for another.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Lease), SendError> {
        while let Some(conn) = self.take() {
            let mut lease = Lease {
                conn: Some(conn),
                pool: Arc::clone(self),
            };
            match lease.exchange(request).await {
                Ok(response) => return Ok((response, lease)),
                Err((_, Some(unsent))) => request = unsent,
                Err((error, None)) => return Err(SendError::Broken(error)),
            }
        }
        let mut lease = Lease {
            conn: Some(self.connect().await?),
            pool: Arc::clone(self),
        };
        match lease.exchange(request).await {
            Ok(response) => Ok((response, lease)),
            Err((error, _)) => Err(SendError::Broken(error)),
        }
    }

    async fn connect(&self) -> Result<Conn, SendError> {
        let link = self
            .connector
            .clone()
            .connect(&self.target)
            .await
            .map_err(SendError::Connect)?;
        let (sender, driver) = http1::handshake(link).await.map_err(SendError::Broken)?;
        Ok(Conn {
            sender,
            driver: Box::pin(driver),
        })
    }

    /// The connection that rested last and is still open: the others may then grow old and be put away.
    fn take(&self) -> Option<Conn> {
        loop {
            let (mut conn, since) = self.lock().pop_back()?;
            if since.elapsed() < self.rest && conn.is_free() {
                return Some(conn);
            }
        }
    }

    fn give_back(&self, conn: Conn) {
        let mut resting = self.lock();
        if resting.len() < self.resting_max {
            resting.push_back((conn, Instant::now()));
        }
    }

    /// Closes connections that have rested for too long.
    pub(super) fn put_away(&self) {
        let mut resting = self.lock();
        while resting
            .front()
            .is_some_and(|(_, since)| since.elapsed() >= self.rest)
        {
            resting.pop_front();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Conn, Instant)>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Conn {
    /// Whether a request can be sent: lets hyper look once at the connection, which ends it when the other side has.
    fn is_free(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.driver.as_mut().poll(&mut context).is_pending() && self.sender.is_ready()
    }
}

impl Lease {
    async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, (hyper::Error, Option<Request<RequestBody>>)> {
        let Some(conn) = &mut self.conn else {
            // A lease is made with a connection and loses it when dropped.
            return std::future::pending().await;
        };
        let mut answer = pin!(conn.sender.try_send_request(request));
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            // Driving the connection is what makes the answer; when it ends, it leaves an error there.
            let _ = conn.driver.as_mut().poll(cx);
            answer.as_mut().poll(cx)
        })
        .await
        .map_err(|mut error| {
            let unsent = error.take_message();
            (error.into_error(), unsent)
        })
    }

    /// Lets the connection work for a body that is being read. Says whether the connection has ended.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.conn {
            Some(conn) => conn.driver.as_mut().poll(cx).is_ready(),
            None => true,
        }
    }

    /// Gives the connection back: the answer was read to its end.
    pub(super) fn done(mut self) {
        if let Some(mut conn) = self.conn.take()
            && conn.is_free()
        {
            self.pool.give_back(conn);
        }
    }
}
