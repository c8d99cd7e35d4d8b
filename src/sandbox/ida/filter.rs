//! IDA's filter: everything that is checked before a controller sees the request, in MOSIP's order (reference, section
//! 2.1; the row numbers are its).

use http::HeaderMap;
use openssl::{
    pkey::{PKey, Private},
    sha::sha256,
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    crypto, encoding,
    failure::{Failure, Stop},
    inner::Factors,
    log::ExchangeLog,
    management::Known,
    partner::{self, Parties},
    policy,
    records::{KeyKind, KeymanagerVersion},
    route::{Identifiers, Route},
    signature,
    trust::TrustStore,
};
use crate::clock::Moment;

/// A request as it arrived.
pub(super) struct Arrived<'r> {
    pub(super) route: Route,
    pub(super) segments: Vec<&'r str>,
    pub(super) headers: &'r HeaderMap,
    pub(super) body: &'r [u8],
    pub(super) now: Moment,
}

/// What the filter works with.
pub(super) struct Filter<'a> {
    pub(super) known: &'a Known,
    pub(super) keymanager: KeymanagerVersion,
    pub(super) encryption: &'a PKey<Private>,
    /// SHA-256 of the encryption certificate.
    pub(super) thumbprint: [u8; 32],
    pub(super) trust: &'a TrustStore,
}

/// A request that came through.
pub(super) struct Passed<'a> {
    pub(super) outer: Map<String, Value>,
    /// Empty on routes without an encrypted block.
    pub(super) inner: Map<String, Value>,
    pub(super) factors: Factors,
    pub(super) parties: Parties<'a>,
}

impl<'a> Filter<'a> {
    /// Rows 2 to 17.
    pub(super) fn pass(
        &self,
        arrived: &Arrived<'_>,
        outer: Map<String, Value>,
        log: &mut ExchangeLog,
    ) -> Result<Passed<'a>, Stop> {
        let Arrived { route, now, .. } = *arrived;
        head(route, &outer).map_err(Stop::Filter)?;
        log.passed("id and version");
        let signer = self.signer(arrived, log).map_err(Stop::Filter)?;
        if header(arrived.headers, "authorization").is_none() {
            return Err(Stop::Filter(Failure::missing("Authorization - header")));
        }
        log.passed("authorization");
        let inner = self.decipher(&outer, log)?;
        biometrics(&inner).map_err(Stop::Filter)?;

