//! What became of each variable: used as what, not used and why, missing and what to do. Values are never repeated here.

use std::{collections::BTreeMap, fmt};

/// The account of an import.
#[derive(Debug, Default)]
pub struct Findings {
    used: BTreeMap<&'static str, String>,
    unused: BTreeMap<&'static str, String>,
    missing: BTreeMap<&'static str, String>,
    unknown: Vec<String>,
    warnings: Vec<String>,
    todo: Vec<String>,
}

impl Findings {
    /// A variable stands in the configuration.
    pub(super) fn used(&mut self, name: &'static str, what: impl Into<String>) {
        self.used.insert(name, what.into());
    }

    /// A variable is there, but has no place here.
    pub(super) fn unused(&mut self, name: &'static str, why: impl Into<String>) {
        self.unused.insert(name, why.into());
    }

    /// A variable is not there.
    pub(super) fn missing(&mut self, name: &'static str, what_to_do: impl Into<String>) {
        self.missing.insert(name, what_to_do.into());
    }

    /// A variable that the middleware does not know.
    pub(super) fn unknown(&mut self, name: &str) {
        self.unknown.push(name.to_owned());
    }

    /// Something that needs a look.
    pub(super) fn warn(&mut self, what: impl Into<String>) {
        self.warnings.push(what.into());
    }

    /// Something that no variable says and somebody must fill in.
    pub(super) fn todo(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.todo.contains(&what) {
            self.todo.push(what);
        }
    }

    /// Whether something was said of a variable.
    #[cfg(test)]
    pub(super) fn speaks_of(&self, name: &str) -> bool {
        self.used.contains_key(name)
            || self.unused.contains_key(name)
            || self.missing.contains_key(name)
    }

    /// What needs a look.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What is still to be filled in.
    pub fn open(&self) -> &[String] {
        &self.todo
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("Used", &self.used),
            ("Not used", &self.unused),
            ("Missing", &self.missing),
        ];
        for (title, list) in lists {
            if !list.is_empty() {
                writeln!(f, "{title}:")?;
            }
            for (name, what) in list {
                writeln!(f, "  {name:<42} {what}")?;
            }
        }
        if !self.unknown.is_empty() {
            writeln!(
                f,
                "Unknown (none of the middleware's variables, so not used):"
            )?;
            for name in &self.unknown {
                writeln!(f, "  {name}")?;
            }
        }
        if !self.warnings.is_empty() {
            writeln!(f, "WARNING:")?;
            for what in &self.warnings {
                writeln!(f, "  ! {what}")?;
            }
        }
        if !self.todo.is_empty() {
            writeln!(
                f,
                "Still to be filled in (TODO in the files; `triseal check` names each):"
            )?;
            for what in &self.todo {
                writeln!(f, "  - {what}")?;
            }
        }
        Ok(())
    }
}
