//! `triseal partners`: hashes for partner files, and who is in them.

mod changes;
mod replace;
mod replacements;

use std::{
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};
use zeroize::Zeroizing;

use crate::{
    clock::{Clock, Moment},
    config::{Config, Document, Mistakes, PartnerKind, Report, Role, config_schema},
    keys::{Secret, read_secret},
    partners::{Directory, Known, Partner, Pepper, SecretKind, secrets::SECRET_MAX_BYTES},
    trust::Anchors,
};

/// Partner files: hashes for them, and what is in them.
#[derive(Debug, Args)]
pub struct PartnersCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Reads a secret from standard input and prints the hash that stands in its place in a partner file.
    ///
    /// The secret is never an argument: arguments can be seen by every user of the machine and stay in the shell's history.
    Hash {
        /// The gateway's configuration, for the pepper.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// What the secret is.
        #[arg(long, value_enum)]
        kind: KindWord,
    },
    /// Prints every partner and service: state, certificates with the days they have left, keys.
    List {
        /// The gateway's configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    ReplaceCertificate(Box<replace::Replace>),
    Replacements(replacements::Replacements),
    /// Prints what events and requests have changed beside the files.
    Changes {
        /// The gateway's configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Takes a change back: what the files say holds alone.
    Forget(changes::Forget),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindWord {
    /// An API key, or the OIDC client id in its place.
    ApiKey,
    /// A MISP licence key.
    LicenceKey,
    /// A bearer token of a service.
    Token,
}

impl From<KindWord> for SecretKind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::ApiKey => Self::ApiKey,
            KindWord::LicenceKey => Self::LicenceKey,
            KindWord::Token => Self::Token,
        }
    }
}

