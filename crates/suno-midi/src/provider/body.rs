//! Reads the JSON of a body in one pass: its members, and the instruments at any place in it.
//!
//! The provider and its resellers put the same notes under different covers, and some of them send JSON in a text. We
//! search for the member `instruments`, and do not depend on the cover.

use std::borrow::Cow;

use super::{
    json::{Broken, Reader, number_of, text_of, with_text_of},
    task_ids::Ids,
    without_bom,
};
use crate::{
    score::{RawNote, RawPart},
    text::plain,
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

/// How deep we search for `instruments`, in a body and again in each text in it. `data.midiData.instruments` needs three
/// levels.
const MAX_DEPTH: usize = 5;

/// How many texts may be in each other: `resultJson` is a text, and may have `midiData` as a text.
const MAX_TEXTS: usize = 2;

/// The whole request for the task, as JSON in a text. It says nothing about the result.
const REQUEST: &str = "param";

/// A body that is a JSON object.
pub(super) struct Body<'a> {
    /// The body itself.
    pub(super) top: Object<'a>,
    /// Its `instruments`, at any place up to [`MAX_DEPTH`].
    pub(super) instruments: Option<Instruments>,
}

/// The value of a member `instruments`.
#[derive(Debug, PartialEq)]
pub(super) enum Instruments {
    Null,
    /// A list or a map, as documented. No instrument needs to have notes.
    Parts(Vec<RawPart>),
    /// Anything else: there may be notes in it that we cannot read.
    Strange,
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
pub(super) struct Object<'a>(Vec<Member<'a>>);

struct Member<'a> {
    name: Cow<'a, str>,
    /// The value as it was sent.
    text: &'a str,
    /// The value, if it is an object in which we looked for `instruments`.
    object: Option<Object<'a>>,
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

const NULL: &str = "null";

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

    /// What the member of this name says; `None` if it is no text, or says nothing.
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
fn is_blank(name: &str, value: &str) -> bool {
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

/// How far a search may still go.
#[derive(Clone, Copy)]
struct Limits {
    depth: usize,
    texts: usize,
}

impl Limits {
    const WHOLE: Self = Self {
        depth: MAX_DEPTH,
        texts: MAX_TEXTS,
    };

    fn deeper(self) -> Self {
        Self {
            depth: self.depth - 1,
            ..self
        }
    }

    fn in_text(self) -> Self {
        Self {
            depth: MAX_DEPTH,
            texts: self.texts - 1,
        }
    }
}

/// Reads an object, and searches it for `instruments`: depth first, its own member before its other members.
fn object<'a>(reader: &mut Reader<'a>, limits: Limits) -> Result<(Object<'a>, Option<Instruments>), Broken> {
    let mut members = Vec::new();
    let (mut own, mut deeper) = (None, None);
    reader.object(|reader, name| {
        let (text, object) = reader.with_text(|reader| {
            if name == "instruments" {
                own = Some(instruments(reader, limits)?);
                return Ok(None);
            }
            if name == REQUEST {
                return reader.value().map(|_| None);
            }
            let (object, found) = search(reader, limits.deeper())?;
            deeper = better(deeper.take(), found);
            Ok(object)
        })?;
        members.push(Member { name, text, object });
        Ok(())
    })?;
    let hidden = |member: &Member<'_>| member.name == "instruments" && member.text != NULL;
    if matches!(own, Some(Instruments::Null)) {
        // Only the last `instruments` counts, but those before it may have others inside.
        for member in members.iter().filter(|member| hidden(member)) {
            let (_, found) = search(&mut Reader::new(member.text), limits.deeper())?;
            deeper = better(deeper, found);
        }
    }
    Ok((Object(members), better(own, deeper)))
}

/// Reads any value, and searches it for `instruments`.
fn search<'a>(reader: &mut Reader<'a>, limits: Limits) -> Result<(Option<Object<'a>>, Option<Instruments>), Broken> {
    match reader.peek() {
        Some(b'{') if limits.depth > 0 => {
            let (object, found) = object(reader, limits)?;
            Ok((Some(object), found))
        }
        Some(b'[') if limits.depth > 0 => {
            let (mut found, mut is_bare) = (None, false);
            let (list, ()) = reader.with_text(|reader| {
                reader.list(|reader| {
                    let (element, deeper) = search(reader, limits.deeper())?;
                    is_bare |= element.is_some_and(|element| element.get("notes").is_some());
                    found = better(found.take(), deeper);
                    Ok(())
                })
            })?;
            let found = if is_bare { better(found, bare(list)) } else { found };
            Ok((None, found))
        }
        _ => Ok((None, in_text(reader.value()?, limits, search_in))),
    }
}

/// What is found in a whole text.
fn search_in(text: &str, limits: Limits) -> Option<Instruments> {
    search(&mut Reader::new(text), limits).ok()?.1
}

/// What `read` finds in the JSON that is in a text; `None` if the value is no such text. At most one copy of the text is
/// made, which is no longer than the text itself.
fn in_text<T>(value: &str, limits: Limits, read: impl FnOnce(&str, Limits) -> Option<T>) -> Option<T> {
    if limits.texts == 0 || !may_be_json(value) {
        return None;
    }
    with_text_of(value, |text| read(text, limits.in_text())).flatten()
}

