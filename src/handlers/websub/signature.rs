//! `X-Hub-Signature`: `method=hex` over the raw bytes of a delivery, under the subscription's secret.
//!
//! MOSIP's own subscribers fall back to SHA-256 for methods they do not know, and compare as text. Here the form is exact,
//! SHA-1 is not taken, and the comparison takes the same time whatever differs.

use aws_lc_rs::hmac;
use http::HeaderMap;

/// The header.
pub(super) const HEADER: &str = "x-hub-signature";

/// Whether the deliverer knows the secret.
///
/// # Errors
/// What is wrong, in a word for the log.
pub(super) fn verify(headers: &HeaderMap, secret: &[u8], body: &[u8]) -> Result<(), &'static str> {
    let mut values = headers.get_all(HEADER).iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().map_err(|_| "form")?,
        (None, _) => return Err("missing"),
        (Some(_), Some(_)) => return Err("twice"),
    };
    verify_value(value, secret, body)
}

/// The same for a value that was kept.
///
/// # Errors
/// What is wrong, in a word for the log.
pub(super) fn verify_value(value: &str, secret: &[u8], body: &[u8]) -> Result<(), &'static str> {
    let (method, hex) = value.split_once('=').ok_or("form")?;
    let (algorithm, digits) = match method {
        "sha256" => (hmac::HMAC_SHA256, 64),
        "sha384" => (hmac::HMAC_SHA384, 96),
        "sha512" => (hmac::HMAC_SHA512, 128),
        _ => return Err("method"),
    };
    if hex.len() != digits {
        return Err("form");
    }
    let tag = unhex(hex).ok_or("form")?;
    hmac::verify(&hmac::Key::new(algorithm, secret), body, &tag).map_err(|_| "wrong")
}

/// The value for a delivery of ours.
pub(super) fn made(secret: &[u8], body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), body);
    let hex: String = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256={hex}")
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16);
    text.as_bytes()
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => {
                u8::try_from(digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?).ok()
            }
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef";
    const BODY: &[u8] = b"{\"topic\":\"x\"}";

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_is_made_fits_its_own_bytes_and_secret_alone() {
        let value = made(SECRET, BODY);
        // Python: hmac.new(b"0123456789abcdef", b'{"topic":"x"}', "sha256").hexdigest()
        let python = "sha256=fda3cb90946b59bd9f584ec15b14f4c73910bd6498c54bb0e1f447b69525a382";
        assert_eq!(value, python);
        assert_eq!(verify(&headers(&[&value]), SECRET, BODY), Ok(()));
        assert_eq!(
            verify(&headers(&[&value]), SECRET, b"{\"topic\":\"y\"}"),
            Err("wrong")
        );
        assert_eq!(
            verify(&headers(&[&value]), b"0123456789abcdeg", BODY),
            Err("wrong")
        );
    }

    #[test]
    fn the_longer_digests_are_taken() {
        for (name, algorithm) in [("sha384", hmac::HMAC_SHA384), ("sha512", hmac::HMAC_SHA512)] {
            let tag = hmac::sign(&hmac::Key::new(algorithm, SECRET), BODY);
            let hex: String = tag.as_ref().iter().map(|b| format!("{b:02X}")).collect();
            assert_eq!(verify_value(&format!("{name}={hex}"), SECRET, BODY), Ok(()));
        }
    }

    #[test]
    fn near_misses_are_refused() {
        let good = made(SECRET, BODY);
        let hex = good.strip_prefix("sha256=").unwrap();
        for bad in [
            format!("SHA256={hex}"),
            format!("sha1={hex}"),
            format!("sha1={}", &hex[..40]),
            format!("sha384={hex}"),
            hex.to_owned(),
            format!("sha256={}", &hex[..62]),
            format!("sha256={hex}00"),
            format!("sha256={hex}="),
            format!("sha256= {hex}"),
            format!("sha256={}zz", &hex[..62]),
            format!("sha256,{hex}"),
            "sha256=".to_owned(),
        ] {
            assert!(verify(&headers(&[&bad]), SECRET, BODY).is_err(), "{bad}");
        }
        assert_eq!(verify(&headers(&[]), SECRET, BODY), Err("missing"));
        assert_eq!(
            verify(&headers(&[&good, &good]), SECRET, BODY),
            Err("twice")
        );
    }
}
