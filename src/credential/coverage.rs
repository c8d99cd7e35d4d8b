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
    // The same with a null in place of each item that went, so that what is left stands where it stood.
    let mut marked = document.clone();
    let mut places = Vec::new();
    for (name, value) in document {
        if name != "@context" {
            collect(value, &mut vec![Step::Member(name.clone())], &mut places);
        }
    }
    for place in places {
        // Inside something that already went.
        let Some(left) = without(&kept, &place, Gone::Entirely) else {
            continue;
        };
        // What cannot be read without the member needs it.
        if proof::document_hash(&left, contexts).is_ok_and(|hash| hash == signed) {
            kept = left;
            marked = without(&marked, &place, Gone::LeavingNull).unwrap_or(marked);
        }
    }
    let mut unproven = difference(document, &marked);
    let mut proven = kept;
    proven.remove("@context");
    unproven.remove("@context");
    Ok(Parted { proven, unproven })
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(usize),
}

/// What becomes of an item of an array that goes.
#[derive(Clone, Copy)]
enum Gone {
    /// Those behind it move up.
    Entirely,
    /// All others stay where they are.
    LeavingNull,
}

/// Every place in a value, outer ones first, and of an array the last item first: when one goes, those that are still to be
/// tried have not moved.
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
            for (n, item) in items.iter().enumerate().rev() {
                at.push(Step::Item(n));
                collect(item, at, out);
                at.pop();
            }
        }
        _ => {}
    }
}

/// The document without the value at a place; `None` when it is not there any more.
fn without(
    document: &Map<String, Value>,
    place: &[Step],
    gone: Gone,
) -> Option<Map<String, Value>> {
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
        Step::Item(n) => match gone {
            Gone::LeavingNull => *here.get_mut(*n)? = Value::Null,
            Gone::Entirely => {
                let items = here.as_array_mut()?;
                if *n >= items.len() {
                    return None;
                }
                items.remove(*n);
            }
        },
    }
    Some(left)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_that_go_from_the_end_leave_the_others_where_they_were() {
        let document = serde_json::json!({"a": ["x", {"b": ["y", "z"]}, "w"]});
        let document = document.as_object().unwrap();
        let mut places = Vec::new();
        let mut at = vec![Step::Member("a".to_owned())];
        collect(&document["a"], &mut at, &mut places);
        let item = |steps: &[usize]| {
            let mut place = vec![Step::Member("a".to_owned())];
            for (n, step) in steps.iter().enumerate() {
                if n == 1 {
                    place.push(Step::Member("b".to_owned()));
                }
                place.push(Step::Item(*step));
            }
            place
        };
        let order: Vec<_> = [vec![2], vec![1], vec![1, 1], vec![1, 0], vec![0]]
            .iter()
            .map(|steps| places.iter().position(|p| *p == item(steps)).unwrap())
            .collect();
        assert!(order.is_sorted(), "{order:?}");
        let left = without(document, &item(&[2]), Gone::Entirely).unwrap();
        let left = without(&left, &item(&[1, 0]), Gone::Entirely).unwrap();
        assert_eq!(
            Value::Object(left),
            serde_json::json!({"a": ["x", {"b": ["z"]}]})
        );
        assert!(without(document, &item(&[3]), Gone::Entirely).is_none());
    }
}
