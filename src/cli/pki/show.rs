//! `pki show`: the blocks a person reads, or JSON.

use std::{
    io::{IsTerminal as _, stdout},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use super::{options::PasswordSource, say};
use crate::{
    clock::Clock,
    pki::{
        PkiError,
        show::{
            self, CertificateShown, FileShown, Finding, Form, ItemShown, KeyShown, ListShown,
            RequestShown, Severity, What,
        },
    },
};

/// So many lines of a revocation list are shown, unless as JSON.
const LINES_SHOWN: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Certificates, revocation lists, requests, keys (PEM or DER) and key stores (PKCS#12). Files of one call are checked
    /// against each other: name issuers and lists too.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    password: PasswordSource,
}

impl Show {
    /// Exit code 1 when something is wrong, or a file cannot be read.
    pub(super) fn run(self, clock: &Clock) -> ExitCode {
        match self.shown(clock) {
            Ok(files) => {
                self.print(&files);
                if files.iter().any(FileShown::is_wrong) {
                    ExitCode::FAILURE
                } else {
                    ExitCode::SUCCESS
                }
            }
            Err(error) => {
                eprintln!("triseal pki show: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn shown(&self, clock: &Clock) -> Result<Vec<FileShown>, PkiError> {
        let password = self.password.read()?;
        show::show(
            &self.files,
            password.as_ref().map(|password| password.as_str()),
            clock.now(),
        )
    }

    fn print(&self, files: &[FileShown]) {
        if self.json {
            match serde_json::to_string_pretty(files) {
                Ok(json) => say(&json),
                Err(error) => eprintln!("triseal pki show: {error}"),
            }
            return;
        }
        let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let mut page = Page {
            text: String::new(),
            colour,
        };
        for file in files {
            page.file(file);
        }
        say(page.text.trim_end());
    }
}

/// The text, as it grows.
struct Page {
    text: String,
    colour: bool,
}

const BOLD: &str = "1";
const RED: &str = "1;31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const DIM: &str = "2";

impl Page {
    fn file(&mut self, file: &FileShown) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let form = match file.form {
            Form::Pem => "PEM",
            Form::Der => "DER",
            Form::Pkcs12 => "PKCS#12",
        };
        let heading = self.painted(BOLD, &file.file);
        self.push(&format!("{heading} ({form})"));
        self.findings(&file.findings);
        for item in &file.items {
            self.text.push('\n');
            self.item(item);
        }
        if file.items.is_empty() {
            self.push("  nothing in it");
        }
    }

    fn item(&mut self, item: &ItemShown) {
        let heading = match &item.what {
            What::Certificate(certificate) if certificate.ca => "certificate (CA:TRUE)",
            What::Certificate(_) => "certificate",
            What::RevocationList(_) => "revocation list",
            What::Request(_) => "request for a certificate",
            What::PrivateKey(_) => "private key",
            What::PublicKey(_) => "public key",
            What::Locked => "locked",
            What::Unknown { .. } => "unknown",
        };
        let heading = self.painted(BOLD, heading);
        match &item.alias {
            Some(alias) => self.push(&format!("  {heading} \"{}\"", plain(alias))),
            None => self.push(&format!("  {heading}")),
        }
        match &item.what {
            What::Certificate(certificate) => self.certificate(certificate),
            What::RevocationList(list) => self.list(list),
            What::Request(request) => self.request(request),
            What::PrivateKey(key) | What::PublicKey(key) => self.key(key),
            What::Locked => {}
            What::Unknown { label } => self.line("what", label),
        }
        self.findings(&item.findings);
    }

    fn certificate(&mut self, certificate: &CertificateShown) {
        self.line("subject", &certificate.subject);
        self.line("issuer", &certificate.issuer);
        self.line("serial", &certificate.serial);
        self.line("fingerprint", &certificate.fingerprint);
        self.line("key", &certificate.key);
        self.line("signed with", &certificate.signed_with);
        self.line(
            "valid",
            &format!(
                "{} to {} ({})",
                certificate.not_before, certificate.not_after, certificate.validity
            ),
        );
        if !certificate.alternative_names.is_empty() {
            self.line("names", &certificate.alternative_names.join(", "));
        }
        let usage = certificate
            .key_usage
            .as_ref()
            .map_or_else(|| "not stated".to_owned(), |words| words.join(", "));
        self.line("key usage", &usage);
        if let Some(purposes) = &certificate.extended_key_usage {
            self.line("for", &purposes.join(", "));
        }
        if let Some(length) = certificate.path_length {
            self.line("CAs below", &format!("at most {length}"));
        }
        let is_authority = certificate
            .roles
            .iter()
            .all(|role| role.why == "it is a CA");
        if is_authority {
            self.line("roles", "none: it is a CA");
            return;
        }
        for role in &certificate.roles {
            let (colour, mark) = if role.fits {
                (GREEN, "fits")
            } else {
                (DIM, "no")
            };
            let verdict = self.painted(colour, &format!("{mark:<5}"));
            self.push(&format!(
                "    {:<12} {verdict} {}",
                role.role,
                plain(&role.why)
            ));
        }
    }

    fn list(&mut self, list: &ListShown) {
        self.line("issuer", &list.issuer);
        self.line("number", list.number.as_deref().unwrap_or("none"));
        self.line("signed with", &list.signed_with);
        let until = list.next_update.as_deref().unwrap_or("?");
        self.line(
            "valid",
            &format!("{} to {until} ({})", list.this_update, list.validity),
        );
        self.line("revoked", &list.revoked.len().to_string());
        for line in list.revoked.iter().take(LINES_SHOWN) {
            let reason = line
                .reason
                .as_deref()
                .map(|reason| format!(", {reason}"))
                .unwrap_or_default();
            self.push(&format!(
                "      {} since {}{reason}",
                line.serial, line.since
            ));
        }
        if let Some(more) = list
            .revoked
            .len()
            .checked_sub(LINES_SHOWN)
            .filter(|more| *more > 0)
        {
            self.push(&format!("      and {more} more"));
        }
    }

    fn request(&mut self, request: &RequestShown) {
        self.line("subject", &request.subject);
        self.line("key", &request.key);
        if !request.alternative_names.is_empty() {
            self.line("names", &request.alternative_names.join(", "));
        }
    }

    fn key(&mut self, key: &KeyShown) {
        self.line("key", &key.key);
        self.line("public key", &key.key_fingerprint);
        for subject in &key.belongs_to {
            self.line("belongs to", subject);
        }
    }

    fn findings(&mut self, findings: &[Finding]) {
        for finding in findings {
            let (colour, word) = match finding.severity {
                Severity::Wrong => (RED, "WRONG"),
                Severity::Note => (YELLOW, "note "),
            };
            let word = self.painted(colour, word);
            self.push(&format!("    {word} {}", plain(&finding.text)));
        }
    }

    fn line(&mut self, name: &str, value: &str) {
        self.push(&format!("    {name:<12} {}", plain(value)));
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        let text = plain(text);
        if self.colour {
            format!("\u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            text
        }
    }
}

/// Foreign text with control characters made harmless: a subject must not write to the reader's terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|sign| if sign.is_control() { '\u{fffd}' } else { sign })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_cannot_write_to_the_readers_terminal() {
        assert_eq!(
            plain("O=a\u{1b}[2J\nb\u{9b}"),
            "O=a\u{fffd}[2J\u{fffd}b\u{fffd}"
        );
    }
}
