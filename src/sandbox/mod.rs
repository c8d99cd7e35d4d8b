//! An embedded MOSIP to try and to test against. The production image is built without it.
//!
//! [`ida`] plays ID-Authentication and verifies what MOSIP verifies, in MOSIP's order and with MOSIP's codes; it shares no
//! code with [`crate::envelope`], so that what the gateway seals is opened by somebody else. [`people`] are the
//! identities it knows, [`server`] puts it on a socket. Starting it beside gateways is left to the command line.

pub mod ida;
pub mod mosip;
pub mod opencrvs;
pub mod people;
mod png;
pub mod register;
pub mod scene;
pub mod server;
mod wire;
