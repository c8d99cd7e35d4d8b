//! A request beside a file (`multipart/form-data`), read in the one way that leaves no doubt: exactly the parts `request` and
//! `csv_file`, plain names, nothing before, between or behind.

use http::HeaderValue;

use super::request::{Found, find};
use crate::refusal::{Code, Refusal};

/// The longest boundary (RFC 2046).
const BOUNDARY_MAX: usize = 70;
/// The longest head of a part.
const HEAD_MAX: usize = 1_024;

/// Finds what is ours to judge in the part `request`.
pub(super) fn in_form(content_type: Option<&HeaderValue>, body: &[u8]) -> Result<Found, Refusal> {
    let refused = |cause: &'static str| Refusal::new(Code::SeederForm, cause);
    let boundary = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(boundary)
        .ok_or_else(|| refused("not multipart/form-data with a plain boundary"))?;
    let parts = parts(body, boundary).ok_or_else(|| refused("the parts cannot be told apart"))?;
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    let envelope = match names.as_slice() {
        ["request", "csv_file"] => parts.first(),
        ["csv_file", "request"] => parts.get(1),
        _ => None,
    };
    let (_, envelope) =
        envelope.ok_or_else(|| refused("the parts are not request and csv_file"))?;
    find(body, envelope)
}

fn boundary(content_type: &str) -> Option<&str> {
    let (media, parameter) = content_type.split_once(';')?;
    let (name, value) = parameter.trim().split_once('=')?;
    let value = value
        .strip_prefix('"')
        .map_or(Some(value), |value| value.strip_suffix('"'))?;
    let plain = (1..=BOUNDARY_MAX).contains(&value.len())
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b));
    (media.trim().eq_ignore_ascii_case("multipart/form-data")
        && name.eq_ignore_ascii_case("boundary")
        && plain)
        .then_some(value)
}

/// The parts by their names; nothing when there is any doubt.
fn parts<'b>(body: &'b [u8], boundary: &str) -> Option<Vec<(String, &'b [u8])>> {
    let opening = format!("--{boundary}").into_bytes();
    let between = [b"\r\n", opening.as_slice()].concat();
    let mut rest = body.strip_prefix(opening.as_slice())?;
    let mut parts = Vec::new();
    while parts.len() < 3 {
        if let Some(end) = rest.strip_prefix(b"--") {
            return matches!(end, b"" | b"\r\n").then_some(parts);
        }
        let part = rest.strip_prefix(b"\r\n")?;
        let (part, after) = part.split_at_checked(position(part, &between)?)?;
        rest = after.strip_prefix(between.as_slice())?;
        let (head, content) = part.split_at_checked(position(part, b"\r\n\r\n")?)?;
        parts.push((name(head)?, content.strip_prefix(b"\r\n\r\n")?));
    }
    None
}

/// The name in a part's head: one disposition, and at most a type beside it.
fn name(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head)
        .ok()
        .filter(|h| h.len() <= HEAD_MAX)?;
    let mut name = None;
    for line in head.split("\r\n") {
        let (field, value) = line.split_once(':')?;
        if field.eq_ignore_ascii_case("content-type") {
            continue;
        }
        if !field.eq_ignore_ascii_case("content-disposition") || name.is_some() {
            return None;
        }
        let mut parameters = value.split(';').map(str::trim);
        if !parameters.next()?.eq_ignore_ascii_case("form-data") {
            return None;
        }
        for parameter in parameters {
            let (key, value) = parameter.split_once('=')?;
            let value = value.strip_prefix('"')?.strip_suffix('"')?;
            if value.contains(['"', '\\', ';']) {
                return None;
            }
            match key {
                "name" if name.is_none() => name = Some(value.to_owned()),
                "filename" => {}
                _ => return None,
            }
        }
    }
    name
}

fn position(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = r#"{"request":{"deliverytype":"download"}}"#;

    fn read(content_type: &str, body: &str) -> Option<Code> {
        let value = HeaderValue::from_str(content_type).expect("a header");
        in_form(Some(&value), body.as_bytes())
            .err()
            .map(|r| r.code())
    }

    fn body(first: &str, second: &str) -> String {
        format!("--b\r\n{first}\r\n\r\n{REQUEST}\r\n--b\r\n{second}\r\n\r\nvid\n1\n\r\n--b--\r\n")
    }

    const A: &str = "Content-Disposition: form-data; name=\"request\"";
    const B: &str = "content-disposition: form-data; name=\"csv_file\"; filename=\"x.csv\"\r\nContent-Type: text/csv";

    #[test]
    fn the_two_parts_are_found() {
        let good = body(A, B);
        assert_eq!(read("multipart/form-data; boundary=b", &good), None);
        assert_eq!(read("multipart/form-data; boundary=\"b\"", &good), None);
    }

    #[test]
    fn whatever_two_readers_could_read_differently_is_refused() {
        let multipart = "multipart/form-data; boundary=b";
        let form = Some(Code::SeederForm);
        for media in [
            "multipart/mixed; boundary=b",
            "multipart/form-data",
            "multipart/form-data; boundary=b; boundary=c",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"b",
        ] {
            assert_eq!(read(media, &body(A, B)), form, "{media}");
        }
        for (first, second) in [
            (A, A),
            (B, B),
            (
                A,
                "content-disposition: form-data; name=\"csv_file\"; name=\"request\"",
            ),
            (A, "content-disposition: form-data; name*=utf-8''csv_file"),
            (A, "content-disposition: form-data; name=csv_file"),
            (
                A,
                "content-disposition: form-data; name=\"csv_file\"\r\ncontent-transfer-encoding: base64",
            ),
            (A, "content-type: text/csv"),
            (A, "content-disposition: attachment; name=\"csv_file\""),
        ] {
            assert_eq!(read(multipart, &body(first, second)), form, "{second}");
        }
        let good = body(A, B);
        assert_eq!(read(multipart, &format!("preamble\r\n{good}")), form);
        assert_eq!(read(multipart, &format!("{good}epilogue")), form);
        assert_eq!(read(multipart, &good.replace("--b--", "--b")), form);
    }
}
