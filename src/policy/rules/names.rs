//! The names in a policy: its own, and those of partners and upstreams that it speaks of.

use std::{collections::BTreeMap, path::Path};

use cedar_policy::Policy;

use super::{load::Written, places::add, world::World};
use crate::config::{Mistakes, Severity, spelling};

/// The longest `@id`: it stands in evidence and logs.
const ID_MAX: usize = 96;

pub(super) fn id(
    policy: &Policy,
    file: &Path,
    line: usize,
    mistakes: &mut Mistakes,
) -> Option<String> {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let (what, remedy) = match policy.annotation("id") {
        Some(id) if !id.is_empty() && id.len() <= ID_MAX && id.bytes().all(letters) => {
            return Some(id.to_owned());
        }
        Some(id) => (
            format!("`@id(\"{}\")` is no name", id.escape_debug()),
            format!("Use 1 to {ID_MAX} letters, digits, `-`, `.` and `_`."),
        ),
        None => (
            "the policy has no @id".to_owned(),
            "Add @id(\"…\") before it: evidence and refusals name it.".to_owned(),
        ),
    };
    add(mistakes, Severity::Error, file, line, what, &remedy);
    None
}

pub(super) fn unique(written: &[Written], mistakes: &mut Mistakes) {
    let mut seen: BTreeMap<&str, &Written> = BTreeMap::new();
    for one in written {
        match seen.get(one.id()) {
            Some(first) => {
                let name = first.file.file_name().unwrap_or_default().to_string_lossy();
                let what = format!(
                    "there is another policy `{}`, at {name}:{}",
                    one.id, first.line
                );
                add(
                    mistakes,
                    Severity::Error,
                    &one.file,
                    one.line,
                    what,
                    "Give each policy an @id of its own.",
                );
            }
            None => {
                seen.insert(one.id(), one);
            }
        }
    }
}

/// Cedar does not know which partners and upstreams there are; we do.
pub(super) fn literals(
    policy: &Policy,
    id: &str,
    world: &World<'_>,
    file: &Path,
    line: usize,
    mistakes: &mut Mistakes,
) {
    for literal in policy.entity_literals() {
        let (kind, name) = (
            literal.type_name().to_string(),
            literal.id().unescaped().to_owned(),
        );
        let (known, severity): (Vec<&str>, Severity) = match kind.as_str() {
            // A partner may be added later, or have gone: that its file is away must not stop a reload.
            "Partner" => (
                world.directory.iter().map(|p| p.id().as_str()).collect(),
                Severity::Warning,
            ),
            "Upstream" => (
                world.upstreams.iter().map(|u| u.name.as_str()).collect(),
                Severity::Error,
            ),
            "Gateway" => (vec![world.gateway], Severity::Error),
            _ => continue,
        };
        if !known.contains(&name.as_str()) {
            let what = format!(
                "policy `{id}`: there is no {kind}::\"{}\"",
                name.escape_debug()
            );
            add(
                mistakes,
                severity,
                file,
                line,
                what,
                &spelling::remedy(&name, &known),
            );
        }
    }
}
