//! A folder of rules, read and checked: every mistake at once, with file, line and remedy.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use cedar_policy::{Effect, Policy, PolicySet, Schema, ValidationMode, Validator};

use super::{
    context,
    names::{id, literals, unique},
    places::{add, help, line_at, line_of, place},
    world::World,
};
use crate::config::{Document, Mistakes, Severity};

/// Files of one folder.
const FILES_MAX: usize = 256;
/// Policies of one gateway.
const POLICIES_MAX: usize = 2_000;

/// One policy as it is written.
#[derive(Debug)]
pub struct Written {
    pub(super) id: String,
    pub(super) policy: Policy,
    pub(super) file: PathBuf,
    pub(super) line: usize,
    pub(super) about: Option<String>,
    /// What admission asks in its place; none for a forbid that only the content decides.
    pub(super) early: Option<Policy>,
    pub(super) reads_content: bool,
}

impl Written {
    /// Its `@id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it forbids.
    pub fn forbids(&self) -> bool {
        self.policy.effect() == Effect::Forbid
    }

    /// The file it stands in.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line at which it begins.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Its `@description`.
    pub fn about(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// Whether it asks for facts of the content.
    pub const fn reads_content(&self) -> bool {
        self.reads_content
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) written: Vec<Written>,
    pub(super) digest: String,
}

/// Reads and checks all `*.cedar` files of a folder.
pub(super) fn read(
    folder: &Path,
    schema: &Schema,
    world: &World<'_>,
    mistakes: &mut Mistakes,
) -> Folder {
    let files = match files(folder) {
        Ok(files) => files,
        Err(e) => {
            let what = format!("the folder cannot be read: {e}");
            add(
                mistakes,
                Severity::Error,
                folder,
                0,
                what,
                "Check `folder` of [rules] and the permissions.",
            );
            return Folder::default();
        }
    };
    if files.is_empty() || files.len() > FILES_MAX {
        let what = format!(
            "the folder has {} files *.cedar; 1 to {FILES_MAX} are taken",
            files.len()
        );
        add(
            mistakes,
            Severity::Error,
            folder,
            0,
            what,
            "Without a policy nothing is permitted: remove [rules] where no rules are meant.",
        );
        return Folder::default();
    }
    let validator = Validator::new(schema.clone());
    let mut all = Folder::default();
    let mut digests = String::new();
    for file in files {
        let document = match Document::read(&file) {
            Ok(document) => document,
            Err(e) => {
                mistakes.0.push(e.0);
                continue;
            }
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        digests.push_str(&format!(
            "{}  {name}\n",
            sha256_hex(document.text().as_bytes())
        ));
        one_file(&document, &validator, world, &mut all.written, mistakes);
    }
    if all.written.len() > POLICIES_MAX {
        let what = format!(
            "{} policies are more than {POLICIES_MAX}",
            all.written.len()
        );
        add(
            mistakes,
            Severity::Error,
            folder,
            0,
            what,
            "Join policies that differ only in a name: use sets.",
        );
    }
    unique(&all.written, mistakes);
    all.digest = sha256_hex(digests.as_bytes());
    all
}

fn one_file(
    document: &Document,
    validator: &Validator,
    world: &World<'_>,
    written: &mut Vec<Written>,
    mistakes: &mut Mistakes,
) {
    let (file, text) = (document.file(), document.text());
    let parsed: PolicySet = match text.parse() {
        Ok(parsed) => parsed,
        Err(errors) => {
            for error in errors.iter() {
                let remedy = help(error, "Correct the policy; docs/policy.md has examples.");
                add(
                    mistakes,
                    Severity::Error,
                    file,
                    line_of(text, error),
                    error.to_string(),
                    &remedy,
                );
            }
            return;
        }
    };
    if parsed.templates().next().is_some() {
        let what = "a template has no place here: nothing fills `?principal` or `?resource`";
        add(
            mistakes,
            Severity::Error,
            file,
            0,
            what.to_owned(),
            "Write the policy out, once for each.",
        );
        return;
    }
    let mut names: BTreeMap<String, (String, usize)> = BTreeMap::new();
    let mut from = 0;
    for policy in in_order(&parsed) {
        let (begin, end) = place(text, policy, from);
        from = end;
        let line = line_at(text, begin);
        let Some(id) = id(policy, file, line, mistakes) else {
            continue;
        };
        names.insert(policy.id().to_string(), (id.clone(), line));
        literals(policy, &id, world, file, line, mistakes);
        match prepare(policy, &id, file, line) {
            Ok(ready) => written.push(ready),
            Err(what) => add(
                mistakes,
                Severity::Error,
                file,
                line,
                format!("policy `{id}`: {what}"),
                "Write the policy in a simpler way.",
            ),
        }
    }
    let verdict = validator.validate(&parsed, ValidationMode::Strict);
    let mut found = |severity, number: String, said: String, line: usize, remedy: String| {
        let known = names.get(&number).cloned();
        let (id, at) = known.unwrap_or_else(|| (number.clone(), 0));
        let said = said.replace(&format!("for policy `{number}`, "), "");
        let line = if line == 0 { at } else { line };
        add(
            mistakes,
            severity,
            file,
            line,
            format!("policy `{id}`: {said}"),
            &remedy,
        );
    };
    for error in verdict.validation_errors() {
        let remedy = help(
            error,
            "See docs/policy.md for the facts there are, and `triseal policy schema` for their types.",
        );
        found(
            Severity::Error,
            error.policy_id().to_string(),
            error.to_string(),
            line_of(text, error),
            remedy,
        );
    }
    for warning in verdict.validation_warnings() {
        let remedy = help(
            warning,
            "Correct it, or remove the policy: as it stands it does nothing or misleads.",
        );
        found(
            Severity::Warning,
            warning.policy_id().to_string(),
            warning.to_string(),
            line_of(text, warning),
            remedy,
        );
    }
}

/// Cedar numbers them in the order of the text.
fn in_order(parsed: &PolicySet) -> impl Iterator<Item = &Policy> {
    let mut policies: BTreeMap<usize, &Policy> = BTreeMap::new();
    for policy in parsed.policies() {
        let number = policy.id().to_string();
        let number = number.trim_start_matches("policy").parse();
        policies.insert(number.unwrap_or(usize::MAX), policy);
    }
    policies.into_values()
}

/// The policy under its own name, and what admission asks in its place: of a permit, the conditions that need no content; of
/// a forbid that needs the content, nothing. So admission refuses only what no content could save.
fn prepare(policy: &Policy, id: &str, file: &Path, line: usize) -> Result<Written, String> {
    let mut json = policy.to_json().map_err(|e| e.to_string())?;
    let mut reads_content = false;
    if let Some(conditions) = json.get_mut("conditions").and_then(|c| c.as_array_mut()) {
        let before = conditions.len();
        conditions.retain(|condition| !context::reads_content(condition));
        reads_content = conditions.len() != before;
    }
    let name = cedar_policy::PolicyId::new(id);
    let own = policy.new_id(name.clone());
    let early = match (reads_content, policy.effect()) {
        (false, _) => Some(own.clone()),
        (true, Effect::Forbid) => None,
        (true, Effect::Permit) => {
            Some(Policy::from_json(Some(name), json).map_err(|e| e.to_string())?)
        }
    };
    Ok(Written {
        id: id.to_owned(),
        policy: own,
        file: file.to_path_buf(),
        line,
        about: policy.annotation("description").map(str::to_owned),
        early,
        reads_content,
    })
}

/// The `*.cedar` files, in the order of their names. Hidden files (editors, Kubernetes' `..data`) are left alone.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let path = entry.path();
        if !hidden && path.extension().is_some_and(|e| e == "cedar") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn sha256_hex(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}
