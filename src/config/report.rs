//! Mistakes in configuration, all of them at once, each with file, line and remedy.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::Document;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but somebody should know.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// How bad it is.
    pub severity: Severity,
    /// The file it is in.
    pub file: PathBuf,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The place in the file, such as `route[2].to.upstream`.
    pub at: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}: {word}: ", self.file.display(), self.line)?;
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        write!(f, "{}. {}", self.what, self.remedy)
    }
}

/// All findings of one check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// Whether the configuration cannot be used.
    pub fn refuse(&self) -> bool {
        self.0.iter().any(|m| m.severity == Severity::Error)
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.0
            .iter()
            .filter(|m| m.severity == Severity::Error)
            .count()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.0 {
            writeln!(f, "{mistake}")?;
        }
        Ok(())
    }
}

/// Where a room writes its findings: knows the document and the place in it.
#[derive(Debug)]
pub struct Report<'a> {
    document: &'a Document,
    place: String,
    mistakes: &'a mut Mistakes,
}

impl<'a> Report<'a> {
    /// A report on a whole document.
    pub const fn new(document: &'a Document, mistakes: &'a mut Mistakes) -> Self {
        Self {
            document,
            place: String::new(),
            mistakes,
        }
    }

    /// The same report, one step further in: `within("route[2]")`, then `within("to")`.
    pub fn within(&mut self, step: impl AsRef<str>) -> Report<'_> {
        let place = join(&self.place, step.as_ref());
        Report {
            document: self.document,
            place,
            mistakes: self.mistakes,
        }
    }

    /// An error at `field` (empty: at this place itself).
    pub fn error(&mut self, field: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Error, field, what.into(), remedy.into());
    }

    /// A warning at `field`.
    pub fn warning(&mut self, field: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Warning, field, what.into(), remedy.into());
    }

    /// A path written in the document, seen from the document's own folder.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.document.resolve(path)
    }

    /// Errors so far, over all rooms.
    pub fn errors(&self) -> usize {
        self.mistakes.errors()
    }

    /// Findings in other files that this document names.
    pub fn adopt(&mut self, found: Mistakes) {
        self.mistakes.0.extend(found.0);
    }

    fn add(&mut self, severity: Severity, field: &str, what: String, remedy: String) {
        let at = join(&self.place, field);
        self.mistakes.0.push(Mistake {
            severity,
            file: self.document.file().to_path_buf(),
            line: self.document.line_of(&at),
            at,
            what,
            remedy,
        });
    }
}

fn join(place: &str, step: &str) -> String {
    match (place.is_empty(), step.is_empty()) {
        (_, true) => place.to_owned(),
        (true, false) => step.to_owned(),
        (false, false) => format!("{place}.{step}"),
    }
}