/// Why nothing was printed.
#[derive(Debug, thiserror::Error)]
enum PartnersError {
    #[error("{0}")]
    Mistakes(Mistakes),
    #[error(
        "the configuration has no gateway.pepper; point it to a file with 32 random bytes, such as from `openssl rand -hex 32`"
    )]
    NoPepper,
    #[error("{0}")]
    Pepper(#[from] crate::partners::secrets::PepperError),
    #[error(
        "standard input holds no secret: give it one line of 1 to {SECRET_MAX_BYTES} characters"
    )]
    NoSecret,
    #[error("{0}")]
    Replace(#[from] replace::ReplaceError),
    #[error("{0}")]
    Store(#[from] super::store::CommandError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Runs the command on standard input and output.
pub fn run(command: &PartnersCommand, clock: &Clock) -> ExitCode {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let done = match &command.what {
        What::Hash { config, kind } => {
            if io::stdin().is_terminal() {
                // Nothing to be done about a failing standard error.
                let _ = writeln!(
                    io::stderr(),
                    "Type the secret and end it with Enter and Ctrl-D."
                );
            }
            hash(config, SecretKind::from(*kind), &mut input, &mut output)
        }
        What::ReplaceCertificate(args) => args.run(clock, &mut output).map_err(Into::into),
        What::Replacements(args) => args.run(clock, &mut output).map_err(Into::into),
        What::Changes { config } => changes::list(config, &mut output).map_err(Into::into),
        What::Forget(command) => changes::forget(command, &mut output).map_err(Into::into),
        What::List { config } => list(config, clock.now(), &mut output, &mut io::stderr().lock()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(io::stderr(), "{}", e.to_string().trim_end());
            ExitCode::FAILURE
        }
    }
}

fn hash(
    config: &Path,
    kind: SecretKind,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), PartnersError> {
    let (document, raw) = read(config)?;
    let pepper = pepper(&document, &raw)?.ok_or(PartnersError::NoPepper)?;
    let pepper = Pepper::new(&pepper)?;
    let secret = one_line(input)?;
    let hash = pepper.hash(kind, &secret).ok_or(PartnersError::NoSecret)?;
    writeln!(output, "{hash}")?;
    Ok(())
}

/// One secret, without its line end. White space or a second line around it is a slip that would give a hash that never
/// fits, so it is refused.
fn one_line(input: &mut impl Read) -> Result<Zeroizing<Vec<u8>>, PartnersError> {
    let limit = SECRET_MAX_BYTES.saturating_add(3);
    let mut secret = Zeroizing::new(Vec::with_capacity(limit));
    input
        .take(u64::try_from(limit).unwrap_or(u64::MAX))
        .read_to_end(&mut secret)?;
    if secret.ends_with(b"\n") {
        secret.pop();
        if secret.ends_with(b"\r") {
            secret.pop();
        }
    }
    let plain = !secret
        .iter()
        .any(|b| b.is_ascii_whitespace() || b.is_ascii_control());
    if plain {
        Ok(secret)
    } else {
        Err(PartnersError::NoSecret)
    }
}

fn list(
    config: &Path,
    now: Moment,
    output: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), PartnersError> {
    let (document, raw) = read(config)?;
    let mut mistakes = Mistakes::default();
    let anchors = Anchors::build(&raw.anchor, &mut Report::new(&document, &mut mistakes), now);
    let pepper = pepper(&document, &raw)?;
    let routes: Vec<&str> = raw.route.iter().map(|r| r.name.as_str()).collect();
    let policies: Vec<&str> = raw.policy.iter().map(|p| p.id.as_str()).collect();
    let beside = replacements::beside(config, &raw, notes)?;
    let directory = match &raw.gateway.partners {
        None => Directory::empty(),
        Some(folder) => {
            let folder = document.resolve(folder);
            Directory::load(
                &folder,
                pepper.as_ref(),
                &anchors,
                Known {
                    routes: &routes,
                    policies: &policies,
                    kind_of: &|_| None,
                    beside: &beside,
                },
                now,
                &mut mistakes,
            )
        }
    };
    if mistakes.refuse() {
        return Err(PartnersError::Mistakes(mistakes));
    }
    write!(notes, "{mistakes}")?;
    let header = [
        "ID",
        "STATE",
        "KIND",
        "TLS",
        "ENCRYPTION",
        "SIGNATURE",
        "API KEYS",
        "LICENCES",
        "ROUTES",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(directory.iter().map(|partner| row(partner, &anchors, now)));
    table(&rows, output)?;
    Ok(())
}

fn row(partner: &Partner, anchors: &Anchors, now: Moment) -> [String; 9] {
    let kind = match partner.kind() {
        PartnerKind::Auth => "auth",
        PartnerKind::Misp => "misp",
        PartnerKind::Service => "service",
    };
    [
        partner.id().to_string(),
        partner.registration().at(now).as_str().to_owned(),
        kind.to_owned(),
        certificates(partner, Role::Tls, anchors, now),
        certificates(partner, Role::Encryption, anchors, now),
        certificates(partner, Role::Signature, anchors, now),
        partner.api_keys().len().to_string(),
        partner.licence_keys().len().to_string(),
        partner.routes().count().to_string(),
    ]
}

/// The certificates of a role: for each the days that are left, or that it is not usable.
fn certificates(partner: &Partner, role: Role, anchors: &Anchors, now: Moment) -> String {
    const DAY_MS: i64 = 86_400_000;
    let words: Vec<String> = (partner.certificates().bindings().iter())
        .filter(|binding| binding.role() == role)
        .map(|binding| match binding.judge(anchors, now) {
            Ok(()) => format!(
                "{} d",
                binding.valid_until().since_ms(now).div_euclid(DAY_MS)
            ),
            Err(unusable) => unusable.word().to_owned(),
        })
        .collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

/// Columns as wide as their widest entry.
fn table<const N: usize>(rows: &[[String; N]], output: &mut impl Write) -> io::Result<()> {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(String::len)
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        writeln!(output, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn read(config: &Path) -> Result<(Document, Config), PartnersError> {
    let document =
        Document::read(config).map_err(|e| PartnersError::Mistakes(Mistakes(vec![e.0])))?;
    let mut mistakes = Mistakes::default();
    match document.parse(&config_schema(), &mut mistakes) {
        Some(raw) => Ok((document, raw)),
        None => Err(PartnersError::Mistakes(mistakes)),
    }
}

fn pepper(document: &Document, raw: &Config) -> Result<Option<Secret>, PartnersError> {
    let Some(reference) = &raw.gateway.pepper else {
        return Ok(None);
    };
    let mut mistakes = Mistakes::default();
    let secret = {
        let mut report = Report::new(document, &mut mistakes);
        read_secret(reference, &mut report.within("gateway").within("pepper"))
    };
    match secret {
        Some(secret) => Ok(Some(secret)),
        None => Err(PartnersError::Mistakes(mistakes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    const PEPPER: &[u8] = b"a pepper for tests only";

    fn folder(pepper: bool) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let line = if pepper {
            "pepper = { file = \"pepper\" }"
        } else {
            ""
        };
        let text = format!(
            "[gateway]\nname = \"t\"\nstate = \"state\"\npartners = \"partners\"\n{line}\n\
             [party]\nid = \"misp\"\norganisation = \"MISP\"\ncertificate = []\n\
             [[route]]\nname = \"files\"\npath = \"/files\"\nmethods = [\"GET\"]\nhandler = \"relay\"\n\
             from = {{ face = \"service\", envelope = \"insecure_plain\" }}\n\
             to = {{ upstream = \"u\", envelope = \"insecure_plain\" }}\n"
        );
        fs::write(folder.path().join("triseal.toml"), text).unwrap();
        let secret = folder.path().join("pepper");
        fs::write(&secret, PEPPER).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(folder.path().join("partners")).unwrap();
        folder
    }

    fn hashed(folder: &tempfile::TempDir, input: &str) -> Result<String, PartnersError> {
        let mut output = Vec::new();
        let config = folder.path().join("triseal.toml");
        hash(
            &config,
            SecretKind::ApiKey,
            &mut input.as_bytes(),
            &mut output,
        )?;
        Ok(String::from_utf8(output).unwrap())
    }

    #[test]
    fn a_secret_from_standard_input_becomes_the_hash_for_a_partner_file() {
        let folder = folder(true);
        let expected = Pepper::for_tests()
            .hash(SecretKind::ApiKey, b"123456")
            .unwrap();
        for input in ["123456", "123456\n", "123456\r\n"] {
            assert_eq!(hashed(&folder, input).unwrap(), format!("{expected}\n"));
        }
    }

    #[test]
    fn input_that_is_not_one_secret_is_refused() {
        let folder = folder(true);
        let long = "x".repeat(SECRET_MAX_BYTES + 1);
        for bad in [
            "",
            "\n",
            " 123456",
            "123456 ",
            "123456\n\n",
            "1\n2",
            "1\t2",
            &long,
        ] {
            assert!(
                matches!(hashed(&folder, bad), Err(PartnersError::NoSecret)),
                "{bad:?}"
            );
        }
        assert!(hashed(&folder, &"x".repeat(SECRET_MAX_BYTES)).is_ok());
    }

    #[test]
    fn without_a_pepper_there_is_no_hash() {
        assert!(matches!(
            hashed(&folder(false), "123456"),
            Err(PartnersError::NoPepper)
        ));
    }

    fn listed(folder: &tempfile::TempDir) -> Result<(String, String), PartnersError> {
        let (mut output, mut notes) = (Vec::new(), Vec::new());
        let now = Moment::from_s(1_800_000_000);
        list(
            &folder.path().join("triseal.toml"),
            now,
            &mut output,
            &mut notes,
        )?;
        Ok((
            String::from_utf8(output).unwrap(),
            String::from_utf8(notes).unwrap(),
        ))
    }

    #[test]
    fn the_list_has_a_line_for_each_partner() {
        let folder = folder(true);
        let service = "id = \"crvs\"\norganisation = \"Civil Registry\"\nkind = \"service\"\nroutes = [\"files\"]\n\
                       valid_until = \"2020-01-01T00:00:00Z\"\n[access]\nnetworks = [\"10.0.0.0/8\"]\n";
        fs::write(folder.path().join("partners/crvs.toml"), service).unwrap();
        let (output, notes) = listed(&folder).unwrap();
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines.len(), 2, "{output}");
        assert!(
            lines[1].starts_with("crvs  expired  service  -"),
            "{output}"
        );
        assert!(lines[1].ends_with('1'));
        assert!(notes.contains("expired on 2020-01-01T00:00:00Z"), "{notes}");
    }

    #[test]
    fn a_list_of_files_with_mistakes_is_the_list_of_mistakes() {
        let folder = folder(true);
        fs::write(
            folder.path().join("partners/a.toml"),
            "id = \"a b\"\norganisation = \"\"\n",
        )
        .unwrap();
        let error = listed(&folder).unwrap_err().to_string();
        assert!(
            error.contains("a.toml:1: error: id")
                && error.contains("a.toml:2: error: organisation"),
            "{error}"
        );
    }
}
