//! Searches a body for its instruments and reads their notes, in one pass.
//!
//! The provider and its resellers put the same notes under different covers, and some of them send JSON in a text. We
//! search for the member `instruments`, and do not depend on the cover.

use super::{
    body::{Member, NULL, Object, REQUEST, is_blank},
    json::{Broken, Reader, number_of, text_of, with_text_of},
};
use crate::score::{RawNote, RawPart};

/// How deep we search for `instruments`, in a body and again in each JSON text in it. `data.midiData.instruments` needs
/// three levels.
const MAX_DEPTH: usize = 5;

/// How deep JSON texts may be nested: `resultJson` is a text, and `midiData` in it may be one too.
const MAX_TEXTS: usize = 2;

/// The value of a member `instruments`.
#[derive(Debug, PartialEq)]
pub(super) enum Instruments {
    Null,
    /// A list or a map, as documented. No instrument needs to have notes.
    Parts(Vec<RawPart>),
    /// Anything else: there may be notes in it that we cannot read.
    Strange,
}

/// How far a search may still go.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    depth: usize,
    texts: usize,
}

impl Limits {
    pub(super) const WHOLE: Self = Self {
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
pub(super) fn object<'a>(reader: &mut Reader<'a>, limits: Limits) -> Result<(Object<'a>, Option<Instruments>), Broken> {
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

/// Searches a whole text.
fn search_in(text: &str, limits: Limits) -> Option<Instruments> {
    search(&mut Reader::new(text), limits).ok()?.1
}

/// Reads the JSON in a text; `None` if the value is no such text. Makes at most one copy of the text.
fn in_text<T>(value: &str, limits: Limits, read: impl FnOnce(&str, Limits) -> Option<T>) -> Option<T> {
    if limits.texts == 0 || !may_be_json(value) {
        return None;
    }
    with_text_of(value, |text| read(text, limits.in_text())).flatten()
}

/// Whether a JSON string begins as JSON does: an object or a list.
pub(super) fn may_be_json(value: &str) -> bool {
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
