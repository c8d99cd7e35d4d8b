//! `pki crl`: a CA's revocation list, made or carried on.

use std::path::PathBuf;

use clap::Args;

use super::{
    Done, Written,
    options::{Ca, Replace, read},
};
use crate::{
    clock::Clock,
    pki::{
        self, Authority, NewFile, Overwrite, PkiError, Reason, RevocationList, Revoked, Serial,
        Validity,
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
