//! Putting bundles together from a log's folder, beside a running gateway or without one.
//!
//! Beside the log stand two folders that only bundles need: `certificates`, every signature certificate that the gateway ever
//! relied on or signed with, by fingerprint, so that a rotated one can still be shown; and `timestamps`, the stamps on heads.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    bundle::{self, BodyPart, Bundle, FORMAT, ReceiptPart},
    jws::Jws,
    merkle::{self, Hash, Subtrees},
    reader::{Log, ReadError},
    verify::Head,
};
use crate::{
    config::{self, Config},
    trust::{Anchor, Certificate, Fingerprint, lists_from_file},
};

/// The largest certificate and stamp that are read back, in bytes.
const FILE_MAX: u64 = 1 << 20;
/// Certificates that are kept.
const CERTIFICATES_MAX: usize = 100_000;

impl Subtrees for Log {
    type Error = ReadError;

    fn subtree(&self, level: u32, index: u64) -> Result<Hash, ReadError> {
        Self::subtree(self, level, index)
    }
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The log cannot be read.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// No head covers the record yet.
    #[error(
        "no signed tree head covers record {0} yet. Try again in a second or two; a gateway signs one each second while it writes"
    )]
    NoHead(u64),
    /// A head is not of the form.
    #[error("the log's tree head cannot be read: {0}")]
    Head(&'static str),
    /// The record is not UTF-8.
    #[error("record {0} is no text")]
    Record(u64),
    /// The certificate that signed the head is not at hand.
    #[error(
        "the certificate {0} that signed the tree head is not in the folder `certificates` beside the log. Give it with --certificate"
    )]
    NoCertificate(Fingerprint),
}

/// What a bundle gets beside what stands in the log.
#[derive(Debug, Default)]
pub struct Extras {
    /// Certificates in DER; those that a signature names are taken.
    pub certificates: Vec<Vec<u8>>,
    /// The receipt.
    pub receipt: Option<ReceiptPart>,
    /// Kept bodies.
    pub body: Option<BodyPart>,
}

/// A time stamp as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamped {
    head: String,
    token: String,
}

/// The revocation lists that go with a bundle: those of the configured anchor below which the head's signer stands. At most `max`
/// bytes; a list that cannot be read is left out, and the verifier says that it is missing.
pub fn lists_for(config: &Config, base: &Path, bundle: &Bundle, max: usize) -> Vec<String> {
    let signer = bundle.certificates.first();
    let signer = signer.and_then(|text| Certificate::from_der(STANDARD.decode(text).ok()?).ok());
    let (Some(signer), Ok(head)) = (signer, Head::read(&bundle.head)) else {
        return Vec::new();
    };
    let leads = |anchor: &&config::Anchor| {
        let files: Vec<PathBuf> = anchor.certificates.iter().map(|f| base.join(f)).collect();
        Anchor::offline(&files).is_ok_and(|a| a.signature_path(&signer, head.time).is_ok())
    };
    let Some(anchor) = config.anchor.iter().find(leads) else {
        return Vec::new();
    };
    let read = anchor
        .crls
        .iter()
        .filter_map(|f| lists_from_file(&base.join(f)).ok());
    let lists: Vec<Vec<u8>> = read.flatten().collect();
    if lists.iter().map(Vec::len).sum::<usize>() > max {
        return Vec::new();
    }
    lists.iter().map(|list| STANDARD.encode(list)).collect()
}

/// Puts the bundle of a record together. A head with a time stamp is preferred to one without.
///
/// # Errors
/// When the log cannot be read, or does not prove the record yet.
pub fn assemble(log: &Log, index: u64, extras: Extras) -> Result<Bundle, AssembleError> {
    let record = String::from_utf8(log.record(index)?).map_err(|_| AssembleError::Record(index))?;
    let covering = index.saturating_add(1);
    let (head_text, timestamp) = match stamped(log, covering) {
        Some(stamped) => (stamped.head, Some(stamped.token)),
        None => (
            (log.head_at_least(covering)?).ok_or(AssembleError::NoHead(index))?,
            None,
        ),
    };
    let head = Head::read(&head_text).map_err(AssembleError::Head)?;
    // The tree's files may be a moment behind the head.
    if head.size > log.size()? {
        return Err(AssembleError::NoHead(index));
    }
    let proof = merkle::inclusion(log, index, head.size)?.ok_or(AssembleError::NoHead(index))?;
    let certificates = named(log, &record, &head, &extras)?;
    Ok(Bundle {
        format: FORMAT.to_owned(),
        record,
        index,
        inclusion: proof.iter().map(bundle::shown).collect(),
        head: head_text,
        certificates,
        crls: Vec::new(),
        timestamp,
        receipt: extras.receipt,
        body: extras.body,
    })
}

