//! One TOML file: its text, its tree with spans, and where in it a place stands.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use super::{Mistake, Mistakes, Severity, shape};

/// The largest configuration file that is read, in bytes.
const FILE_MAX_BYTES: u64 = 4 << 20;

thread_local! {
    /// Files and folders named while a configuration is read; `None` when nobody asks.
    static WATCHED: RefCell<Option<BTreeSet<PathBuf>>> = const { RefCell::new(None) };
}

/// Runs `read` and gives beside its result every file and folder that it named: what a reload has to watch.
pub fn watching<T>(read: impl FnOnce() -> T) -> (T, BTreeSet<PathBuf>) {
    WATCHED.with_borrow_mut(|w| *w = Some(BTreeSet::new()));
    let result = read();
    let named = WATCHED.with_borrow_mut(Option::take).unwrap_or_default();
    (result, named)
}

fn watch(path: &Path) {
    WATCHED.with_borrow_mut(|w| {
        if let Some(named) = w {
            named.insert(path.to_path_buf());
        }
    });
}

/// A file that cannot even be read as TOML.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(pub Mistake);

/// One file of configuration.
#[derive(Debug)]
pub struct Document {
    file: PathBuf,
    text: String,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// When the file cannot be read or is unreasonably large.
    pub fn read(file: &Path) -> Result<Self, ReadError> {
        watch(file);
        let problem = |what: String, remedy: &str| {
            ReadError(Mistake {
                severity: Severity::Error,
                file: file.to_path_buf(),
                line: 0,
                at: String::new(),
                what,
                remedy: remedy.to_owned(),
            })
        };
        let size = std::fs::metadata(file)
            .map_err(|e| {
                problem(
                    format!("cannot be read: {e}"),
                    "Check the path and the permissions.",
                )
            })?
            .len();
        if size > FILE_MAX_BYTES {
            return Err(problem(
                format!("has {size} bytes, more than {FILE_MAX_BYTES}"),
                "Split it, or check that it is the right file.",
            ));
        }
        let text = std::fs::read_to_string(file).map_err(|e| {
            problem(
                format!("cannot be read: {e}"),
                "Check that it is UTF-8 text.",
            )
        })?;
        Ok(Self::from_text(file, text))
    }

    /// A document from text that is already here; `file` is its name in messages and the base of relative paths.
    pub fn from_text(file: &Path, text: String) -> Self {
        Self {
            file: file.to_path_buf(),
            text,
        }
    }

    /// The file's path.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A path written in this document, seen from the document's folder.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        let path = self
            .file
            .parent()
            .unwrap_or_else(|| Path::new(""))
            .join(path);
        watch(&path);
        path
    }

    /// The struct that the text describes. All mistakes of shape are reported at once: unknown names, missing names, wrong
    /// types, unknown words.
    pub fn parse<T: DeserializeOwned>(
        &self,
        schema: &schemars::Schema,
        mistakes: &mut Mistakes,
    ) -> Option<T> {
        let tree = match DeTable::parse(&self.text) {
            Ok(tree) => tree,
            Err(e) => {
                let line = e.span().map_or(0, |s| self.line_at(s.start));
                self.add(
                    mistakes,
                    line,
                    "",
                    e.message().to_owned(),
                    "Correct the TOML.",
                );
                return None;
            }
        };
        let before = mistakes.errors();
        for finding in shape::check(schema, &tree) {
            let line = self.line_at(finding.offset);
            self.add(mistakes, line, &finding.at, finding.what, &finding.remedy);
        }
        if mistakes.errors() > before {
            return None;
        }
        match toml::from_str(&self.text) {
            Ok(value) => Some(value),
            Err(e) => {
                let line = e.span().map_or(0, |s| self.line_at(s.start));
                self.add(
                    mistakes,
                    line,
                    "",
                    e.message().to_owned(),
                    "Correct the value.",
                );
                None
            }
        }
    }

    /// The line, from 1, at which a place such as `route[2].to.upstream` stands; of the nearest part of it that exists.
    pub fn line_of(&self, at: &str) -> usize {
        let Ok(tree) = DeTable::parse(&self.text) else {
            return 0;
        };
        let mut offset = None;
        let mut table = Some(tree.get_ref());
        for step in at.split('.').filter(|s| !s.is_empty()) {
            let (name, index) = split_step(step);
            let Some((key, mut value)) =
                table.and_then(|t| t.iter().find(|(k, _)| k.get_ref() == name))
            else {
                break;
            };
            offset = Some(key.span().start);
            if let (Some(i), DeValue::Array(items)) = (index, value.get_ref()) {
                let Some(item) = items.get(i) else { break };
                offset = Some(item.span().start);
                value = item;
            }
            table = match value.get_ref() {
                DeValue::Table(t) => Some(t),
                _ => None,
            };
        }
        offset.map_or(0, |o| self.line_at(o))
    }

    fn line_at(&self, offset: usize) -> usize {
        let upto = self.text.get(..offset).unwrap_or(&self.text);
        upto.bytes()
            .filter(|b| *b == b'\n')
            .count()
            .saturating_add(1)
    }

    fn add(&self, mistakes: &mut Mistakes, line: usize, at: &str, what: String, remedy: &str) {
        mistakes.0.push(Mistake {
            severity: Severity::Error,
            file: self.file.clone(),
            line,
            at: at.to_owned(),
            what,
            remedy: remedy.to_owned(),
        });
    }
}

fn split_step(step: &str) -> (&str, Option<usize>) {
    match step.strip_suffix(']').and_then(|s| s.split_once('[')) {
        Some((name, index)) => (name, index.parse().ok()),
        None => (step, None),
    }
}
