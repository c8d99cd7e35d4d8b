//! The protocols of the routes. Each handler is given a `Permitted` and gives back a `Reply`; sealing, signing and
//! recording are not theirs to do.

mod ida;
mod relay;

pub use ida::Ida;
pub use relay::Relay;

use crate::{exchange::Handlers, observe::Metrics};

/// All handlers.
pub fn all(metrics: &Metrics) -> Handlers {
    Handlers::new(Ida::new(metrics.clone()), Relay::new(metrics.clone()))
}
