//! What the sections share while they are written: the variables, the account of them, and the files so far.

use std::path::{Path, PathBuf};

use http::Uri;
use zeroize::Zeroizing;

use super::{
    Request,
    environment::Environment,
    findings::Findings,
    read_bounded,
    variables::{KNOWN, WITHOUT_PLACE, is_published},
};
use crate::pki::NewFile;

/// The largest file that a variable may name.
const NAMED_FILE_MAX: usize = 1 << 20;

/// An import under way.
pub(super) struct Work<'a> {
    pub(super) request: &'a Request,
    pub(super) findings: Findings,
    pub(super) files: Vec<NewFile>,
    /// Routes, which stand at the end.
    pub(super) routes: String,
    /// Their names, for the file of country configuration.
    pub(super) route_names: Vec<&'static str>,
    pub(super) party_id: String,
    pub(super) hosts: Vec<String>,
    /// Whether there is an E-Signet login.
    pub(super) esignet: bool,
    environment: &'a Environment,
}

impl<'a> Work<'a> {
    pub(super) fn new(request: &'a Request, environment: &'a Environment) -> Self {
        Self {
            request,
            findings: Findings::default(),
            files: Vec::new(),
            routes: String::new(),
            route_names: Vec::new(),
            party_id: "TODO-partner-id".to_owned(),
            hosts: Vec::new(),
            esignet: false,
            environment,
        }
    }

    /// A value, without a word about it.
    pub(super) fn peek(&self, name: &'static str) -> Option<&'a str> {
        debug_assert!(KNOWN.contains(&name), "{name}");
        self.environment.get(name)
    }

    /// A value that is used.
    pub(super) fn take(&mut self, name: &'static str, what: &str) -> Option<&'a str> {
        let value = self.peek(name)?;
        self.findings.used(name, what);
        Some(value)
    }

    /// A value that is used, or the middleware's default.
    pub(super) fn take_or(&mut self, name: &'static str, default: &str, what: &str) -> String {
        match self.take(name, what) {
            Some(value) => value.to_owned(),
            None => {
                let told = format!("{what}: the middleware's default stands in, `{default}`");
                self.findings.missing(name, told);
                default.to_owned()
            }
        }
    }

    /// A secret that is used: it goes into a file, and what stands in the configuration is the reference.
    pub(super) fn take_secret(
        &mut self,
        name: &'static str,
        file: &str,
        what: &str,
    ) -> Option<String> {
        let value = self.peek(name)?;
        self.weak(name, value);
        self.findings
            .used(name, format!("{what}; in secrets/{file}"));
        Some(self.secret(file, value.as_bytes()))
    }

    /// Says so when a secret is one that everybody knows.
    pub(super) fn weak(&mut self, name: &str, value: &str) {
        if is_published(value) {
            self.findings.warn(format!(
                "{name} has a value that stands in published samples: everybody knows it. Change it there and here."
            ));
        }
    }

    /// A secret of ours; the reference to it.
    pub(super) fn secret(&mut self, file: &str, bytes: &[u8]) -> String {
        let path = format!("secrets/{file}");
        self.files
            .push(NewFile::secret(self.request.out.join(&path), bytes));
        format!("{{ file = {} }}", quote(&path))
    }

    /// A file that everybody may read.
    pub(super) fn public(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.files
            .push(NewFile::public(self.request.out.join(path), bytes));
    }

    /// The file that a variable names.
    pub(super) fn named_file(&mut self, name: &'static str) -> Option<Zeroizing<Vec<u8>>> {
        let path = PathBuf::from(self.peek(name)?);
        let base = self.request.env.parent().unwrap_or_else(|| Path::new(""));
        let mut places = vec![base.join(&path)];
        if let (Some(folder), Some(last)) = (&self.request.files, path.file_name()) {
            places.insert(0, folder.join(last));
        }
        let mut why = String::new();
        for place in &places {
            match read_bounded(place, NAMED_FILE_MAX) {
                Ok(bytes) => return Some(bytes),
                Err(reason) => why = format!("{} {reason}", place.display()),
            }
        }
        self.findings.unused(
            name,
            format!("{why}. Say with --files where the deployment's files lie"),
        );
        None
    }

    /// An address that a variable gives: origin and path.
    pub(super) fn take_address(&mut self, name: &'static str, what: &str) -> Option<Address> {
        let value = self.peek(name)?;
        match Address::parse(value) {
            Ok(address) => {
                self.findings.used(name, what);
                Some(address)
            }
            Err(why) => {
                self.findings.unused(name, why);
                None
            }
        }
    }

    /// Something to be filled in; the comment for its line.
    pub(super) fn todo(&mut self, what: &str) -> String {
        self.findings.todo(what);
        format!("# TODO: {what}")
    }

    /// What no section took.
    pub(super) fn rest(&mut self) {
        for (name, why) in WITHOUT_PLACE {
            if self.environment.get(name).is_some() {
                self.findings.unused(name, why);
            }
        }
        for name in self.environment.names() {
            if !KNOWN.contains(&name) {
                self.findings.unknown(name);
            }
        }
    }
}

/// An http or https address, as upstreams have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) origin: String,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) secure: bool,
}

impl Address {
    fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("it is no address of a service: {why}");
        let uri: Uri = text.parse().map_err(|_| bad("it cannot be read"))?;
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        if !matches!(scheme, "http" | "https") {
            return Err(bad("it begins neither with http:// nor with https://"));
        }
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(bad("it has a user or a query"));
        }
        Ok(Self {
            origin: format!("{scheme}://{authority}"),
            host: authority.host().to_ascii_lowercase(),
            path: uri.path().trim_end_matches('/').to_owned(),
            secure: scheme == "https",
        })
    }
}

/// A TOML string.
pub(super) fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A TOML list of strings.
pub(super) fn quote_all(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quote(text)).collect();
    format!("[{}]", quoted.join(", "))
}
