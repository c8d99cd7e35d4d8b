//! Where in a file a finding of Cedar's stands, and how it is told.

use std::path::Path;

use cedar_policy::Policy;
use miette::Diagnostic;

use crate::config::{Mistake, Mistakes, Severity};

/// Where a policy stands in the text: Cedar keeps its words as they are.
pub(super) fn place(text: &str, policy: &Policy, from: usize) -> (usize, usize) {
    let own = policy.to_string();
    let rest = text.get(from..).unwrap_or_default();
    let begin = rest
        .find(own.trim())
        .map_or(from, |at| from.saturating_add(at));
    (begin, begin.saturating_add(own.trim().len()))
}

pub(super) fn line_of(text: &str, finding: &dyn Diagnostic) -> usize {
    let label = finding.labels().and_then(|mut labels| labels.next());
    label.map_or(0, |label| line_at(text, label.offset()))
}

pub(super) fn line_at(text: &str, offset: usize) -> usize {
    let upto = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    upto.iter()
        .filter(|b| **b == b'\n')
        .count()
        .saturating_add(1)
}

/// What Cedar suggests, as a sentence; else ours.
pub(super) fn help(finding: &dyn Diagnostic, ours: &str) -> String {
    match finding.help() {
        Some(help) => {
            let help = help.to_string();
            let mut letters = help.chars();
            let first = letters.next().map(|c| c.to_ascii_uppercase());
            let end = if help.ends_with(['.', '?', '!']) {
                ""
            } else {
                "."
            };
            first
                .into_iter()
                .chain(letters)
                .chain(end.chars())
                .collect()
        }
        None => ours.to_owned(),
    }
}

pub(super) fn add(
    mistakes: &mut Mistakes,
    severity: Severity,
    file: &Path,
    line: usize,
    what: String,
    remedy: &str,
) {
    mistakes.0.push(Mistake {
        severity,
        file: file.to_path_buf(),
        line,
        at: String::new(),
        // One mistake, one line.
        what: one_line(what),
        remedy: remedy.replace('\n', " "),
    });
}

fn one_line(text: String) -> String {
    if text.contains('\n') {
        return text.replace('\n', " ");
    }
    text
}
