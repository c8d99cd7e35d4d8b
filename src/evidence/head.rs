//! Tree heads: the gateway's signed word on how many records its log has and what they hash to.

use std::{fs, io, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{
    disk::{Disk, LogFile},
    tree::Hash,
};
use crate::{
    clock::Moment,
    config::Algorithm,
    keys::{KeyError, SigningKey},
    trust::Fingerprint,
};

/// The file of heads in the log's folder.
pub(super) const FILE: &str = "heads.jws";

/// The type in the protected header.
pub const TYPE: &str = "triseal-tree-head";

/// What signs heads: a key with its one algorithm and its certificate's name.
#[derive(Clone, Debug)]
pub struct HeadSigner {
    /// The key.
    pub key: Arc<SigningKey>,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its certificate.
    pub certificate: Fingerprint,
}

/// What a head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which log.
    pub log: String,
    /// Leaves.
    pub size: u64,
    /// The tree's hash.
    pub root: Hash,
}

impl Head {
    /// Reads the payload of a head. Its signature is not looked at.
    pub fn parse(jws: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Payload {
            log: String,
            size: u64,
            root: String,
        }
        let payload = jws.split('.').nth(1)?;
        let payload: Payload =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        Some(Self {
            log: payload.log,
            size: payload.size,
            root: URL_SAFE_NO_PAD.decode(payload.root).ok()?.try_into().ok()?,
        })
    }
}

/// Signs a head: a compact JWS.
pub(super) fn sign(signer: &HeadSigner, head: &Head, now: Moment) -> Result<String, KeyError> {
    let header = serde_json::json!({
        "alg": name(signer.algorithm),
        "x5t#S256": URL_SAFE_NO_PAD.encode(signer.certificate.as_bytes()),
        "typ": TYPE,
    });
    let mut time = Vec::new();
    now.push_rfc3339(&mut time);
    let payload = serde_json::json!({
        "log": head.log,
        "size": head.size,
        "root": URL_SAFE_NO_PAD.encode(head.root),
        "time": String::from_utf8_lossy(&time),
    });
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(payload.to_string())
    );
    let signature = signer.key.sign(signer.algorithm, input.as_bytes())?;
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RS256 => "RS256",
        Algorithm::PS256 => "PS256",
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
    }
}

/// The heads of a log: the last one, and where whole lines end.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) last: Option<Head>,
    length: u64,
}

/// Reads the heads of a folder. A torn last line counts as not written.
pub(super) fn read(folder: &Path) -> io::Result<Heads> {
    let bytes = match fs::read(folder.join(FILE)) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Heads::default()),
        Err(e) => return Err(e),
    };
    let whole = bytes
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at.saturating_add(1));
    let lines = bytes.get(..whole).unwrap_or_default();
    let last = lines.split(|b| *b == b'\n').rfind(|line| !line.is_empty());
    let last = match last {
        None => None,
        Some(line) => Some(
            std::str::from_utf8(line)
                .ok()
                .and_then(Head::parse)
                .ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, "the last head cannot be read")
                })?,
        ),
    };
    Ok(Heads {
        last,
        length: u64::try_from(whole).unwrap_or(u64::MAX),
    })
}

/// The file of heads, open for writing.
#[derive(Debug)]
pub(super) struct HeadFile {
    file: Box<dyn LogFile>,
    length: u64,
}

impl HeadFile {
    pub(super) fn open(folder: &Path, disk: &dyn Disk) -> io::Result<Self> {
        let length = read(folder)?.length;
        let mut file = disk.open(&folder.join(FILE))?;
        file.cut(length)?;
        Ok(Self { file, length })
    }

    /// Appends a head; after an error nothing of it counts.
    pub(super) fn append(&mut self, jws: &str) -> io::Result<()> {
        let line = format!("{jws}\n");
        let written = self
            .file
            .write(line.as_bytes(), self.length)
            .and_then(|()| self.file.sync());
        if let Err(error) = written {
            // Else its rest would stand behind the next, shorter one.
            self.file.cut(self.length)?;
            return Err(error);
        }
        let bytes = u64::try_from(line.len()).unwrap_or(0);
        self.length = self.length.saturating_add(bytes);
        Ok(())
    }
}
