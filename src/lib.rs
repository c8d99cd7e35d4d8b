//! Triseal: the partner gateway at the MOSIP boundary.
//!
//! Start with [`exchange`], the road of one exchange; ARCHITECTURE.md has the map. Rooms import only rooms that stand
//! lower in this list: `cli` → `import`, `edge`, `handlers`, `sandbox` → `exchange` → `policy`, `envelope`, `evidence`, `upstream` → `partners`
//! → `trust` → `keys`, `store` → `config`, `observe`, `refusal`, `clock`, `http1`, `ida`, `tls`.

pub mod cli;
pub mod clock;
pub mod config;
pub mod credential;
pub mod edge;
pub mod envelope;
pub mod evidence;
pub mod exchange;
pub mod handlers;
pub mod http1;
pub mod ida;
pub mod import;
pub mod keys;
pub mod observe;
pub mod partners;
pub mod patience;
pub mod pki;
pub mod policy;
pub mod refusal;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod shared;
pub mod store;
pub mod tls;
pub mod trust;
pub mod upstream;
