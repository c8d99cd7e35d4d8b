//! Handler `packet`: MOSIP's createPacket and workflowinstance, on both faces.
//!
//! MOSIP says HTTP 200 to nearly everything, failures included. Here an answer is judged by its content, on either side, and
//! what failed is told as a failure.

mod answer;
mod call;
mod problem;

pub use answer::{Created, Started};
pub use call::{create, start_workflow};
pub use problem::{Again, PacketError};
