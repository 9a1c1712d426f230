//! What is written.

pub mod midi;
pub mod piano_roll;
