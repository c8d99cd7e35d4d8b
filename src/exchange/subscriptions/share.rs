//! The data share from which credentials may be fetched that are not in their event.
//!
//! The address comes with the event. It is never where we go: it is compared with what the configuration declares, and only
//! its path is used, at the declared upstream.

use crate::config::{self, Envelope, Report};

/// Bytes of an address.
const ADDRESS_MAX: usize = 2_048;

/// The declared data share.
#[derive(Clone, Debug)]
pub struct DataShare {
    upstream: String,
    envelope: Envelope,
    /// `scheme://host:port`, as events may name it.
    origins: Vec<String>,
    /// Begins and ends with a slash.
    path: String,
}

impl DataShare {
    /// Checks the section; mistakes are reported.
    pub(super) fn build(
        raw: &config::DataShareFrom,
        upstreams: &[config::Upstream],
        report: &mut Report<'_>,
    ) -> Option<Self> {
        let known: Vec<&str> = upstreams.iter().map(|u| u.name.as_str()).collect();
        super::known_upstream(&raw.upstream, "upstream", &known, report);
        super::spoken(raw.envelope, "envelope", report);
        let upstream = upstreams.iter().find(|u| u.name == raw.upstream);
        if raw.envelope == Envelope::Jose && upstream.is_some_and(|u| u.party.is_none()) {
            report.error(
                "envelope",
                "there is nobody to seal to: the upstream names no party",
                "Set `party` on the upstream, and describe it as a [[peer]].",
            );
        }
        let whole = (raw.path.strip_prefix('/')).and_then(|path| path.strip_suffix('/'));
        if !whole.is_some_and(|inner| inner.split('/').all(is_segment)) {
            report.error(
                "path",
                "is no path of plain segments that ends with a slash",
                "Write it such as `/v1/datashare/get/`.",
            );
        }
        let named = match &raw.origin {
            Some(origin) => std::slice::from_ref(origin),
            None => upstream.map_or(&[][..], |u| &u.addresses),
        };
        let origins: Vec<String> = (named.iter())
            .filter_map(|address| {
                let (origin, rest) = split(address)?;
                matches!(rest, "" | "/").then_some(origin)
            })
            .collect();
        if raw.origin.is_some() && origins.is_empty() {
            report.error(
                "origin",
                "is no origin",
                "Write scheme, host and port alone, such as `https://datashare.mosip.example`.",
            );
        }
        Some(Self {
            upstream: upstream?.name.clone(),
            envelope: raw.envelope,
            origins,
            path: raw.path.clone(),
        })
    }

    /// The upstream.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// How requests to it are sealed.
    pub const fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// The path of an address that is one of this data share; `None` for any other address.
    pub fn path_of<'a>(&self, address: &'a str) -> Option<&'a str> {
        if address.len() > ADDRESS_MAX {
            return None;
        }
        let (origin, path) = split(address)?;
        let rest = path.strip_prefix(self.path.as_str())?;
        (self.origins.contains(&origin) && rest.split('/').all(is_segment)).then_some(path)
    }
}

/// The origin of an address, with its port and in small letters, and what follows it.
fn split(address: &str) -> Option<(String, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    // No user, no query in its place, nothing that two readers take for two hosts.
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if authority.is_empty() || !authority.bytes().all(letters) {
        return None;
    }
    let parsed: http::uri::Authority = authority.parse().ok()?;
    let port = match parsed.port() {
        Some(port) => port.as_str().parse::<u16>().ok()?,
        None if authority.ends_with(':') => return None,
        None => port,
    };
    let host = parsed.host().to_ascii_lowercase();
    (!host.is_empty()).then_some((format!("{scheme}://{host}:{port}"), path))
}

/// A segment that means the same to everybody: nothing encoded, no dots alone, no parameters.
fn is_segment(segment: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    !segment.is_empty() && segment.bytes().all(plain) && segment.bytes().any(|b| b != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(origin: &str) -> DataShare {
        DataShare {
            upstream: "share".to_owned(),
            envelope: Envelope::InsecurePlain,
            origins: vec![split(origin).unwrap().0],
            path: "/v1/datashare/get/".to_owned(),
        }
    }

    #[test]
    fn the_declared_address_is_taken_by_its_path() {
        let share = declared("https://datashare.mosip.example");
        for address in [
            "https://datashare.mosip.example/v1/datashare/get/policy/crvs/key_1-x",
            "HTTPS://DataShare.MOSIP.example:443/v1/datashare/get/policy/crvs/key_1-x",
        ] {
            assert_eq!(
                share.path_of(address),
                Some("/v1/datashare/get/policy/crvs/key_1-x"),
                "{address}"
            );
        }
    }

    #[test]
    fn every_other_address_is_not() {
        let share = declared("https://datashare.mosip.example");
        let long = format!(
            "https://datashare.mosip.example/v1/datashare/get/{}",
            "x".repeat(ADDRESS_MAX)
        );
        for address in [
            "",
            "/v1/datashare/get/p/s/k",
            "//datashare.mosip.example/v1/datashare/get/p/s/k",
            "http://datashare.mosip.example/v1/datashare/get/p/s/k",
            "ftp://datashare.mosip.example/v1/datashare/get/p/s/k",
            "https://datashare.mosip.example:8443/v1/datashare/get/p/s/k",
            "https://datashare.mosip.example:/v1/datashare/get/p/s/k",
            "https://datashare.mosip.example.evil.example/v1/datashare/get/p/s/k",
            "https://datashare.mosip.example@evil.example/v1/datashare/get/p/s/k",
            "https://evil.example@datashare.mosip.example/v1/datashare/get/p/s/k",
            "https://evil.example#@datashare.mosip.example/v1/datashare/get/p/s/k",
            "https://evil.example?datashare.mosip.example/v1/datashare/get/p/s/k",
            "https://evil.example\\@datashare.mosip.example/v1/datashare/get/p/s/k",
            "https://datashare.mosip.example./v1/datashare/get/p/s/k",
            "https://127.0.0.1/v1/datashare/get/p/s/k",
            "https://[::1]/v1/datashare/get/p/s/k",
            "https://datashare.mosip.example",
            "https://datashare.mosip.example/v1/datashare/get/",
            "https://datashare.mosip.example/v1/datashare/get",
            "https://datashare.mosip.example/v1/datashare/create/p/s/k",
            "https://datashare.mosip.example/v1/datashare/get//k",
            "https://datashare.mosip.example/v1/datashare/get/../create/p",
            "https://datashare.mosip.example/v1/datashare/get/./k",
            "https://datashare.mosip.example/v1/datashare/get/%2e%2e/k",
            "https://datashare.mosip.example/v1/datashare/get/p/s/k?to=x",
            "https://datashare.mosip.example/v1/datashare/get/p/s/k#x",
            "https://datashare.mosip.example/v1/datashare/get/p;a/k",
            "https://datashare.mosip.example/v1/datashare/get/p\r\nHost:x/k",
            "https://datashare.mosip.example/v1/datashare/get/p k",
            &long,
        ] {
            assert_eq!(share.path_of(address), None, "{address}");
        }
    }
}
