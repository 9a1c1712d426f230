//! The messages of the queues, and the events that mean the same.

pub mod announcement;
pub mod check;
pub mod job;
