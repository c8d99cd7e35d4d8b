//! What is kept of a message: a line of JSON that says where it came from, then its bytes as they were.

use serde::{Serialize, de::DeserializeOwned};

/// Writes head and bytes.
pub(super) fn write(head: &impl Serialize, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = serde_json::to_vec(head).ok()?;
    out.push(b'\n');
    out.extend_from_slice(bytes);
    Some(out)
}

/// Reads them again. JSON in one line has no line end in it.
pub(super) fn read<H: DeserializeOwned>(record: &[u8]) -> Option<(H, &[u8])> {
    let end = record.iter().position(|b| *b == b'\n')?;
    let (head, rest) = record.split_at_checked(end)?;
    Some((serde_json::from_slice(head).ok()?, rest.get(1..)?))
}

/// A record of head alone.
pub(super) fn head<H: DeserializeOwned>(record: &[u8]) -> Option<H> {
    serde_json::from_slice(record).ok()
}
