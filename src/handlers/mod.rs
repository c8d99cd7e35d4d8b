//! The protocols of the routes. Each handler is given a `Permitted` and gives back a `Reply`; sealing, signing and
//! recording are not theirs to do.

mod ida;
mod relay;
mod token_seeder;

pub use ida::Ida;
pub use relay::Relay;
pub use token_seeder::TokenSeeder;

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
        .with(HandlerKind::TokenSeeder, TokenSeeder)
}

/// What does the errands that handlers left in the store, one for each kind of errand.
pub fn doers() -> Vec<Box<dyn Doer>> {
    vec![Box::new(token_seeder::Deliveries)]
}
