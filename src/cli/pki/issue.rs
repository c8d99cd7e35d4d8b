//! The single steps: lists, requests, signing, signing anew, key stores.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    Done, Written,
    options::{Ca, Days, PasswordSource, Replace, Role, read},
};
use crate::{
    clock::{Clock, Moment},
    pki::{
        self, Algorithm, Authority, Key, MosipForm, Name, NewFile, Overwrite, PkiError, Reason,
        Request, RevocationList, Revoked, Serial, SerialSign, Validity,
    },
};

#[derive(Debug, Args)]
pub(super) struct Crl {
    #[command(flatten)]
    ca: Ca,
    /// The list. With --dir its place in the folder is known. An existing one is carried on: its lines stay, its number
    /// grows by one.
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    out: Option<PathBuf>,
    /// Revoke the certificate with this serial number, in hexadecimal (minus sign allowed); may be said several times.
    #[arg(long, value_name = "HEX", allow_hyphen_values = true)]
    revoke_serial: Vec<Serial>,
    /// Revoke the first certificate of this file; it must be this CA's; may be said several times.
    #[arg(long, value_name = "FILE")]
    revoke: Vec<PathBuf>,
    /// Why: unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation, privilege-withdrawn.
    #[arg(long, value_name = "REASON", default_value = "unspecified")]
    reason: Reason,
    /// After how many days the next list is due.
    #[arg(long, value_name = "N", default_value_t = 30)]
    days: u32,
    #[command(flatten)]
    replace: Replace,
}

impl Crl {
    pub(super) fn run(self, clock: &Clock) -> Done {
        let now = clock.now();
        let authority = self.ca.load()?;
        let out = match (&self.out, self.ca.in_folder()?) {
            (Some(out), _) => out.clone(),
            (None, Some((dir, name))) => pki::list_path(dir, name),
            (None, None) => return Err(PkiError::Key("say --out with the file of the list")),
        };
        if self.replace.overwrite() == Overwrite::Refuse {
            pki::refuse_existing([out.as_path()])?;
        }
        let before = if out.exists() {
            authority.read_crl(&read(&out)?)?
        } else {
            RevocationList {
                number: 0,
                revoked: Vec::new(),
            }
        };
        let (number, mut revoked) = (before.number.saturating_add(1), before.revoked);
        let already = revoked.len();
        for serial in self.serials(&authority)? {
            if !revoked.iter().any(|line| line.serial == serial) {
                revoked.push(Revoked {
                    serial,
                    since: now,
                    reason: self.reason,
                });
            }
        }
        // An hour back, for readers whose clocks are behind.
        let validity = Validity::days(now.plus_ms(-3_600_000), self.days);
        let pem = authority.crl_pem(&revoked, number, validity.not_before, validity.not_after)?;
        pki::write_all(&[NewFile::public(&out, pem)], self.replace.overwrite())?;
        let new = revoked.len().saturating_sub(already);
        let line = format!("list number {number}: {already} lines carried on, {new} new");
        Ok(Written {
            files: vec![out],
            lines: vec![line],
        })
    }

    fn serials(&self, authority: &Authority) -> Result<Vec<Serial>, PkiError> {
        let mut serials = self.revoke_serial.clone();
        for path in &self.revoke {
            let certificates = pki::certificates_of_pem(&read(path)?)?;
            let Some(first) = certificates.first() else {
                return Err(PkiError::Malformed {
                    what: "certificate",
                    why: format!("{} holds none", path.display()),
                });
            };
            authority.issued(first)?;
            serials.push(Serial::of(first)?);
        }
        Ok(serials)
    }
}

#[derive(Debug, Args)]
pub(super) struct Csr {
    /// What the certificate is to be for.
    #[arg(long)]
    role: Role,
    /// Common name, such as the party's id.
    #[arg(long, value_name = "CN")]
    common_name: String,
    /// Organisation, exactly as it is registered.
    #[arg(long, value_name = "O")]
    organisation: String,
    /// Organisational unit.
    #[arg(long, value_name = "OU")]
    unit: Option<String>,
    /// Locality.
    #[arg(long, value_name = "L")]
    locality: Option<String>,
    /// State or province.
    #[arg(long, value_name = "ST")]
    state: Option<String>,
    /// Country, two capital letters.
    #[arg(long, value_name = "C")]
    country: Option<String>,
    /// A DNS name or IP address, for TLS; may be said several times.
    #[arg(long, value_name = "NAME")]
    tls_name: Vec<String>,
    /// Use this private key (PEM) instead of making one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_out", "algorithm"])]
    key: Option<PathBuf>,
    /// Where to write the new private key.
    #[arg(long, value_name = "FILE", required_unless_present = "key")]
    key_out: Option<PathBuf>,
    /// The new key. Default: p256 for TLS, else rsa2048.
    #[arg(long, value_name = "ALGORITHM")]
    algorithm: Option<Algorithm>,
    /// Where to write the request.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    replace: Replace,
}

