//! Secrets from files and the environment, and the rule for files that hold them.

use std::{
    fmt,
    fs::File,
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::config::{Report, SecretRef};

/// The largest file that is taken for a key, key store or secret, in bytes.
const SECRET_FILE_MAX_BYTES: u64 = 1 << 20;

/// A secret: wiped when dropped, compared in constant time, never shown.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes bytes as a secret.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself. Not for logs.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text, where it is text. Not for logs.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Reads a secret; `report` stands at the reference.
pub fn read_secret(raw: &SecretRef, report: &mut Report<'_>) -> Option<Secret> {
    let bytes = match (&raw.file, &raw.env) {
        (Some(file), None) => {
            let path = report.resolve(file);
            match read_private_file(&path) {
                Ok(bytes) => without_line_end(bytes),
                Err(problem) => {
                    report.error("file", problem.what(&path), problem.remedy(&path));
                    return None;
                }
            }
        }
        (None, Some(name)) => match std::env::var(name) {
            Ok(text) => Zeroizing::new(text.into_bytes()),
            Err(_) => {
                report.error(
                    "env",
                    format!("the environment variable `{name}` is not set, or is not text"),
                    "Set it for this process, or use `file`.",
                );
                return None;
            }
        },
        _ => {
            report.error(
                "",
                "a secret has exactly one source",
                "Give `file` or `env`, and only one of them.",
            );
            return None;
        }
    };
    if bytes.is_empty() {
        report.error("", "the secret is empty", "Put the secret there.");
        return None;
    }
    Some(Secret(bytes))
}

/// Why a file that holds a secret was not read.
#[derive(Debug)]
pub(crate) enum FileProblem {
    /// It cannot be opened or read.
    Unreadable(std::io::Error),
    /// It is not a plain file of a reasonable size.
    NotPlain,
    /// Its permissions let others in.
    Open(u32),
}

impl FileProblem {
    pub(crate) fn what(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Unreadable(e) => format!("{path} cannot be read: {e}"),
            Self::NotPlain => format!("{path} is not a plain file of at most 1 MiB"),
            Self::Open(mode) => format!(
                "{path} holds a secret and has mode {mode:04o}: everybody may read it, or others than its owner may change it"
            ),
        }
    }

    pub(crate) fn remedy(&self, path: &Path) -> String {
        match self {
            Self::Unreadable(_) => "Check the path and the permissions.".to_owned(),
            Self::NotPlain => "Name the right file.".to_owned(),
            Self::Open(_) => format!(
                "Run `chmod u=rw,g=r,o= {}` or stricter (Kubernetes: `defaultMode: 0440`).",
                path.display()
            ),
        }
    }
}

/// Reads a file that holds a secret: refuses one that everybody may read, or that others than its owner may write.
pub(crate) fn read_private_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileProblem> {
    let file = File::open(path).map_err(FileProblem::Unreadable)?;
    let about = file.metadata().map_err(FileProblem::Unreadable)?;
    if !about.is_file() || about.size() > SECRET_FILE_MAX_BYTES {
        return Err(FileProblem::NotPlain);
    }
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o026 != 0 {
        return Err(FileProblem::Open(mode));
    }
    // Room for the whole file at once: growing would leave copies behind.
    let room = usize::try_from(about.size())
        .unwrap_or(0)
        .saturating_add(64);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(SECRET_FILE_MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(FileProblem::Unreadable)?;
    Ok(bytes)
}

/// Takes one line end off.
fn without_line_end(mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{Document, Mistakes};

    fn read(raw: &SecretRef) -> (Option<Secret>, Mistakes) {
        let document = Document::from_text(Path::new("t.toml"), String::new());
        let mut mistakes = Mistakes::default();
        let secret = read_secret(raw, &mut Report::new(&document, &mut mistakes));
        (secret, mistakes)
    }

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, SecretRef) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let raw = SecretRef {
            file: Some(path),
            env: None,
        };
        (folder, raw)
    }

    #[test]
    fn one_line_end_of_a_secret_file_is_ignored() {
        let (_folder, raw) = file(b"geheim\n\r\n", 0o600);
        assert_eq!(read(&raw).0.unwrap().expose(), b"geheim\n");
    }

    #[test]
    fn a_secret_file_that_everybody_may_read_is_refused() {
        for mode in [0o644, 0o604, 0o620, 0o602] {
            let (_folder, raw) = file(b"geheim", mode);
            let (secret, mistakes) = read(&raw);
            assert!(secret.is_none());
            assert!(mistakes.0[0].remedy.contains("chmod"), "{mistakes}");
            assert!(!mistakes.to_string().contains("geheim"));
        }
        let (_folder, raw) = file(b"geheim", 0o640);
        assert!(read(&raw).0.is_some());
    }

    #[test]
    fn a_secret_with_two_sources_with_none_or_empty_is_refused() {
        let (_folder, mut raw) = file(b"\n", 0o600);
        assert!(read(&raw).0.is_none());
        raw.env = Some("HOME".to_owned());
        assert!(read(&raw).0.is_none());
        let none = SecretRef {
            file: None,
            env: None,
        };
        assert!(read(&none).0.is_none());
    }

    #[test]
    fn debug_of_a_secret_does_not_show_it() {
        assert_eq!(format!("{:?}", Secret::new(b"x".to_vec())), "Secret(..)");
    }
}
