//! Writing one line of JSON member by member, in the order of the format.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{BodySeen, ErrandSeen, KeptBodies, UpstreamSeen};
use crate::evidence::tree::Hash;

/// A buffer that members are appended to.
pub(super) struct Line(pub(super) Vec<u8>);

impl Line {
    pub(super) fn name(&mut self, name: &str) {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    pub(super) fn begin(&mut self, name: &str) {
        self.name(name);
        self.0.push(b'{');
    }

    pub(super) fn end(&mut self) {
        self.0.push(b'}');
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        // A write to memory does not fail.
        let _ = serde_json::to_writer(&mut self.0, text);
    }

    pub(super) fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub(super) fn json(&mut self, name: &str, json: Option<&str>) {
        if let Some(json) = json {
            self.name(name);
            self.0.extend_from_slice(json.as_bytes());
        }
    }

    pub(super) fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        let _ = serde_json::to_writer(&mut self.0, &number);
    }

    pub(super) fn hash(&mut self, name: &str, hash: &Hash) {
        let mut text = [0; 43];
        let written = URL_SAFE_NO_PAD.encode_slice(hash, &mut text).unwrap_or(0);
        self.name(name);
        self.0.push(b'"');
        self.0
            .extend_from_slice(text.get(..written).unwrap_or_default());
        self.0.push(b'"');
    }

    pub(super) fn hex(&mut self, name: &str, bytes: &[u8]) {
        self.name(name);
        self.0.push(b'"');
        for byte in bytes {
            for nibble in [byte >> 4, byte & 0xf] {
                let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                self.0.push(u8::try_from(digit).unwrap_or(b'0'));
            }
        }
        self.0.push(b'"');
    }

    pub(super) fn body(&mut self, body: Option<&BodySeen>) {
        if let Some(body) = body {
            if let Some(digest) = &body.digest {
                self.hash("bodyDigest", digest);
            }
            self.number("bodyBytes", body.bytes);
        }
    }

    pub(super) fn errand(&mut self, errand: &ErrandSeen<'_>) {
        self.begin("errand");
        self.text("kind", errand.kind);
        self.number("number", errand.number);
        self.text("step", errand.step);
        self.number("attempt", u64::from(errand.attempt));
        self.optional("cause", errand.cause);
        self.end();
    }

    pub(super) fn upstream(&mut self, upstream: &UpstreamSeen<'_>) {
        self.begin("upstream");
        self.text("name", upstream.name);
        if let Some(status) = upstream.status {
            self.number("status", u64::from(status));
        }
        self.number("us", upstream.us);
        if let Some(receipt) = upstream.receipt {
            self.begin("receipt");
            self.hash("leaf", &receipt.leaf);
            self.text(
                "signature",
                &String::from_utf8_lossy(receipt.signature.as_bytes()),
            );
            self.end();
        }
        self.end();
    }

    pub(super) fn bodies(&mut self, bodies: &KeptBodies<'_>) {
        self.begin("body");
        self.hex("id", bodies.id);
        self.text("key", bodies.key);
        for (name, sealed) in [("request", bodies.request), ("answer", bodies.answer)] {
            if let Some(sealed) = sealed {
                self.begin(name);
                self.hash("sealedDigest", &sealed.sealed);
                self.hash("plainDigest", &sealed.plain);
                self.end();
            }
        }
        self.end();
    }
}
