//! An embedded MOSIP to try and to test against. The production image is built without it.
//!
//! [`ida`] plays ID-Authentication and verifies what MOSIP verifies, in MOSIP's order and with MOSIP's codes; it shares no
//! code with [`crate::envelope`], so that what the gateway seals is opened by somebody else. [`esignet`] plays the OpenID
//! provider with its pages, [`mts`] the token seeder, [`odoo`] stands in for OpenG2P's registry. [`people`] are the
//! identities they know, [`server`] puts them on sockets. Starting them beside gateways is left to the command line.

pub mod esignet;
pub mod ida;
pub mod mosip;
pub mod mts;
pub mod odoo;
pub mod opencrvs;
mod outgoing;
pub mod people;
mod png;
pub mod register;
pub mod scene;
pub mod server;
mod web;
mod wire;
