//! A body as a JSON object: its text and its members.

use std::borrow::Cow;

use super::{
    json::{Broken, Reader, number_of, text_of, with_text_of},
    search::{Instruments, Limits, object},
    task_ids::Ids,
    without_bom,
};

/// The text of a body: UTF-8, or UTF-16 if it begins with the mark of it, as PowerShell writes it. Bytes that are no text
/// become U+FFFD: they must spoil only a name, not the song.
pub fn text(body: &[u8]) -> Cow<'_, str> {
    match body {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => {
            let body = without_bom(body);
            // Much faster than `from_utf8_lossy` alone.
            std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Cow<'_, str> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text = char::decode_utf16(units).map(|found| found.unwrap_or(char::REPLACEMENT_CHARACTER));
    text.collect()
}

/// The whole request for the task, as JSON in a text. It says nothing about the result.
pub(super) const REQUEST: &str = "param";

/// A body that is a JSON object.
pub(super) struct Body<'a> {
    /// The body itself.
    pub(super) top: Object<'a>,
    /// Its `instruments`, at any place up to five levels.
    pub(super) instruments: Option<Instruments>,
}

impl<'a> Body<'a> {
    /// `None` if the text is JSON, but no object.
    pub(super) fn read(text: &'a str) -> Result<Option<Self>, Broken> {
        let mut reader = Reader::new(text);
        let read = match reader.peek() {
            Some(b'{') => object(&mut reader, Limits::WHOLE).map(Some),
            _ => reader.value().map(|_| None),
        }?;
        reader.end()?;
        Ok(read.map(|(top, instruments)| Self { top, instruments }))
    }
}

/// A JSON object. If a name occurs twice, the last member counts, as in JavaScript and Python.
#[derive(Default)]
pub(super) struct Object<'a>(pub(super) Vec<Member<'a>>);

pub(super) struct Member<'a> {
    pub(super) name: Cow<'a, str>,
    /// The value as it was sent.
    pub(super) text: &'a str,
    /// The value, if it is an object in which we looked for `instruments`.
    pub(super) object: Option<Object<'a>>,
}

impl Member<'_> {
    fn is_blank(&self) -> bool {
        let is_of_the_request = self.text.starts_with('"')
            && (self.name == REQUEST || self.name.to_ascii_lowercase().starts_with("callback"));
        let object = self.object.as_ref();
        self.name == "instruments"
            || is_of_the_request
            || object.map_or_else(|| is_blank(&self.name, self.text), Object::is_blank)
    }
}

pub(super) const NULL: &str = "null";

impl<'a> Object<'a> {
    /// The only element of a list, if it is an object.
    pub(super) fn only_of(list: &'a str) -> Option<Self> {
        let mut reader = Reader::new(list.strip_prefix('[')?);
        if reader.peek() != Some(b'{') {
            return None;
        }
        let (only, _) = object(&mut reader, Limits::WHOLE).ok()?;
        (reader.peek() == Some(b']')).then_some(only)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|member| member.name.as_ref())
    }

    fn member(&self, name: &str) -> Option<&Member<'a>> {
        self.0.iter().rev().find(|member| member.name == name)
    }

    /// Whether there is a member of this name, which may be null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    /// The text of the member of this name, unless it is null.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.member(name).map(|member| member.text).filter(|&text| text != NULL)
    }

    /// The decoded string of this name; `None` if it is no string, or blank.
    pub(super) fn says(&self, name: &str) -> Option<Cow<'a, str>> {
        text_of(self.get(name)?).filter(|text| !text.trim().is_empty())
    }

    /// The number of this name, which may be written as a text.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        number_of(self.get(name)?)
    }

    /// The member of this name, if it is an object.
    pub(super) fn object(&self, name: &str) -> Option<&Self> {
        self.member(name)?.object.as_ref()
    }

    /// Whether nothing is in it that could be, or name, a song besides its `instruments`: no list, no link, no JSON in a text,
    /// and no text at all where a song is named.
    pub(super) fn is_blank(&self) -> bool {
        self.0.iter().all(Member::is_blank)
    }

    /// The same, without looking at `data`.
    pub(super) fn is_blank_around_data(&self) -> bool {
        self.0.iter().all(|member| member.name == "data" || member.is_blank())
    }

    /// The task ids in the places in which [`super::task_ids::find_task_ids`] looks, if this is the body.
    pub(super) fn task_ids(&self) -> Ids<'a> {
        let mut ids = Ids::default();
        for member in &self.0 {
            match (member.name.as_ref(), &member.object) {
                ("taskId" | "task_id", _) => ids.found_value(member.text),
                ("data", Some(data)) => {
                    let named = |member: &&Member<'_>| matches!(member.name.as_ref(), "taskId" | "task_id");
                    data.0
                        .iter()
                        .filter(named)
                        .for_each(|member| ids.found_value(member.text));
                }
                _ => {}
            }
        }
        ids
    }
}

/// Words in the names of members that hold a song, or say where one is.
const OF_A_SONG: [&str; 6] = ["midi", "file", "url", "note", "track", "result"];

/// Whether a member that is no object, or was not searched, says nothing of a song.
pub(super) fn is_blank(name: &str, value: &str) -> bool {
    let is_blank = |text: &str| {
        let text = text
            .trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
            .to_ascii_lowercase();
        if matches!(text.as_str(), "" | "{}" | "[]" | "null") {
            return true;
        }
        let name = name.to_ascii_lowercase();
        // JSON, a link, and a MIDI file in base64.
        let begins = ["{", "[", "\"", "//", "data:", "tvroz"];
        let is_song = begins.iter().any(|begin| text.starts_with(begin)) || text.contains("://");
        !is_song && !OF_A_SONG.iter().any(|word| name.contains(word))
    };
    match value.as_bytes() {
        [b'{' | b'[', inner @ .., _] => inner.trim_ascii().is_empty(),
        [b'"', ..] => with_text_of(value, is_blank).unwrap_or_default(),
        _ => true,
    }
}

/// Whether a result of the new form says that there are no notes: it has `instruments` without notes, and nothing else that
/// could be a song.
pub(super) fn says_no_notes(result: &str) -> bool {
    let says_so = |text: &str| {
        let read = Body::read(text).ok().flatten();
        read.is_some_and(|body| matches!(body.instruments, Some(Instruments::Parts(_))) && body.top.is_blank())
    };
    with_text_of(result, says_so).unwrap_or_else(|| says_so(result))
}
