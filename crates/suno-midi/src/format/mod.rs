//! The files that are made from a song.
//!
//! To add a format, write its module, give it a [`Format`], and add it to [`files`]. The renderer then publishes it,
//! and the result document names it.

pub mod midi;
pub mod piano_roll;

use crate::{Digest, music::Song};

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Its member in `files` of the result document.
    pub name: &'static str,
    /// The extension of its file names, without the dot.
    pub extension: &'static str,
    /// Its media type.
    pub content_type: &'static str,
}

/// The Standard MIDI File.
pub const MIDI: Format = Format {
    name: "midi",
    extension: "mid",
    content_type: "audio/midi",
};

/// The piano roll.
pub const PIANO_ROLL: Format = Format {
    name: "pianoRoll",
    extension: "svg",
    content_type: "image/svg+xml",
};

/// The result document. Every task has one, even without a song.
pub const DOCUMENT: Format = Format {
    name: "document",
    extension: "json",
    content_type: "application/json",
};

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What kind of file it is.
    pub format: Format,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What a file says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    /// The name of the piece, usually the task id.
    pub title: &'a str,
    /// The hash of the body that the song was read from. Each file embeds it, so that no two bodies give the same
    /// bytes. S3's ETag, a hash of the bytes, then identifies the body.
    pub body: Digest,
}

/// Writes every file of a song, in the order in which they are published. `tracks` are those of [`midi::tracks`].
pub fn files(label: Label<'_>, song: &Song, tracks: &[midi::Track]) -> Vec<File> {
    [
        (MIDI, midi::write(label, song, tracks)),
        (PIANO_ROLL, piano_roll::draw(label, song).into_bytes()),
    ]
    .map(|(format, bytes)| File { format, bytes })
    .into()
}
