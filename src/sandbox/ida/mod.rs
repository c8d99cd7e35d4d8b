//! MOSIP's ID-Authentication, played properly: it verifies what MOSIP verifies, in MOSIP's order, answers with MOSIP's
//! codes and signs every answer.
//!
//! It is written from the wire reference (`mosip-ida-and-keymanager.md`, sections 1 to 3 and 8) over OpenSSL and josekit,
//! without a line in common with the gateway's envelope, so that both check each other. As lenient as MOSIP (encodings,
//! replays inside the window, any licence with any partner) and as strict.
//!
//! What it leaves out, and how it says so: biometrics (`bio` is not a site-wide factor: IDA-MLC-011), passwords and
//! key-bound tokens (the same), key binding and VC issuance (IDA-MPA-032 and -037 unless the MISP policy allows them,
//! then the generic IDA-MLC-007), hotlists and child-age rules. There is no network in here; [`super::server`] has it.

mod config_check;
mod controller;
mod crypto;
mod encoding;
mod failure;
mod filter;
mod inner;
mod kyc;
mod log;
mod management;
mod matching;
mod misbehave;
mod otp;
mod partner;
mod policy;
mod records;
mod reply;
mod route;
mod seeding;
mod service;
mod signature;
mod signer;
mod time;
mod token;
mod trust;
mod validate;

#[cfg(test)]
pub(super) mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use openssl::pkey::{PKey, Private};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

pub use config_check::IdaConfigError;
pub use log::ExchangeLog;
pub(in crate::sandbox) use management::{Subject, Told};
pub use misbehave::{Fault, FaultOrder};
pub use policy::{AllowedAuthType, AuthPolicyDoc, KycAttribute, MispPolicyDoc};
pub use records::{
    ApiKeyRecord, IdaConfig, KeyKind, KeymanagerVersion, MispRecord, OtpRules, OwnKey,
    PartnerRecord, PolicyRecord, Status, Validity, Window,
};
pub use service::IdaService;

use failure::{Failure, Stop};
use filter::Arrived;
use reply::Reply;
use route::Route;

/// How long the body of the `oversize` fault is.
const OVERSIZE: usize = 10 * 1024 * 1024;
/// Texts in a URL that make MOSIP skip its filter.
const MAGIC: [&str; 4] = ["swagger", "api-docs", "actuator", "callback"];

/// Where the log goes.
type LogSink = Arc<dyn Fn(&ExchangeLog) + Send + Sync>;

/// The sandbox's IDA.
pub struct Ida {
    config: IdaConfig,
    encryption: PKey<Private>,
    thumbprint: [u8; 32],
    signer: signer::Signer,
    trust: trust::TrustStore,
    secret: Zeroizing<[u8; 32]>,
    state: Mutex<State>,
    log: Option<LogSink>,
}

impl fmt::Debug for Ida {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ida").finish_non_exhaustive()
    }
}

/// What changes while it runs.
#[derive(Default)]
struct State {
    /// Partner management changes it, so that who decides about a request takes it as it is then.
    known: Arc<management::Known>,
    otp: otp::OtpBook,
    kyc_tokens: token::KycTokens,
    faults: misbehave::Switchboard,
}

/// An answer, ready for the wire.
#[derive(Clone, Debug)]
pub struct IdaAnswer {
    /// HTTP status; 200 for everything that is handled.
    pub status: StatusCode,
    /// `content-type` and, as a rule, `response-signature`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// After how many bytes of the body the connection is to be cut (fault `cut`).
    pub cut_at: Option<usize>,
}

impl Ida {
    /// Checks the configuration and makes an IDA of it.
    ///
    /// # Errors
    /// When a key or certificate cannot be read, does not fit its partner, or an id stands twice.
    pub fn new(config: IdaConfig) -> Result<Self, IdaConfigError> {
        config_check::check(config)
    }

    /// Calls `sink` with a line for each exchange.
    #[must_use]
    pub fn with_log(mut self, sink: impl Fn(&ExchangeLog) + Send + Sync + 'static) -> Self {
        self.log = Some(Arc::new(sink));
        self
    }

    /// Answers a POST.
    pub async fn answer(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: crate::clock::Moment,
    ) -> IdaAnswer {
        self.answer_over(None, path, headers, body, now).await
    }

