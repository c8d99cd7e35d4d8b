//! The index beside each file of records: where each record ends, when it was made, and of whom and which exchange it is, in 32
//! octets, so that a look-up reads megabytes where the records are gigabytes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::clock::Moment;

/// Bytes of an entry.
pub(super) const ENTRY: usize = 32;

/// One record in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The offset behind its line end.
    pub(super) end: u64,
    /// Its time.
    pub(super) time: Moment,
    /// The mark of its correlation id.
    pub(super) correlation: u64,
    /// The mark of its partner, who called or was called; 0 where there is none.
    pub(super) partner: u64,
}

impl Entry {
    /// As it stands in the file.
    pub(super) fn to_bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        let parts = [
            self.end.to_be_bytes(),
            self.time.ms().to_be_bytes(),
            self.correlation.to_be_bytes(),
            self.partner.to_be_bytes(),
        ];
        for (to, from) in bytes.iter_mut().zip(parts.iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    /// From the file.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number =
            |at: usize| -> Option<[u8; 8]> { bytes.get(at..at.checked_add(8)?)?.try_into().ok() };
        Some(Self {
            end: u64::from_be_bytes(number(0)?),
            time: Moment::from_ms(i64::from_be_bytes(number(8)?)),
            correlation: u64::from_be_bytes(number(16)?),
            partner: u64::from_be_bytes(number(24)?),
        })
    }

    /// From the record itself, a line without its end. `None` when it is no record.
    pub(super) fn of(line: &[u8], end: u64) -> Option<Self> {
        let seen: Seen<'_> = serde_json::from_slice(line).ok()?;
        Some(Self {
            end,
            time: moment(&seen.time)?,
            correlation: mark(&seen.correlation_id),
            partner: seen.caller.or(seen.peer).map_or(0, |one| mark(&one.id)),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen<'l> {
    #[serde(borrow)]
    time: std::borrow::Cow<'l, str>,
    #[serde(borrow)]
    correlation_id: std::borrow::Cow<'l, str>,
    #[serde(borrow)]
    caller: Option<SeenParty<'l>>,
    #[serde(borrow)]
    peer: Option<SeenParty<'l>>,
}

#[derive(Deserialize)]
struct SeenParty<'l> {
    #[serde(borrow)]
    id: std::borrow::Cow<'l, str>,
}

fn moment(text: &str) -> Option<Moment> {
    let read = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    let ms = read.ok()?.unix_timestamp_nanos().div_euclid(1_000_000);
    Some(Moment::from_ms(i64::try_from(ms).ok()?))
}

/// What a text is looked for by: the first 8 octets of its SHA-256.
pub(super) fn mark(text: &str) -> u64 {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let first = digest.as_ref().get(..8).and_then(|b| b.try_into().ok());
    u64::from_be_bytes(first.unwrap_or_default())
}

/// A file of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The index of its first record.
    pub(super) first: u64,
    /// The file.
    pub(super) path: PathBuf,
}

impl Segment {
    /// The segment that begins with that record.
    pub(super) fn at(folder: &Path, first: u64) -> Self {
        let path = folder.join("records").join(format!("{first:020}.jsonl"));
        Self { first, path }
    }

    /// The file of its index.
    pub(super) fn index(&self) -> PathBuf {
        self.path.with_extension("index")
    }

    /// All of a folder, in order.
    pub(super) fn all(folder: &Path) -> io::Result<Vec<Self>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(folder.join("records"))? {
            let path = entry?.path();
            if path.extension().is_none_or(|e| e != "jsonl") {
                continue;
            }
            let first = (path.file_stem().and_then(|s| s.to_str()))
                .filter(|s| s.len() == 20)
                .and_then(|s| s.parse().ok());
            if let Some(first) = first {
                all.push(Self { first, path });
            }
        }
        all.sort_by_key(|segment| segment.first);
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_the_record_says() {
        let line = br#"{"v":1,"time":"2026-11-22T23:05:00.123Z","gateway":"misp","correlationId":"abc","caller":{"id":"crvs"}}"#;
        let entry = Entry::of(line, 99).unwrap();
        assert_eq!(entry.time, Moment::from_ms(1_795_388_700_123));
        assert_eq!(entry.correlation, mark("abc"));
        assert_eq!(entry.partner, mark("crvs"));
        assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
    }

    #[test]
    fn a_call_of_our_own_is_found_by_who_was_called() {
        let line = br#"{"v":1,"time":"2026-11-22T23:05:00.123Z","gateway":"crvs","correlationId":"abc","peer":{"id":"misp"}}"#;
        assert_eq!(Entry::of(line, 9).unwrap().partner, mark("misp"));
    }

    #[test]
    fn what_is_no_record_has_no_entry() {
        for line in [
            &b""[..],
            b"\0\0\0",
            b"{}",
            b"[]",
            br#"{"time":"x","correlationId":"y"}"#,
        ] {
            assert_eq!(Entry::of(line, 1), None);
        }
    }
}
