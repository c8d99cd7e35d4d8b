//! May they: the routes there are, the policies behind API keys, and whether a request keeps to them.
//!
//! - [`routes`] finds the one [`route`] of a path; everything a route says was checked before.
//! - [`facts`] is what rules, evidence and replay know of an exchange.
//! - [`mosip`] reads MOSIP's auth policy documents and judges operations and factors; [`misp`] and [`data_share`] its
//!   other kinds.
//! - [`rules`] are the operator's own, in Cedar: on top of everything else.
//! - [`seeder`] lists what may be asked of the token seeder.
//! - [`packet`] says which packets a route and a partner let through.
//! - [`policies`] are the documents with their states; [`admission`] asks partner, policy, API key and licence in MOSIP's
//!   order.
//!
//! Who the caller is comes from `partners`; what a request contains comes from `envelope`.

pub mod admission;
pub mod data_share;
pub mod esignet;
pub mod facts;
pub mod misp;
pub mod mosip;
pub mod packet;
pub mod path;
pub mod policies;
pub mod route;
pub mod routes;
pub mod rules;
pub mod seeder;

pub use admission::{Admission, Presented};
pub use data_share::DataSharePolicy;
pub use esignet::EsignetOperation;
pub use facts::Facts;
pub use misp::MispPolicy;
pub use mosip::{AllowedAuth, AuthPolicy, TokenType};
pub use packet::{AskedPacket, PacketOperation, PacketPolicy};
pub use path::{Captures, PathPattern};
pub use policies::Policies;
pub use route::Route;
pub use routes::{Match, RouteTable};
pub use rules::Rules;
pub use seeder::{CallbackTarget, SeederPolicy};
