//! What holds beside the partner files while the gateway runs, as the store has it.

use std::sync::Arc;

use serde_json::json;

use super::{Changes, Kept};

/// All of it, at one number of the store's. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// What partners replaced themselves.
    pub kept: Arc<Kept>,
    /// What events have changed.
    pub changes: Changes,
    /// The number of the store's last change that is in here.
    pub revision: i64,
}

impl Beside {
    /// Whether both say the same, whatever their numbers.
    pub fn says_what(&self, other: &Self) -> bool {
        self.kept == other.kept && self.changes == other.changes
    }

    /// All of it as JSON, the same for the same on every gateway; none where it says nothing.
    pub fn as_json(&self) -> Option<String> {
        let all = json!({"changes": &*self.changes.0, "replacements": &self.kept.0});
        (!self.is_empty()).then(|| all.to_string())
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.changes.is_empty()
    }
}
