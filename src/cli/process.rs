//! What a gateway asks of the system for itself.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// No core dumps: they would hold keys and personal data (field guide 3.6). And as many open files as the system allows:
/// a connection needs one or two.
pub(super) fn harden() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps cannot be switched off; see to it that the system does");
    }
    let files = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: files.maximum,
        maximum: files.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}
