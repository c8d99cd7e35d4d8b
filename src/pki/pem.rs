//! PEM (RFC 7468): text blocks around DER, in and out.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::PkiError;

/// One block of a PEM text.
pub(super) struct Block {
    pub(super) label: String,
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// All blocks of a text, in their order. Text between blocks and header lines within them (RFC 1421) are skipped.
pub(super) fn blocks(text: &[u8]) -> Result<Vec<Block>, PkiError> {
    let mut found = Vec::new();
    let mut open: Option<(String, Zeroizing<Vec<u8>>)> = None;
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if let Some(label) = marker(line, b"-----BEGIN ") {
            if let Some((unfinished, _)) = open {
                return Err(PkiError::malformed(
                    "PEM",
                    format!("the block {unfinished} has no end"),
                ));
            }
            // As much as can follow, so that no part of a key is left behind by growing.
            open = Some((label, Zeroizing::new(Vec::with_capacity(text.len()))));
        } else if let Some(label) = marker(line, b"-----END ") {
            let Some((begun, encoded)) = open.take().filter(|(begun, _)| *begun == label) else {
                return Err(PkiError::malformed(
                    "PEM",
                    format!("an end of {label} without its beginning"),
                ));
            };
            let der = STANDARD.decode(encoded.as_slice()).map_err(|_| {
                PkiError::malformed("PEM", format!("the block {begun} is not base64"))
            })?;
            found.push(Block {
                label: begun,
                der: Zeroizing::new(der),
            });
        } else if let Some((_, encoded)) = &mut open
            && !line.contains(&b':')
        {
            encoded.extend_from_slice(line);
        }
    }
    match open {
        Some((label, _)) => Err(PkiError::malformed(
            "PEM",
            format!("the block {label} has no end"),
        )),
        None => Ok(found),
    }
}

/// Whether a file is PEM rather than DER.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

fn marker(line: &[u8], begin: &[u8]) -> Option<String> {
    let label = line.strip_prefix(begin)?.strip_suffix(b"-----")?;
    Some(String::from_utf8_lossy(label).into_owned())
}

/// The DER of all certificates in a text, in their order.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, PkiError> {
    Ok(blocks(text)?
        .into_iter()
        .filter(|block| matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE"))
        .map(|block| block.der.to_vec())
        .collect())
}

/// One block of public content.
pub(super) fn public(label: &str, der: &[u8]) -> String {
    lines(label, &STANDARD.encode(der))
}

/// One block of secret content; wiped when dropped.
pub(super) fn private(label: &str, der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    Zeroizing::new(lines(label, &encoded))
}

fn lines(label: &str, encoded: &str) -> String {
    // Reserved in one go, so that no half-written copy of a key is left behind by growing.
    let mut out = String::with_capacity(encoded.len().saturating_mul(2).saturating_add(128));
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    let mut rest = encoded;
    while let Some((line, after)) = rest.split_at_checked(64) {
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    if !rest.is_empty() {
        out.push_str(rest);
        out.push('\n');
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_as_they_were_written() {
        for size in [0, 1, 47, 48, 49, 96, 1000] {
            let der = vec![7; size];
            let text = format!(
                "a note\n{}between\n{}",
                public("CERTIFICATE", &der),
                &*private("PRIVATE KEY", &der)
            );
            let found = blocks(text.as_bytes()).unwrap();
            assert_eq!(
                found.iter().map(|b| b.label.as_str()).collect::<Vec<_>>(),
                ["CERTIFICATE", "PRIVATE KEY"]
            );
            assert!(found.iter().all(|block| *block.der == der));
            assert!(text.lines().all(|line| line.len() <= 64));
        }
    }

    #[test]
    fn a_block_that_does_not_end_is_refused() {
        let whole = public("CERTIFICATE", b"abc");
        let cut = whole.split("-----END").next().unwrap();
        assert!(blocks(cut.as_bytes()).is_err());
        assert!(blocks(format!("{cut}{whole}").as_bytes()).is_err());
        assert!(blocks(whole.replace("END CERTIFICATE", "END X509 CRL").as_bytes()).is_err());
    }
}