impl Csr {
    pub(super) fn run(self) -> Done {
        let overwrite = self.replace.overwrite();
        if overwrite == Overwrite::Refuse {
            pki::refuse_existing(self.key_out.iter().chain([&self.out]).map(PathBuf::as_path))?;
        }
        let default = if matches!(self.role, Role::Tls) {
            Algorithm::P256
        } else {
            Algorithm::Rsa2048
        };
        let key = match &self.key {
            Some(path) => Key::from_pem(&read(path)?)?,
            None => Key::generate(self.algorithm.unwrap_or(default))?,
        };
        let name = Name {
            common_name: self.common_name,
            organisation: Some(self.organisation),
            unit: self.unit,
            locality: self.locality,
            state: self.state,
            country: self.country,
        };
        let request = Request::make_pem(&key, &name, self.role.into(), &self.tls_name)?;
        let mut files = vec![NewFile::public(self.out, request)];
        if let Some(path) = self.key_out {
            files.push(NewFile::secret(path, key.expose_pem().as_bytes()));
        }
        write(&files, overwrite)
    }
}

#[derive(Debug, Args)]
pub(super) struct Issue {
    #[command(flatten)]
    ca: Ca,
    /// What the certificate is for: it decides what the certificate allows, whatever the request asks.
    #[arg(long)]
    role: Role,
    /// The request, PEM or DER.
    #[arg(long, value_name = "FILE")]
    csr: PathBuf,
    /// Refuse unless the request names this organisation, exactly.
    #[arg(long, value_name = "O")]
    organisation: Option<String>,
    /// Where to write the certificate, its issuers after it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    days: Days,
    #[command(flatten)]
    replace: Replace,
}

impl Issue {
    pub(super) fn run(self, clock: &Clock) -> Done {
        let authority = self.ca.load()?;
        let request = Request::read(&read(&self.csr)?)?;
        if self.organisation.is_some() && self.organisation != request.name.organisation {
            return Err(PkiError::Name {
                what: "organisation",
                value: request.name.organisation.unwrap_or_default(),
                why: "the request names it, but another one was expected",
            });
        }
        let certificate = authority.certify_request(
            &request,
            self.role.into(),
            self.days.validity(clock.now()),
        )?;
        write_chain(&authority, certificate, self.out, self.replace.overwrite())
    }
}

/// The domain in which a partner's certificate is uploaded.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Domain {
    /// Authentication partners and MISPs: may be encrypted to.
    Auth,
    /// Any other: may not.
    Other,
}

#[derive(Debug, Args)]
pub(super) struct Resign {
    #[command(flatten)]
    ca: Ca,
    /// The partner's certificate (PEM); the first one in the file is taken.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// The domain it is uploaded in.
    #[arg(long, default_value = "auth")]
    domain: Domain,
    /// Where to write the new certificate, its issuers after it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How many years of 365 days it is valid, from now on.
    #[arg(long, value_name = "N", default_value_t = 1)]
    years: u32,
    #[command(flatten)]
    replace: Replace,
}

impl Resign {
    pub(super) fn run(self, clock: &Clock) -> Done {
        let authority = self.ca.load()?;
        let certificates = pki::certificates_of_pem(&read(&self.certificate)?)?;
        let Some(first) = certificates.first() else {
            return Err(PkiError::Malformed {
                what: "certificate",
                why: format!("{} holds none", self.certificate.display()),
            });
        };
        let form = match self.domain {
            Domain::Auth => MosipForm::AuthPartner,
            Domain::Other => MosipForm::OtherPartner,
        };
        let validity = Validity::days(whole_second(clock.now()), self.years.saturating_mul(365));
        let signed = authority.resign_like_mosip(first, form, validity, SerialSign::Random)?;
        write_chain(&authority, signed, self.out, self.replace.overwrite())
    }
}

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

fn write_chain(
    authority: &Authority,
    certificate: Vec<u8>,
    out: PathBuf,
    overwrite: Overwrite,
) -> Done {
    let chain = authority.chain_below(certificate)?;
    let pem: String = chain.iter().map(|der| pki::certificate_pem(der)).collect();
    write(&[NewFile::public(out, pem)], overwrite)
}

fn write(files: &[NewFile], overwrite: Overwrite) -> Done {
    pki::write_all(files, overwrite)?;
    Ok(Written::files(
        files.iter().map(|file| file.path().to_path_buf()).collect(),
    ))
}

/// MOSIP writes its certificates from the present second on.
const fn whole_second(now: Moment) -> Moment {
    Moment::from_s(now.s())
}