        let path = Identifiers::of(&arrived.segments).ok_or_else(|| {
            Stop::Filter(Failure::new(
                "IDA-MPA-038",
                "Required Number of Path parameters are missing in URI",
            ))
        })?;
        if self
            .known
            .partners
            .iter()
            .any(|partner| partner.id == path.partner_id)
        {
            log.partner = Some(path.partner_id.to_owned());
        }
        let parties = partner::find(self.known, path, signer, now, log).map_err(Stop::Filter)?;
        policy::check_misp(route, parties.misp.policy.as_ref()).map_err(Stop::Filter)?;
        let factors = Factors::of(route, &inner);
        policy::check_auth(route, &parties.api_key.policy.document, &factors)
            .map_err(Stop::Filter)?;
        log.passed("policy allows it");
        if let (Route::KycAuth, KeyKind::OidcClient { factors: allowed }) =
            (route, &parties.api_key.kind)
        {
            policy::check_client(allowed, &factors).map_err(Stop::Filter)?;
        }
        Ok(Passed {
            outer,
            inner,
            factors,
            parties,
        })
    }

    /// Rows 4 to 6, and 12: the signature, its certificate's dates and chain. Gives the SHA-256 of that certificate.
    fn signer(&self, arrived: &Arrived<'_>, log: &mut ExchangeLog) -> Result<[u8; 32], Failure> {
        const NAME: &str = "signature header";
        let value = header(arrived.headers, "signature").ok_or_else(|| Failure::missing(NAME))?;
        let certificate = signature::verify(value, arrived.body, self.keymanager, arrived.now)
            .map_err(|_| Failure::signature(NAME))?;
        log.passed("signature over the body");
        let der = certificate.to_der().map_err(|_| {
            Failure::new(
                "IDA-MPA-022",
                "Partner (Auth) Certificate not found in Request signature header.",
            )
        })?;
        log.signer(&der);
        if !self.trust.trusts(&certificate, arrived.now) {
            return Err(Failure::signature(NAME));
        }
        log.passed("signer chains to MOSIP");
        Ok(sha256(&der))
    }

    /// Rows 8 to 10: the digest is decrypted before the block, and both under the same key.
    fn decipher(
        &self,
        outer: &Map<String, Value>,
        log: &mut ExchangeLog,
    ) -> Result<Map<String, Value>, Stop> {
        let Some(request) = member(outer, "request")? else {
            return Ok(Map::new());
        };
        let Some(digest) = member(outer, "requestHMAC")? else {
            return Err(Stop::Filter(Failure::missing("requestHMAC")));
        };
        let wrapped = member(outer, "requestSessionKey")?.ok_or(Stop::Crash)?;
        let thumbprint = member(outer, "thumbprint")?.ok_or(Stop::Crash)?;
        let (digest, block) = self
            .open(thumbprint, wrapped, digest, request)
            .ok_or_else(|| Stop::Filter(Failure::undecryptable()))?;
        log.passed("decryption");
        if *digest != *encoding::upper_hex(&sha256(&block)).as_bytes() {
            return Err(Stop::Filter(Failure::new(
                "IDA-MPA-016",
                "HMAC Validation failed",
            )));
        }
        log.passed("digest of the content");
        serde_json::from_slice(&block).map_err(|_| Stop::Filter(Failure::generic()))
    }

    fn open(&self, thumbprint: &str, wrapped: &str, digest: &str, request: &str) -> Option<Opened> {
        let named = encoding::from_hex(thumbprint).or_else(|| encoding::from_url(thumbprint))?;
        if named != self.thumbprint {
            return None;
        }
        let wrapped = encoding::from_url(wrapped)?;
        // A client may have put the thumbprint in front already.
        let wrapped = wrapped
            .strip_prefix(self.thumbprint.as_slice())
            .unwrap_or(&wrapped);
        let session = crypto::unwrap_key(self.encryption, wrapped)?;
        Some((
            crypto::open(&session, &encoding::from_url(digest)?)?,
            crypto::open(&session, &encoding::from_url(request)?)?,
        ))
    }
}

/// The decrypted digest and block.
type Opened = (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

/// Rows 2 and 3.
fn head(route: Route, outer: &Map<String, Value>) -> Result<(), Failure> {
    let id = scalar(outer, "id").ok_or_else(|| Failure::missing("id"))?;
    if route.id().is_some_and(|expected| id != expected) {
        return Err(Failure::invalid("id"));
    }
    let version = scalar(outer, "version").ok_or_else(|| Failure::missing("version"))?;
    let digits: Vec<&str> = version.split('.').collect();
    let one_digit = |part: &&str| part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(digits.len(), 2 | 3) || !digits.iter().all(one_digit) {
        return Err(Failure::invalid("version"));
    }
    Ok(())
}

/// Row 11, as far as the sandbox goes: the form of each segment. No device certificate is trusted here, and biometrics
/// are not among the site-wide factors, so nothing behind this row ever looks at them.
fn biometrics(inner: &Map<String, Value>) -> Result<(), Failure> {
    let segments = inner.get("biometrics").and_then(Value::as_array);
    for (index, segment) in segments.into_iter().flatten().enumerate() {
        let name = format!("request/biometrics/{index}/data");
        let data = segment
            .get("data")
            .and_then(Value::as_str)
            .ok_or_else(|| Failure::missing(&name))?;
        let parts: Vec<_> = data.split('.').collect();
        if parts.len() != 3
            || parts
                .iter()
                .any(|part| part.is_empty() || encoding::from_url(part).is_none())
        {
            return Err(Failure::signature(&name));
        }
    }
    Ok(())
}

/// A header that is there and not empty.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty())
}

/// A member that must be a string where it is there (Java casts).
fn member<'m>(outer: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, Stop> {
    match outer.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(Stop::Filter(Failure::generic()))
        }
    }
}

/// A member as text, when it is one and not empty.
pub(super) fn scalar<'m>(outer: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    outer
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}
