//! Options that several `pki` commands share: which CA, which role, for how long, whether to overwrite, which password.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use crate::{
    clock::Moment,
    config,
    pki::{self, Authority, AuthorityName, Key, Overwrite, PkiError, Validity},
};

const HOUR_MS: i64 = 3_600_000;

/// What a certificate is for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Role {
    /// The connection.
    Tls,
    /// The content.
    Encryption,
    /// The message.
    Signature,
}

impl From<Role> for config::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Tls => Self::Tls,
            Role::Encryption => Self::Encryption,
            Role::Signature => Self::Signature,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Replace {
    /// Overwrite files that are already there.
    #[arg(long)]
    replace: bool,
}

impl Replace {
    pub(super) const fn overwrite(&self) -> Overwrite {
        if self.replace {
            Overwrite::Replace
        } else {
            Overwrite::Refuse
        }
    }
}

/// The CA that signs: by its name in a folder of `pki make`, or by its files.
#[derive(Debug, Args)]
pub(super) struct Ca {
    /// A folder that `pki make` made.
    #[arg(long, value_name = "DIR", requires = "ca")]
    dir: Option<PathBuf>,
    /// With --dir the CA's name there (root, tls, partner, mosip); else its certificate, PEM, issuers after it.
    #[arg(long, value_name = "NAME|FILE")]
    ca: PathBuf,
    /// The CA's private key, PEM; without --dir.
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    ca_key: Option<PathBuf>,
}

impl Ca {
    pub(super) fn load(&self) -> Result<Authority, PkiError> {
        if let Some((dir, name)) = self.in_folder()? {
            return pki::load_authority(dir, name);
        }
        let Some(key) = &self.ca_key else {
            return Err(PkiError::Name {
                what: "CA",
                value: self.ca.display().to_string(),
                why: "say --ca-key with its key, or --dir with the folder it is in",
            });
        };
        Authority::load(
            pki::certificates_of_pem(&read(&self.ca)?)?,
            Key::from_pem(&read(key)?)?,
        )
    }

    /// Folder and name, when the CA is one of a folder's.
    pub(super) fn in_folder(&self) -> Result<Option<(&Path, AuthorityName)>, PkiError> {
        match &self.dir {
            Some(dir) => Ok(Some((dir, self.ca.to_string_lossy().parse()?))),
            None => Ok(None),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Days {
    /// How many days it is valid, from an hour ago on.
    #[arg(long, value_name = "N", default_value_t = 365)]
    days: u32,
}

impl Days {
    pub(super) fn validity(&self, now: Moment) -> Validity {
        Validity::days(now.plus_ms(-HOUR_MS), self.days)
    }
}

#[derive(Debug, Args)]
pub(super) struct PasswordSource {
    /// A file with the password of the key store; one trailing line end is ignored.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The environment variable with the password of the key store.
    #[arg(long, value_name = "NAME", conflicts_with = "password_file")]
    password_env: Option<String>,
}

impl PasswordSource {
    /// The password, when one was named.
    pub(super) fn read(&self) -> Result<Option<Zeroizing<String>>, PkiError> {
        if let Some(path) = &self.password_file {
            let bytes = read(path)?;
            let text = std::str::from_utf8(&bytes).map_err(|error| PkiError::Malformed {
                what: "password",
                why: error.to_string(),
            })?;
            let text = text.strip_suffix('\n').unwrap_or(text);
            return Ok(Some(Zeroizing::new(
                text.strip_suffix('\r').unwrap_or(text).to_owned(),
            )));
        }
        let Some(name) = &self.password_env else {
            return Ok(None);
        };
        match std::env::var(name) {
            Ok(value) => Ok(Some(Zeroizing::new(value))),
            Err(_) => Err(PkiError::Name {
                what: "environment variable",
                value: name.clone(),
                why: "it is not set, or is not UTF-8",
            }),
        }
    }

    /// The password, which must be named.
    pub(super) fn required(&self) -> Result<Zeroizing<String>, PkiError> {
        self.read()?.ok_or_else(|| {
            PkiError::Pkcs12(
                "a password is needed: say --password-file FILE or --password-env NAME".to_owned(),
            )
        })
    }
}

/// The content of a file; wiped when dropped, for it may be a key.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, PkiError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Zeroizing::new(bytes)),
        Err(source) => Err(PkiError::Io {
            path: path.to_path_buf(),
            source,
        }),
    }
}