/// Whether a JSON string begins as JSON does: an object or a list.
fn may_be_json(value: &str) -> bool {
    let content = value.strip_prefix('"').unwrap_or_default();
    let content = content.trim_start_matches([' ', '\\', 'n', 'r', 't']);
    content.starts_with(['{', '['])
}

/// The instruments of a list without the name `instruments`. Only notes show that it is such a list.
pub(super) fn bare(list: &str) -> Option<Instruments> {
    let mut reader = Reader::new(list);
    let read = instruments(&mut reader, Limits::WHOLE).ok()?;
    let is_list = reader.peek().is_none() && matches!(&read, Instruments::Parts(parts) if has_notes(parts));
    is_list.then_some(read)
}

/// The first that has notes; else the first that may hide some; else the first that is not null.
fn better(a: Option<Instruments>, b: Option<Instruments>) -> Option<Instruments> {
    let value = |found: &Option<Instruments>| match found {
        None => 0,
        Some(Instruments::Null) => 1,
        Some(Instruments::Parts(parts)) if has_notes(parts) => 4,
        Some(Instruments::Parts(_)) => 2,
        Some(Instruments::Strange) => 3,
    };
    if value(&b) > value(&a) { b } else { a }
}

/// Whether any note was sent.
pub(super) fn has_notes(parts: &[RawPart]) -> bool {
    parts.iter().any(|part| !part.notes.is_empty())
}

fn instruments(reader: &mut Reader<'_>, limits: Limits) -> Result<Instruments, Broken> {
    let (mut parts, mut is_strange) = (Vec::new(), false);
    match reader.peek() {
        Some(b'[') => reader.list(|reader| {
            let (part, strange) = part(reader)?;
            parts.push(part);
            is_strange |= strange;
            Ok(())
        })?,
        // Some resellers of the same data send a map from name to notes.
        Some(b'{') => reader.object(|reader, name| {
            let name = name.into_owned();
            let (notes, strange) = notes(reader)?;
            parts.push(RawPart { name, notes });
            is_strange |= strange;
            Ok(())
        })?,
        _ => {
            let value = reader.value()?;
            let read = |text: &str, limits| instruments(&mut Reader::new(text), limits).ok();
            let otherwise = if value == NULL {
                Instruments::Null
            } else {
                Instruments::Strange
            };
            return Ok(in_text(value, limits, read).unwrap_or(otherwise));
        }
    }
    // One bad value spoils only itself.
    Ok(if is_strange && !has_notes(&parts) {
        Instruments::Strange
    } else {
        Instruments::Parts(parts)
    })
}

/// Reads an instrument. Also says whether there may be notes in it that we cannot read.
fn part(reader: &mut Reader<'_>) -> Result<(RawPart, bool), Broken> {
    let mut part = RawPart::default();
    let (mut is_strange, mut has_more) = (false, false);
    let is_object = members(reader, |reader, name| {
        match name {
            "name" => part.name = text_of(reader.value()?).unwrap_or_default().into_owned(),
            "notes" => (part.notes, is_strange) = notes(reader)?,
            _ => has_more |= !is_blank(name, reader.value()?),
        }
        Ok(())
    })?;
    let is_strange = is_strange || !is_object || has_more && part.notes.is_empty();
    Ok((part, is_strange))
}

/// Reads a list of notes, or an object that has one. Also says whether it is anything else.
fn notes(reader: &mut Reader<'_>) -> Result<(Vec<RawNote>, bool), Broken> {
    if reader.peek() != Some(b'{') {
        return list_of_notes(reader);
    }
    let (mut notes, mut is_strange, mut is_empty, mut has_more) = (None, false, true, false);
    members(reader, |reader, name| {
        is_empty = false;
        if name == "notes" {
            let (list, strange) = list_of_notes(reader)?;
            (notes, is_strange) = (Some(list), strange);
        } else {
            has_more |= !is_blank(name, reader.value()?);
        }
        Ok(())
    })?;
    let is_strange = is_strange || has_more || notes.is_none() && !is_empty;
    Ok((notes.unwrap_or_default(), is_strange))
}

fn list_of_notes(reader: &mut Reader<'_>) -> Result<(Vec<RawNote>, bool), Broken> {
    let mut notes = Vec::new();
    if reader.peek() == Some(b'[') {
        reader.list(|reader| {
            notes.push(note(reader)?);
            Ok(())
        })?;
        return Ok((notes, false));
    }
    let is_strange = reader.value()? != NULL;
    Ok((notes, is_strange))
}

fn note(reader: &mut Reader<'_>) -> Result<RawNote, Broken> {
    let mut note = RawNote::EMPTY;
    members(reader, |reader, name| {
        let value = reader.value()?;
        let member = match name {
            "pitch" => &mut note.pitch,
            "start" => &mut note.start,
            "end" => &mut note.end,
            "velocity" => &mut note.velocity,
            _ => return Ok(()),
        };
        *member = number_of(value).unwrap_or(f64::NAN);
        Ok(())
    })?;
    Ok(note)
}

/// Reads an object, or a value that has no members. Says which.
fn members<'a>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(&mut Reader<'a>, &str) -> Result<(), Broken>,
) -> Result<bool, Broken> {
    let is_object = reader.peek() == Some(b'{');
    if is_object {
        reader.object(|reader, name| each(reader, &name))?;
    } else {
        reader.value()?;
    }
    Ok(is_object)
}

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