    /// Answers a POST that came over a connection with this TLS client certificate (DER); it only goes into the log, as
    /// MOSIP does not look at it either.
    pub async fn answer_over(
        &self,
        connection: Option<&[u8]>,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: crate::clock::Moment,
    ) -> IdaAnswer {
        let Some((route, segments)) = Route::of(path) else {
            return plain(StatusCode::NOT_FOUND, "Not Found");
        };
        let mut log = ExchangeLog::new(route.name(), connection);
        let fault = self.lock().faults.next();
        if let Some((Fault::Slow, delay)) = fault {
            tokio::time::sleep(delay).await;
        }
        let fault = fault.map(|(fault, _)| fault);
        log.fault = fault.map(Fault::name);
        let answer = if fault == Some(Fault::Error500) {
            log.outcome = "misbehaved";
            plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        } else if MAGIC.iter().any(|text| path.contains(text)) {
            // Filter and signature are skipped together; the controller then refuses what was not wrapped.
            let stop = Stop::one(Failure::generic());
            let reply = Reply::stopped(route, &Map::new(), stop, now);
            log.outcome = "refused";
            json_answer(serde_json::to_vec(&reply).unwrap_or_default())
        } else {
            let arrived = Arrived {
                route,
                segments,
                headers,
                body,
                now,
            };
            match self.reply(&arrived, &mut log) {
                Some(reply) => self.finish(reply, fault),
                None => plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
            }
        };
        log.status = answer.status.as_u16();
        if let Some(sink) = &self.log {
            sink(&log);
        }
        answer
    }

    /// The reply to a request; none where Java would fall over.
    fn reply(&self, arrived: &Arrived<'_>, log: &mut ExchangeLog) -> Option<Reply> {
        log.outcome = "refused";
        let outer: Map<String, Value> = if arrived.body.is_empty() {
            Map::new()
        } else {
            serde_json::from_slice(arrived.body).ok()?
        };
        log.transaction = filter::scalar(&outer, "transactionID")
            .filter(|text| validate::is_transaction(text))
            .map(str::to_owned);
        let verdict = if arrived.body.is_empty() {
            Err(Stop::one(Failure::generic()))
        } else {
            self.decide(arrived, outer.clone(), log)
        };
        let reply = match verdict {
            Ok((response, errors)) => {
                Reply::new(arrived.route, &outer, response, errors, arrived.now)
            }
            Err(Stop::Crash) => return None,
            Err(stop) => Reply::stopped(arrived.route, &outer, stop, arrived.now),
        };
        log.codes = reply
            .errors
            .iter()
            .flatten()
            .map(|failure| failure.error_code)
            .collect();
        Some(reply)
    }

    /// Serialises and signs, or misbehaves.
    fn finish(&self, mut reply: Reply, fault: Option<Fault>) -> IdaAnswer {
        if fault == Some(Fault::OtherTransaction) {
            reply.transaction_id = Some("0000000000".to_owned());
        }
        let mut body = serde_json::to_vec(&reply).unwrap_or_default();
        match fault {
            Some(Fault::NotJson) => body = b"<html><body>Bad Gateway</body></html>".to_vec(),
            // White space after the object is still JSON.
            Some(Fault::Oversize) => body.resize(OVERSIZE, b' '),
            _ => {}
        }
        let signed = match fault {
            Some(Fault::WrongSignature) => self.signer.detached(b"other bytes"),
            _ => self.signer.detached(&body),
        };
        let cut_at = (fault == Some(Fault::Cut)).then_some(body.len() / 2);
        let mut answer = json_answer(body);
        answer.cut_at = cut_at;
        // MOSIP too sends the body without the header when signing fails.
        if let Ok(Ok(value)) = signed.map(HeaderValue::try_from)
            && fault != Some(Fault::Unsigned)
        {
            answer
                .headers
                .insert(HeaderName::from_static("response-signature"), value);
        }
        answer
    }

    fn filter<'a>(&'a self, known: &'a management::Known) -> filter::Filter<'a> {
        filter::Filter {
            known,
            keymanager: self.config.keymanager,
            encryption: &self.encryption,
            thumbprint: self.thumbprint,
            trust: &self.trust,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn json_answer(body: Vec<u8>) -> IdaAnswer {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json;charset=UTF-8"),
    );
    IdaAnswer {
        status: StatusCode::OK,
        headers,
        body,
        cut_at: None,
    }
}

/// What the web server below IDA says.
fn plain(status: StatusCode, error: &str) -> IdaAnswer {
    let body = serde_json::json!({"status": status.as_u16(), "error": error});
    IdaAnswer {
        status,
        ..json_answer(body.to_string().into_bytes())
    }
}
