//! Notes that KIE.ai's Suno API sends as JSON → Standard MIDI Files.
#![cfg_attr(test, allow(clippy::panic))]

pub mod document;
pub mod format;
pub mod music;
pub mod provider;
pub mod score;
mod task_id;

pub use task_id::{TaskId, UnfitTaskId};
