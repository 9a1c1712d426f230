//! What is inferred about a score, in seconds and beats.

pub mod beat;
pub mod instruments;
pub mod tempo;
