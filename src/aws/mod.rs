//! What all calls to AWS share: clients, errors, queues, secrets.

pub mod config;
pub mod error;
pub mod queue;
#[cfg(feature = "functions")]
pub mod secrets;

pub use error::{Error, Reason};
