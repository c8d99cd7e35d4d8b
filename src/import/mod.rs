//! Import: what a deployment of OpenCRVS' MOSIP middleware has in its environment becomes a commented configuration folder.
//!
//! Variables, PKCS#12 files and the base64 JWK are read as they are. Secrets go into files of mode 0600 and never into a TOML
//! file or a message. What no variable says is left open, with `TODO` beside it, in a form that `triseal check` refuses.

mod doors;
mod environment;
mod esignet;
mod findings;
mod links;
mod party;
mod registration;
mod subscription;
mod variables;
mod work;

pub use environment::EnvMistake;
pub use findings::Findings;

use std::{
    fmt::Write as _,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::pki::{self, NewFile, Overwrite, PkiError, Readers};
use environment::Environment;
use work::Work;

/// What to import, and what no variable says.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The environment file.
    pub env: PathBuf,
    /// Where the files lie that the variables name, when they lie elsewhere than the variables say (in a container, for
    /// instance): they are looked for by their last name.
    pub files: Option<PathBuf>,
    /// The folder to write.
    pub out: PathBuf,
    /// Writes over what is there.
    pub force: bool,
    /// Speaks to MOSIP's services themselves, not to a MISP's gateway.
    pub direct: bool,
    /// The MISP's party id.
    pub misp_id: Option<String>,
    /// The organisation in the MISP's certificates.
    pub misp_organisation: Option<String>,
    /// The address of the MISP's gateway.
    pub misp_address: Option<String>,
    /// The address on which the MISP's gateway delivers.
    pub partner_listen: Option<String>,
    /// Further names by which this gateway is addressed.
    pub hosts: Vec<String>,
    /// Networks in which country configuration runs.
    pub networks: Vec<String>,
    /// Networks from which MOSIP's hub delivers, where it is spoken to directly.
    pub hub_networks: Vec<String>,
    /// Scopes that let people's tokens use `/verify` and the E-Signet login.
    pub scopes: Vec<String>,
    /// The folder for state.
    pub state: Option<String>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The environment file cannot be read.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Lines of it have no one reading.
    #[error("{}", lines(path, mistakes))]
    Lines {
        /// The file.
        path: PathBuf,
        /// Each line.
        mistakes: Vec<EnvMistake>,
    },
    /// Files are in the way.
    #[error("would overwrite {}; nothing was written. Choose another --out, or say --force", listed(.0))]
    Taken(Vec<PathBuf>),
    /// The system refuses.
    #[error("{0}")]
    Write(PkiError),
    /// No randomness for a new key.
    #[error("the system has no randomness")]
    NoRandomness,
}

impl From<PkiError> for ImportError {
    fn from(error: PkiError) -> Self {
        match error {
            PkiError::Exists(paths) => Self::Taken(paths),
            other => Self::Write(other),
        }
    }
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    paths.join(", ")
}

fn lines(path: &Path, mistakes: &[EnvMistake]) -> String {
    let mut text = String::new();
    for mistake in mistakes {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}:{}: {}",
            path.display(),
            mistake.line,
            mistake.what
        );
    }
    text.push_str("nothing was written");
    text
}

/// What was done.
#[derive(Debug)]
pub struct Imported {
    /// The account of the variables.
    pub findings: Findings,
    /// What was written.
    pub files: Vec<PathBuf>,
}

/// Reads everything, then writes the folder: all of it, or nothing.
///
/// # Errors
/// [`ImportError`]; then nothing was written.
pub fn import(request: &Request) -> Result<Imported, ImportError> {
    let text = read_text(&request.env).map_err(|why| ImportError::Unreadable {
        path: request.env.clone(),
        why,
    })?;
    let environment = Environment::parse(&text).map_err(|mistakes| ImportError::Lines {
        path: request.env.clone(),
        mistakes,
    })?;
    let (files, findings) = configuration(request, &environment)?;
    let overwrite = if request.force {
        Overwrite::Replace
    } else {
        Overwrite::Refuse
    };
    if overwrite == Overwrite::Refuse {
        pki::refuse_existing(files.iter().map(NewFile::path))?;
    }
    for (folder, readers) in [
        ("", Readers::Everybody),
        ("partners", Readers::Everybody),
        ("certificates", Readers::Everybody),
        ("anchors", Readers::Everybody),
        ("secrets", Readers::Owner),
    ] {
        pki::folder(&request.out.join(folder), readers)?;
    }
    pki::write_all(&files, overwrite)?;
    Ok(Imported {
        findings,
        files: files.iter().map(|file| file.path().to_path_buf()).collect(),
    })
}

/// All files of the folder, in memory.
fn configuration(
    request: &Request,
    environment: &Environment,
) -> Result<(Vec<NewFile>, Findings), ImportError> {
    let mut work = Work::new(request, environment);
    for note in environment.notes() {
        work.findings.warn(note.clone());
    }
    let party = party::sections(&mut work);
    let links = links::sections(&mut work);
    let esignet = esignet::sections(&mut work);
    let registration = registration::sections(&mut work);
    let subscription = subscription::sections(&mut work);
    let doors = doors::sections(&mut work);
    let store = store_section(&mut work)?;
    work.rest();
    let head = format!(
        "# Written by `triseal import opencrvs` from {}. The variables are named behind what came of them.\n\
         # TODO marks what no variable said; `triseal check --config gateway.toml` names each until it is done.\n\n\
         [gateway]\nname = {}\npartners = \"partners\"\nstate = {}   # SQLITE_DATABASE_PATH's place is taken by [store]\n\n",
        (request.env.file_name().unwrap_or_default()).to_string_lossy(),
        work::quote(&work.party_id),
        work::quote(request.state.as_deref().unwrap_or("state")),
    );
    let text = [
        head,
        party,
        doors,
        links,
        store,
        subscription,
        esignet,
        registration,
        "# Which path leads where.\n".to_owned(),
        std::mem::take(&mut work.routes),
    ]
    .concat();
    work.public("gateway.toml", text);
    let report = work.findings.to_string();
    work.public("import.txt", report);
    Ok((work.files, work.findings))
}

fn store_section(work: &mut Work<'_>) -> Result<String, ImportError> {
    // What an earlier import's gateway has stored must stay readable.
    let kept = (work.request.force)
        .then(|| read_text(&work.request.out.join("secrets/store-key")).ok())
        .flatten();
    let key = match kept {
        Some(key) => key,
        None => crate::store::make_key().ok_or(ImportError::NoRandomness)?,
    };
    let key = work.secret("store-key", key.as_bytes());
    let state = work
        .request
        .state
        .clone()
        .unwrap_or_else(|| "state".to_owned());
    Ok(format!(
        "# Registrations, deliveries and what is under way. Needs a volume: what is lost here is lost.\n\
         # Back it up together with its key; without the key it cannot be read.\n\
         [store]\nurl = {}\nkey = [{key}]   # made by this import\nretention_days = 90\n\n",
        work::quote(&format!("sqlite:{state}/triseal.sqlite")),
    ))
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, String> {
    let bytes = read_bounded(path, environment::FILE_MAX)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err("is not UTF-8 text".to_owned()),
    }
}

/// A whole file, if it is a plain one and not larger than that.
fn read_bounded(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let file = File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    let plain = file.metadata().is_ok_and(|about| about.is_file());
    if !plain {
        return Err("is not a plain file".to_owned());
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    (file.take(limit).read_to_end(&mut bytes)).map_err(|e| format!("cannot be read: {e}"))?;
    if bytes.len() > max {
        return Err(format!("is larger than {max} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
