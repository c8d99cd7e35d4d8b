//! The protocols of the routes. Each handler is given a `Permitted` and gives back a `Reply`; sealing, signing and
//! recording are not theirs to do.

mod ida;
pub mod packet;
mod relay;
pub mod websub;
mod token_seeder;

pub use ida::Ida;
pub use packet::Packet;
pub use relay::Relay;
pub use websub::WebSub;
pub use token_seeder::TokenSeeder;

use std::sync::Arc;

use crate::{
    config::HandlerKind,
    exchange::{Gateway, Handlers, errands::Doer},
};

/// All handlers, for this gateway.
pub fn all(gateway: &Arc<Gateway>) -> Handlers {
    let metrics = gateway.metrics();
    Handlers::default()
        .with(HandlerKind::Ida, Ida::new(metrics.clone()))
        .with(HandlerKind::Packet, Packet::new(Arc::clone(gateway)))
        .with(HandlerKind::Relay, Relay::new(metrics.clone()))
        .with(HandlerKind::WebSub, WebSub::new(Arc::clone(gateway)))
        .with(HandlerKind::TokenSeeder, TokenSeeder)
}

/// What does the errands that handlers left in the store, one for each kind of errand.
pub fn doers() -> Vec<Box<dyn Doer>> {
    websub::doers(None)
    vec![Box::new(token_seeder::Deliveries)]
}