/// The proof that the log at `later` records extends it at `earlier`; `None` where it does not have so many.
///
/// # Errors
/// When the log cannot be read.
pub fn consistency(log: &Log, earlier: u64, later: u64) -> Result<Option<Vec<Hash>>, ReadError> {
    if later > log.size()? {
        return Ok(None);
    }
    merkle::consistency(log, earlier, later)
}

/// The certificates that the signatures name: the head's signer first.
fn named(
    log: &Log,
    record: &str,
    head: &Head,
    extras: &Extras,
) -> Result<Vec<String>, AssembleError> {
    let given = |name: &Fingerprint| {
        let given = extras
            .certificates
            .iter()
            .find(|der| Fingerprint::of(der) == *name);
        given.cloned().or_else(|| certificate(log.folder(), name))
    };
    let signer = given(&head.signer).ok_or(AssembleError::NoCertificate(head.signer))?;
    let mut all = vec![signer];
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    let of_request = record
        .get("signer")
        .and_then(Value::as_str)
        .and_then(fingerprint);
    let of_receipt = (extras.receipt.as_ref()).and_then(|r| Jws::parse(&r.signature)?.signer());
    for name in [of_request, of_receipt].into_iter().flatten() {
        if let Some(der) = given(&name)
            && !all.contains(&der)
        {
            all.push(der);
        }
    }
    Ok(all.iter().map(|der| STANDARD.encode(der)).collect())
}

/// A fingerprint in lower-case hex.
fn fingerprint(text: &str) -> Option<Fingerprint> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0_usize..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at.saturating_add(2))?, 16).ok()?;
    }
    Some(Fingerprint::from_bytes(bytes))
}

/// Keeps certificates beside the log, those that are not there yet.
///
/// # Errors
/// When the folder cannot be written.
pub fn keep_certificates<'c>(
    folder: &Path,
    certificates: impl Iterator<Item = &'c Certificate>,
) -> io::Result<()> {
    let folder = folder.join("certificates");
    fs::create_dir_all(&folder)?;
    for certificate in certificates.take(CERTIFICATES_MAX) {
        let path = folder.join(format!("{}.der", certificate.fingerprint()));
        if !path.exists() {
            put(&path, certificate.der())?;
        }
    }
    Ok(())
}

/// A kept certificate. What the file holds is not believed: its digest must be its name.
pub fn certificate(folder: &Path, name: &Fingerprint) -> Option<Vec<u8>> {
    let der = read_small(&folder.join("certificates").join(format!("{name}.der")))?;
    (Fingerprint::of(&der) == *name).then_some(der)
}

/// Keeps a time stamp on a head of `size` records.
///
/// # Errors
/// When the folder cannot be written.
pub fn keep_stamp(folder: &Path, size: u64, head: &str, token: &[u8]) -> io::Result<()> {
    let path = stamp_file(folder, size);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let stamped = Stamped {
        head: head.to_owned(),
        token: STANDARD.encode(token),
    };
    put(&path, &serde_json::to_vec(&stamped)?)
}

/// How many records the youngest stamped head covers.
pub fn last_stamp(folder: &Path) -> Option<u64> {
    sizes(folder).max()
}

fn stamped(log: &Log, covering: u64) -> Option<Stamped> {
    let size = sizes(log.folder()).filter(|size| *size >= covering).min()?;
    serde_json::from_slice(&read_small(&stamp_file(log.folder(), size))?).ok()
}

fn sizes(folder: &Path) -> impl Iterator<Item = u64> {
    let entries = fs::read_dir(folder.join("timestamps"))
        .into_iter()
        .flatten();
    entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.strip_suffix(".json")?.parse().ok()
    })
}

fn stamp_file(folder: &Path, size: u64) -> PathBuf {
    folder.join("timestamps").join(format!("{size:020}.json"))
}

fn read_small(path: &Path) -> Option<Vec<u8>> {
    (fs::metadata(path).ok()?.len() <= FILE_MAX).then(|| fs::read(path).ok())?
}

/// Puts a file in place whole.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)
}
