//! Converts the notes that KIE.ai's Suno API sends as JSON to Standard MIDI Files.
//!
//! The provider transcribes the stems of a song and sends the notes as JSON. This crate reads that JSON, infers the
//! tempo, and writes a Standard MIDI File, a piano roll and a result document. It has no network, no clock and no file
//! system: the same body always gives the same bytes.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let saved = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sample.json");
//! # let song = std::env::temp_dir().join("suno-midi-doc-test.mid");
//! use suno_midi::{Options, convert, format};
//!
//! let body = std::fs::read(saved)?;
//! let outcome = convert(&"5c79c0ffeebe8e".parse()?, &body, &Options::default());
//! let midi = outcome.file(format::MIDI).ok_or("there is no song")?;
//! std::fs::write(&song, &midi.bytes)?;
//! # std::fs::remove_file(song)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Rooms
//!
//! A room (module) imports only from rooms further down this table.
//!
//! | room | from | to |
//! | --- | --- | --- |
//! | [`convert()`] | a body | the result document and the files |
//! | [`document`] | a song, or why there is none | the result document |
//! | [`mod@format`] | a score and what was inferred | files: MIDI, piano roll |
//! | [`music`] | a score | its tempo, bars and key |
//! | [`rhythm`] | a score | its beats, and which of them begin bars |
//! | [`instruments`] | an instrument's name | its sound |
//! | [`provider`] | a body, an answer | what it says; whether the provider signed it; what to ask |
//! | [`options`] | JSON, arguments | what a person asks for |
//! | [`score`] | notes as sent | notes that MIDI can hold |
//! | [`TaskId`], [`Digest`], `text` | | names, and text that every reader accepts |

#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::panic))]

mod convert;
mod digest;
pub mod document;
pub mod format;
pub mod instruments;
pub mod music;
pub mod options;
pub mod provider;
pub mod rhythm;
pub mod score;
mod task_id;
mod text;

pub use convert::{Outcome, convert, convert_read};
pub use digest::Digest;
pub use options::{Options, RenderOptions, RenderRequest};
pub use task_id::{TaskId, UnfitTaskId};
