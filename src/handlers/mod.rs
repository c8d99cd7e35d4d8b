//! The protocols of the routes. Each handler is given a `Permitted` and gives back a `Reply`; sealing, signing and
//! recording are not theirs to do.

mod certificates;
pub mod esignet;
mod evidence;
mod evidence_stamps;
mod form;
mod ida;
pub mod opencrvs;
pub mod packet;
mod relay;
pub mod token_seeder;
pub mod websub;

pub use certificates::Certificates;
pub use esignet::Esignet;
pub use evidence::Evidence;
pub use ida::Ida;
pub use packet::Packet;
pub use relay::Relay;
pub use token_seeder::TokenSeeder;
pub use websub::WebSub;

use std::sync::Arc;

use crate::{
    config::HandlerKind,
    exchange::{Gateway, Handlers, errands::Doer},
};

/// All handlers, and what does the errands that they leave in the store.
pub fn all(gateway: &Arc<Gateway>) -> (Handlers, Vec<Box<dyn Doer>>) {
    let metrics = gateway.metrics();
    let (opencrvs, registering) = opencrvs::pair(gateway);
    let handlers = Handlers::default()
        .with(HandlerKind::Ida, Ida::new(metrics.clone()))
        .with(HandlerKind::Esignet, Esignet)
        .with(HandlerKind::Certificates, Certificates)
        .with(HandlerKind::Evidence, Evidence)
        .with(HandlerKind::Packet, Packet::new(Arc::clone(gateway)))
        .with(HandlerKind::OpenCrvs, opencrvs)
        .with(HandlerKind::WebSub, WebSub::new(Arc::clone(gateway)))
        .with(HandlerKind::TokenSeeder, TokenSeeder)
        .with(HandlerKind::Relay, Relay::new(metrics.clone()));
    let mut doers = websub::doers(Some(Arc::new(opencrvs::Credentials)));
    doers.push(registering);
    doers.push(Box::new(token_seeder::Deliveries));
    doers.push(Box::new(esignet::FetchKeys));
    doers.push(Box::new(evidence_stamps::StampHeads::new()));
    (handlers, doers)
}
