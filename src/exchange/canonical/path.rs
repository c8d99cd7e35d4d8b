//! The path and the query of a request.

use crate::refusal::{Code, Refusal};
use http::{Uri, uri::PathAndQuery};

/// Longest path. MOSIP's longest, with licence key, partner id and API key, has under 200 characters.
const PATH_MAX: usize = 2 << 10;
/// Longest query.
const QUERY_MAX: usize = 8 << 10;

/// A path with exactly one spelling: `/`, or segments of letters, digits and `-._~:@=`, each with something other than dots.
///
/// Nothing is encoded: no path of ours needs `%`, and every server decodes it at another time. No empty segments, so
/// neither `//` nor a slash at the end. Upper and lower case differ, here and upstream.
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalPath(PathAndQuery);

impl std::fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CanonicalPath(..)")
    }
}

impl CanonicalPath {
    /// The path as text; it begins with `/`.
    pub fn as_str(&self) -> &str {
        self.0.path()
    }

    /// The segments; none for `/`.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        let inner = self.as_str().get(1..).unwrap_or_default();
        inner.split('/').filter(|segment| !segment.is_empty())
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.0.query().filter(|query| !query.is_empty())
    }

    /// A fragment is cut off by the URI type and so never goes on; the gate has refused it on HTTP/1.1.
    pub(super) fn read(uri: &Uri) -> Result<Self, Refusal> {
        let target = uri
            .path_and_query()
            .ok_or_else(|| Refusal::new(Code::HttpPath, "no path"))?;
        let path = target.path();
        if path.len() > PATH_MAX {
            return Err(Refusal::new(Code::HttpPath, "path longer than the limit"));
        }
        let inner = path
            .strip_prefix('/')
            .ok_or_else(|| Refusal::new(Code::HttpPath, "path does not begin with a slash"))?;
        if !inner.is_empty() && !inner.split('/').all(is_segment) {
            return Err(Refusal::new(Code::HttpPath, "path not in canonical form"));
        }
        let query = target.query().unwrap_or_default().as_bytes();
        if query.len() > QUERY_MAX || !is_query(query) {
            return Err(Refusal::new(Code::HttpPath, "query not in canonical form"));
        }
        Ok(Self(target.clone()))
    }
}

fn is_segment(segment: &str) -> bool {
    let plain = segment.bytes().all(|b| {
        matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' | b'=')
    });
    plain && segment.bytes().any(|b| b != b'.')
}

/// RFC 3986 section 3.4, with well-formed percent signs that hide no control character.
fn is_query(mut query: &[u8]) -> bool {
    while let Some((first, rest)) = query.split_first() {
        query = match first {
            b'%' => match rest {
                [
                    high @ (b'2'..=b'9' | b'a'..=b'f' | b'A'..=b'F'),
                    low,
                    rest @ ..,
                ] if low.is_ascii_hexdigit() && !matches!((high, low), (b'7', b'f' | b'F')) => rest,
                _ => return false,
            },
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => rest,
            b'-' | b'.' | b'_' | b'~' | b':' | b'@' | b'/' | b'?' => rest,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => rest,
            _ => return false,
        };
    }
    true
}
