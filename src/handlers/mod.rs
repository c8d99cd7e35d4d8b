//! The protocols of the routes. Each handler is given a `Permitted` and gives back a `Reply`; sealing, signing and
//! recording are not theirs to do.

mod ida;
mod relay;

pub use ida::Ida;
pub use relay::Relay;

use crate::{
    config::HandlerKind,
    exchange::{Handlers, errands::Doer},
    observe::Metrics,
};

/// All handlers.
pub fn all(metrics: &Metrics) -> Handlers {
    Handlers::default()
        .with(HandlerKind::Ida, Ida::new(metrics.clone()))
        .with(HandlerKind::Relay, Relay::new(metrics.clone()))
}

/// What does the errands that handlers left in the store, one for each kind of errand.
pub fn doers() -> Vec<Box<dyn Doer>> {
    Vec::new()
}
