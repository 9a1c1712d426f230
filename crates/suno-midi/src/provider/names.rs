//! The names of a body's members, which show its shape without its values.

use super::{
    body::REQUEST,
    json::{Broken, Reader, with_text_of},
    search::may_be_json,
};
use crate::text::plain;

/// The most names that [`names`] gives.
const MAX_NAMES: usize = 100;

/// The longest name of a member, in characters.
const MAX_NAME: usize = 60;

/// How deep [`names`] looks: `data.midiData.instruments[].notes[].pitch` is eight levels deep.
const NAMES_DEPTH: usize = 10;

/// How many elements of a list [`names`] looks at.
const NAMES_OF_ELEMENTS: usize = 3;

/// The names of the members of a body, in order, with their places: `data.resultJson.tracks[].title`. They tell the shape of
/// a body without its values. At most [`MAX_NAMES`].
pub(crate) fn names(body: &str) -> Vec<String> {
    let mut names = Vec::new();
    // What was found before a mistake is of use, too.
    let _ = collect_names(&mut Reader::new(body), "", NAMES_DEPTH, &mut names);
    names
}

fn collect_names(reader: &mut Reader<'_>, place: &str, depth: usize, names: &mut Vec<String>) -> Result<(), Broken> {
    match reader.peek() {
        Some(b'{') if depth > 0 => reader.object(|reader, name| {
            if names.len() >= MAX_NAMES {
                return reader.value().map(drop);
            }
            let dot = if place.is_empty() { "" } else { "." };
            let path = format!("{place}{dot}{}", plain(&name, MAX_NAME));
            if !names.contains(&path) {
                names.push(path.clone());
            }
            if name == REQUEST {
                return reader.value().map(drop);
            }
            collect_names(reader, &path, depth - 1, names)
        }),
        Some(b'[') if depth > 0 => {
            let (place, mut looked_at) = (format!("{place}[]"), 0);
            reader.list(|reader| {
                looked_at += 1;
                if looked_at > NAMES_OF_ELEMENTS {
                    return reader.value().map(drop);
                }
                collect_names(reader, &place, depth - 1, names)
            })
        }
        _ => {
            let value = reader.value()?;
            if depth > 0 && may_be_json(value) {
                let read = |text: &str| collect_names(&mut Reader::new(text), place, depth - 1, names);
                // A text that only begins as JSON has no members.
                let _ = with_text_of(value, read);
            }
            Ok(())
        }
    }
}
