//! Step 6, handle: what a handler is given and what it gives back.

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use super::{
    Content, Near, Opened, Permitted, Snapshot, Target, Trail, admit::Held, plain_refusal,
};
use crate::{
    config::HandlerKind,
    envelope::mosip_ida::AnswerText,
    partners::Caller,
    policy::{AuthPolicy, Route},
    refusal::{Code, Refusal},
    upstream::AnswerBody,
};

/// The protocol of a route: its rules and its calls upstream.
pub trait Handler: Send + Sync + std::fmt::Debug {
    /// Serves a permitted exchange.
    fn handle<'a>(
        &'a self,
        permitted: Permitted,
        trail: &'a mut Trail,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>>;

    /// How this protocol tells a caller of a refusal. One exhaustive match over the codes.
    fn refusal(&self, refusal: &Refusal, trail: &Trail) -> RefusalAnswer;
}

/// What a protocol answers to a refusal.
#[derive(Debug)]
pub struct RefusalAnswer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
    /// Whether the protocol signs its answers.
    pub signed: bool,
}

/// All handlers, by kind.
#[derive(Debug, Default)]
pub struct Handlers {
    known: HashMap<HandlerKind, Box<dyn Handler>>,
}

impl Handlers {
    /// The same with one protocol more.
    #[must_use]
    pub fn with(mut self, kind: HandlerKind, handler: impl Handler + 'static) -> Self {
        self.known.insert(kind, Box::new(handler));
        self
    }

    /// The handler of a route.
    pub fn of(&self, kind: HandlerKind) -> &dyn Handler {
        (self.known.get(&kind)).map_or(&Absent, Box::as_ref)
    }

    pub(super) async fn handle(
        &self,
        permitted: Permitted,
        trail: &mut Trail,
    ) -> Result<Reply, Refusal> {
        let kind = permitted.opened().route().handler();
        self.of(kind).handle(permitted, trail).await
    }
}

/// Stands where no handler was added: refuses.
#[derive(Debug)]
struct Absent;

impl Handler for Absent {
    fn handle<'a>(
        &'a self,
        _: Permitted,
        _: &'a mut Trail,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>> {
        let refusal = Refusal::new(Code::Fault, "this binary has no handler of that kind");
        Box::pin(std::future::ready(Err(refusal)))
    }

    fn refusal(&self, refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
        plain_refusal(refusal, trail)
    }
}

/// The exchange while a handler has it. Made from a [`Permitted`] alone, and the only way to a [`Reply`].
#[derive(Debug)]
pub struct Handling {
    opened: Opened,
    snapshot: Arc<Snapshot>,
}

impl Permitted {
    /// Hands the content to the handler.
    pub fn begin(self, trail: &Trail) -> (Content, Handling) {
        let (content, opened) = self.into_opened().take_content();
        (
            content,
            Handling {
                opened,
                snapshot: Arc::clone(trail.snapshot()),
            },
        )
    }
}

impl Handling {
    /// The snapshot of this exchange.
    pub const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Who is calling.
    pub const fn caller(&self) -> &Caller {
        self.opened.caller()
    }

    /// What the API key's policy grants, on routes that have one.
    pub const fn grant(&self) -> Option<&Arc<AuthPolicy>> {
        self.opened.grant()
    }

    /// The route.
    pub const fn route(&self) -> &Arc<Route> {
        self.opened.route()
    }

    /// Where it goes.
    pub const fn target(&self) -> &Target {
        self.opened.target()
    }

    /// The method.
    pub const fn method(&self) -> &http::Method {
        self.opened.method()
    }

    /// The headers as received.
    pub const fn headers(&self) -> &HeaderMap {
        self.opened.headers()
    }

    /// The headers as received, for whoever passes them on; there are none here after that.
    pub fn take_headers(&mut self) -> HeaderMap {
        self.opened.take_headers()
    }

    /// What the request's target said.
    pub const fn near(&self) -> &Near {
        self.opened.near()
    }

    /// A whole answer, sealed as the route says: `headers` may carry what the protocol needs beside it.
    pub fn answer(self, status: StatusCode, headers: HeaderMap, body: Bytes) -> Reply {
        let mut response = Box::new(Response::new(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        self.reply(ReplyBody::Whole(response), None)
    }

    /// An IDA answer: a JSON body that will be signed, its identity sealed when that is still plain.
    /// `code` is the refusal that a gateway behind us stated beside it.
    pub fn answer_ida(self, status: StatusCode, body: IdaBody, code: Option<Code>) -> Reply {
        self.reply(ReplyBody::Ida(status, body), code)
    }

    /// A plain answer that is passed on as it comes.
    pub fn answer_plain(self, response: Box<Response<AnswerBody>>) -> Reply {
        self.reply(ReplyBody::Plain(response), None)
    }

    fn reply(self, body: ReplyBody, code: Option<Code>) -> Reply {
        let held = self.opened.into_held();
        Reply { held, body, code }
    }
}

/// The body of an IDA answer, by what is still to be done to its identity block.
#[derive(Debug)]
pub enum IdaBody {
    /// There is none, or it is sealed to the caller already.
    AsItIs(Bytes),
    /// `response.identity` is plain: seal it to the caller's encryption certificate.
    PlainIdentity(AnswerText),
}

/// A handler's answer, not yet sealed.
#[derive(Debug)]
pub struct Reply {
    pub(super) held: Box<Held>,
    pub(super) body: ReplyBody,
    pub(super) code: Option<Code>,
}

#[derive(Debug)]
pub(super) enum ReplyBody {
    Ida(StatusCode, IdaBody),
    Plain(Box<Response<AnswerBody>>),
    Whole(Box<Response<Bytes>>),
}
