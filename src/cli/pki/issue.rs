//! `pki csr`, `pki issue`, `pki resign`: from a key to a certificate, step by step.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    Done,
    options::{Ca, Days, Replace, Role, read},
    write,
};
use crate::{
    clock::{Clock, Moment},
    pki::{
        self, Algorithm, Authority, Key, MosipForm, Name, NewFile, Overwrite, PkiError, Request,
        SerialSign, Validity,
    },
};

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

/// MOSIP writes its certificates from the present second on.
const fn whole_second(now: Moment) -> Moment {
    Moment::from_s(now.s())
}
