//! Step 5, permit: policy over the plain content.

use super::{Gateway, Opened, Trail, open::Content, rules};
use crate::refusal::{Code, Refusal};

/// An exchange whose content the caller may ask for. Handlers are given nothing else; only the permit step makes one:
///
/// (`tests/it/skipped_steps.rs` shows that neither a literal nor an `Opened` will do.)
#[derive(Debug)]
pub struct Permitted {
    opened: Opened,
}

/// Lets the content pass when the policy of the API key does, and the operator's rules.
pub(super) fn permit(
    gateway: &Gateway,
    opened: Opened,
    trail: &mut Trail,
) -> Result<Permitted, Refusal> {
    if let Content::Ida(message) = opened.content()
        && let (Some(operation), Some(inner)) = (opened.route().operation(), message.opened())
        && operation.demands_mandatory()
        && inner.factors().is_empty()
    {
        return Err(Refusal::new(Code::NoFactor, "no factor in the request"));
    }
    if let (Content::Ida(message), Some(grant)) = (opened.content(), opened.grant()) {
        // Whether the policy permits the operation was asked at admission.
        if let (Some(operation), Some(inner)) = (opened.route().operation(), message.opened()) {
            grant.permits_factors(operation, inner.factors())?;
        }
    }
    rules::permit(gateway, &opened, trail)?;
    Ok(Permitted { opened })
}

impl Permitted {
    pub(super) fn into_opened(self) -> Opened {
        self.opened
    }

    /// The same, looked at.
    pub const fn opened(&self) -> &Opened {
        &self.opened
    }
}
