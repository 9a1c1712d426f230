//! The files that are made from a song.
//!
//! To add a format, write its module, give it a [`Format`], and add it to [`files`]. The renderer then publishes it,
//! and the result document names it.

pub mod midi;
pub mod piano_roll;

use crate::{Digest, Options, music::Song};

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Its member in `files` of the result document.
    pub name: &'static str,
    /// The end of its object name, after the task id: `.mid`.
    pub suffix: &'static str,
    /// Its media type.
    pub content_type: &'static str,
}

/// The Standard MIDI File.
pub const MIDI: Format = Format {
    name: "midi",
    suffix: ".mid",
    content_type: "audio/midi",
};

/// The Standard MIDI File whose notes are on grid lines, or nearer to them.
pub const QUANTIZED: Format = Format {
    name: "quantized",
    suffix: "/quantized.mid",
    ..MIDI
};

/// The MIDI file of one instrument. Its object name has the instrument's number and name.
pub const PART: Format = Format { name: "part", ..MIDI };

/// The piano roll.
pub const PIANO_ROLL: Format = Format {
    name: "pianoRoll",
    suffix: ".svg",
    content_type: "image/svg+xml",
};

/// The result document. Every task has one, even without a song.
pub const DOCUMENT: Format = Format {
    name: "document",
    suffix: ".json",
    content_type: "application/json",
};

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its object name.
    pub object: String,
    /// What kind of file it is.
    pub format: Format,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The most instruments of a song that is split: publishing each file takes time, and a render has a minute.
pub const MAX_PARTS: usize = 128;

/// The metadata of a file.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    /// The name of the piece, usually the task id.
    pub title: &'a str,
    /// The hash of the body that the song was read from. Each file embeds it, so that a hash of the file identifies
    /// the body.
    pub body: Digest,
    /// [`Options::requested_at`]. Each file embeds it too, for the same reason.
    pub requested_at: Option<u64>,
}

/// The contents of the files of a whole song, in the order in which they are published. `tracks` are those of
/// [`midi::tracks`].
pub fn files(
    label: Label<'_>,
    song: &Song,
    tracks: &[midi::Track],
    options: &Options,
) -> impl Iterator<Item = (Format, Vec<u8>)> {
    let quantized = midi::quantized(song, &options.render);
    [
        (MIDI, Some(midi::write(label, song, tracks))),
        (
            PIANO_ROLL,
            options.piano_roll.then(|| piano_roll::draw(label, song).into_bytes()),
        ),
        (QUANTIZED, quantized.map(|tracks| midi::write(label, song, &tracks))),
    ]
    .into_iter()
    .filter_map(|(format, bytes)| Some((format, bytes?)))
}
