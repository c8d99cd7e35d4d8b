//! Which members the proof covers.
//!
//! A member that no context defines leaves no trace in the RDF that was signed. So each member is left out in turn: where the
//! canonical form stays the same, the proof says nothing about it, and it stays out. What remains gives exactly the hash
//! that was signed.

use serde_json::{Map, Value};

use super::{Contexts, CredentialError, proof};

/// A document parted in what the proof covers and what it does not.
pub(super) struct Parted {
    pub(super) proven: Map<String, Value>,
    pub(super) unproven: Map<String, Value>,
}

/// Parts a document whose proof has been verified.
pub(super) fn part(
    document: &Map<String, Value>,
    contexts: &Contexts,
) -> Result<Parted, CredentialError> {
    let signed = proof::document_hash(document, contexts)?;
    let mut kept = document.clone();
    let mut places = Vec::new();
    for (name, value) in document {
        if name != "@context" {
            collect(value, &mut vec![Step::Member(name.clone())], &mut places);
        }
    }
    for place in places {
        // Inside something that already went.
        let Some(left) = without(&kept, &place) else {
            continue;
        };
        // The nulls only keep the places; in a list of types JSON-LD takes none.
        let mut read = left.clone();
        compact(&mut read);
        // What cannot be read without the member needs it.
        if proof::document_hash(&read, contexts).is_ok_and(|hash| hash == signed) {
            kept = left;
        }
    }
    let mut unproven = difference(document, &kept);
    let mut proven = kept;
    compact(&mut proven);
    proven.remove("@context");
    unproven.remove("@context");
    Ok(Parted { proven, unproven })
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(usize),
}

/// Every place in a value, outer ones first; an item's place is its index in the whole array, since items that go leave a
/// null behind.
fn collect(value: &Value, at: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    out.push(at.clone());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                at.push(Step::Member(name.clone()));
                collect(value, at, out);
                at.pop();
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                at.push(Step::Item(n));
                collect(item, at, out);
                at.pop();
            }
        }
        _ => {}
    }
}

/// The document without the value at a place; `None` when it is not there any more. An item leaves a null behind.
fn without(document: &Map<String, Value>, place: &[Step]) -> Option<Map<String, Value>> {
    let mut left = document.clone();
    let (last, way) = place.split_last()?;
    let Some((Step::Member(first), way)) = way.split_first() else {
        return match last {
            Step::Member(name) => left.remove(name).map(|_| left),
            Step::Item(_) => None,
        };
    };
    let mut here = left.get_mut(first)?;
    for step in way {
        here = match step {
            Step::Member(name) => here.get_mut(name)?,
            Step::Item(n) => here.get_mut(*n)?,
        };
    }
    match last {
        Step::Member(name) => {
            here.as_object_mut()?.remove(name)?;
        }
        Step::Item(n) => *here.get_mut(*n)? = Value::Null,
    }
    Some(left)
}

/// Takes the nulls out of arrays.
fn compact(object: &mut Map<String, Value>) {
    for value in object.values_mut() {
        compact_value(value);
    }
}

fn compact_value(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(compact_value);
        }
        Value::Object(object) => compact(object),
        _ => {}
    }
}

/// What is in `whole` and not in `kept`.
fn difference(whole: &Map<String, Value>, kept: &Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, value) in whole {
        match kept.get(name) {
            None => {
                out.insert(name.clone(), value.clone());
            }
            Some(left) => {
                if let Some(missing) = missing(value, left) {
                    out.insert(name.clone(), missing);
                }
            }
        }
    }
    out
}

fn missing(whole: &Value, kept: &Value) -> Option<Value> {
    match (whole, kept) {
        (Value::Object(whole), Value::Object(kept)) => {
            let out = difference(whole, kept);
            (!out.is_empty()).then_some(Value::Object(out))
        }
        (Value::Array(whole), Value::Array(kept)) => {
            let out: Vec<Value> = whole
                .iter()
                .zip(kept)
                .filter_map(|(item, left)| missing(item, left))
                .collect();
            (!out.is_empty()).then_some(Value::Array(out))
        }
        (whole, kept) if whole == kept => None,
        (whole, _) => Some(whole.clone()),
    }
}
