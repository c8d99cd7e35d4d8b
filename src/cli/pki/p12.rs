//! `pki p12`: between PEM files and PKCS#12 key stores.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    Done,
    options::{PasswordSource, Replace, read},
    write,
};
use crate::pki::{self, Key, NewFile, PkiError};

#[derive(Debug, Args)]
pub(super) struct P12 {
    #[command(subcommand)]
    direction: Direction,
}

#[derive(Debug, Subcommand)]
enum Direction {
    /// Put a key and its certificates into a key store.
    Write {
        /// The certificates (PEM): the leaf, then its issuers.
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// The private key (PEM).
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The name of the entry.
        #[arg(long, default_value = "triseal")]
        alias: String,
        /// The key store to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        replace: Replace,
    },
    /// Take a key and its certificates out of a key store.
    Read {
        /// The key store.
        file: PathBuf,
        /// Where to write the certificates (PEM).
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// Where to write the private key (PEM); without it, the key stays where it is.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        replace: Replace,
    },
}

impl P12 {
    pub(super) fn run(self) -> Done {
        match self.direction {
            Direction::Write {
                certificate,
                key,
                alias,
                out,
                password,
                replace,
            } => {
                let chain = pki::certificates_of_pem(&read(&certificate)?)?;
                let key = Key::from_pem(&read(&key)?)?;
                let store = pki::write_p12(&alias, &key, &chain, &password.required()?)?;
                write(&[NewFile::secret(out, &store)], replace.overwrite())
            }
            Direction::Read {
                file,
                certificate,
                key,
                password,
                replace,
            } => {
                let contents = pki::read_p12(&read(&file)?, &password.required()?)?;
                let pem: String = contents
                    .certificates
                    .iter()
                    .map(|(_, der)| pki::certificate_pem(der))
                    .collect();
                let mut files = vec![NewFile::public(certificate, pem)];
                if let Some(path) = key {
                    let [(_, der)] = contents.keys.as_slice() else {
                        return Err(PkiError::Pkcs12(format!(
                            "it holds {} keys, not one",
                            contents.keys.len()
                        )));
                    };
                    files.push(NewFile::secret(
                        path,
                        Key::from_der(der)?.expose_pem().as_bytes(),
                    ));
                }
                write(&files, replace.overwrite())
            }
        }
    }
}
