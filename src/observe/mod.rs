//! What is seen from outside: metrics, the access log, and the operator's log.
//!
//! Nothing here is handed a path, a query, a header or a body: an exchange is described by a [`Line`], whose fields are
//! the allow-list (field guide 3.6).

mod access;
mod evidence;
mod metrics;
mod oplog;

pub use access::{AccessLog, Line};
pub use evidence::EvidenceMetrics;
pub use metrics::{Metrics, MetricsError};
pub use oplog::start as start_operator_log;
