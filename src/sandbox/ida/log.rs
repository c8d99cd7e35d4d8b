//! One line per exchange for whoever watches: who signed with which certificate, which checks passed, what came out.
//! No licence key, API key, individual, body or password is in it.

use std::fmt;

use openssl::sha::sha256;

use super::encoding;

/// What happened in one exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExchangeLog {
    /// The route, or what else was asked.
    pub route: &'static str,
    /// The transaction id, when it has the form of one.
    pub transaction: Option<String>,
    /// The partner id of the path, when it is registered.
    pub partner: Option<String>,
    /// Fingerprint of the TLS client certificate, when the connection had one.
    pub connection: Option<String>,
    /// Fingerprint of the certificate that verified the signature.
    pub signer: Option<String>,
    /// Whose certificate that is: the partner's id or its MISP's.
    pub signed_by: Option<String>,
    /// The checks that passed, in order.
    pub passed: Vec<&'static str>,
    /// `yes`, `no` (a factor does not match), `done`, `refused` or `misbehaved`.
    pub outcome: &'static str,
    /// The error codes of the answer.
    pub codes: Vec<&'static str>,
    /// The fault that was asked for, when one struck.
    pub fault: Option<&'static str>,
    /// The HTTP status.
    pub status: u16,
}

impl ExchangeLog {
    pub(super) fn new(route: &'static str, connection: Option<&[u8]>) -> Self {
        Self {
            route,
            connection: connection.map(fingerprint),
            ..Self::default()
        }
    }

    pub(super) fn passed(&mut self, check: &'static str) {
        self.passed.push(check);
    }

    pub(super) fn signed_by(&mut self, party: &str) {
        self.signed_by = Some(party.to_owned());
    }

    pub(super) fn signer(&mut self, der: &[u8]) {
        self.signer = Some(fingerprint(der));
    }
}

impl fmt::Display for ExchangeLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_dash = |text: &Option<String>| text.as_deref().unwrap_or("-").to_owned();
        let short = |text: &Option<String>| or_dash(text).chars().take(16).collect::<String>();
        write!(
            f,
            "ida {} transaction={} partner={} signed-by={} signer={} tls={} checks={} outcome={} status={}",
            self.route,
            or_dash(&self.transaction),
            or_dash(&self.partner),
            or_dash(&self.signed_by),
            short(&self.signer),
            short(&self.connection),
            self.passed.len(),
            self.outcome,
            self.status,
        )?;
        if !self.codes.is_empty() {
            write!(f, " codes={}", self.codes.join(","))?;
        }
        if let Some(last) = self.passed.last() {
            write!(f, " last-check={last:?}")?;
        }
        if let Some(fault) = self.fault {
            write!(f, " fault={fault}")?;
        }
        Ok(())
    }
}

fn fingerprint(der: &[u8]) -> String {
    encoding::lower_hex(&sha256(der))
}
