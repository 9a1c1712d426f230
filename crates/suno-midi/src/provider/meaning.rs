//! What the members of a callback or an answer mean.

use std::borrow::Cow;

use super::{
    body::{Body, Object, says_no_notes},
    callback::{Callback, NotACallback},
    json::{number_of, text_of, with_text_of},
    names::names,
    search::{Instruments, has_notes},
};
use crate::text::plain;

/// The members of which a callback or an answer has at least one at the top.
pub(super) const CALLBACK_MEMBERS: [&str; 10] = [
    "code",
    "data",
    "success",
    "successFlag",
    "state",
    "model",
    "taskId",
    "task_id",
    "resultJson",
    "instruments",
];

/// Whether a member is this literal, which may be written as a text.
pub(super) fn is(literal: &str, object: &Object<'_>, name: &str) -> bool {
    object.get(name).is_some_and(|value| value.trim_matches('"') == literal)
}

/// What an object says that has no other body in it.
pub(super) fn callback(text: &str, Body { top, instruments }: Body<'_>) -> Result<Callback, NotACallback> {
    let listed;
    let data = match (top.object("data"), top.get("data")) {
        (Some(data), _) => data,
        // Some resellers send a list of one.
        (None, Some(data)) => {
            listed = Object::only_of(data).unwrap_or_default();
            &listed
        }
        // Some send its members at the top.
        (None, None) => &top,
    };
    // Some put it into further `data`.
    let mut record = data;
    while !record.names().any(|name| RECORD_MEMBERS.contains(&name))
        && let Some(inner) = record.object("data")
    {
        record = inner;
    }
    let answer = Envelope {
        text,
        top: &top,
        data,
        record,
    };
    let code = top.number("code");
    let fails = code.is_some_and(|code| code != 200.0);
    // A non-empty instrument list wins over `successFlag`; an empty one does not.
    let instruments = match instruments {
        Some(Instruments::Parts(parts)) if !fails && has_notes(&parts) => return Ok(Callback::Song(parts)),
        without_notes => without_notes,
    };
    if let Some(product) = other_product(answer.covers(), instruments.is_some()) {
        return Ok(Callback::Unsupported { product });
    }
    match code {
        Some(code) if fails => answer.with_error(code),
        _ if is("false", &top, "success") => Ok(answer.failed(None)),
        _ => answer.without_notes(instruments),
    }
}

/// The parts of an answer or a callback. They may be the same object.
struct Envelope<'b, 'a> {
    text: &'b str,
    top: &'b Object<'a>,
    data: &'b Object<'a>,
    /// The record of the task.
    record: &'b Object<'a>,
}

impl<'b, 'a> Envelope<'b, 'a> {
    fn covers(&self) -> [&'b Object<'a>; 3] {
        [self.record, self.data, self.top]
    }

    fn unreadable(&self) -> Callback {
        Callback::Unreadable {
            members: names(self.text),
        }
    }

    fn failed(&self, code: Option<f64>) -> Callback {
        Callback::Failed {
            code: code.and_then(whole),
            message: reason(self.top, self.record),
        }
    }

    /// What it says if its code is an error.
    fn with_error(&self, code: f64) -> Result<Callback, NotACallback> {
        let Self { top, record, .. } = self;
        let message = top.says("msg").or_else(|| top.says("message")).unwrap_or_default();
        match whole(code) {
            Some(code) if is_unknown_task(code, &message) => Err(NotACallback::UnknownTask),
            // Codes of gateways, not of the provider. A callback names its task.
            Some(502..=504) if top.task_ids().usable().is_empty() => Err(server_error(top)),
            _ => Ok(self.failed(record.number("failCode").or(Some(code)))),
        }
    }

    /// What it says if it has no notes.
    fn without_notes(&self, instruments: Option<Instruments>) -> Result<Callback, NotACallback> {
        let Self { top, record, .. } = self;
        let told = told(record).or_else(|| told(top));
        match told {
            Some(Told::Pending) => return Ok(Callback::Pending),
            Some(Told::Failed(flag)) => {
                let sent = record.number("failCode").or_else(|| record.number("errorCode"));
                return Ok(self.failed(sent.or(flag)));
            }
            Some(Told::Unknown) => return Ok(self.unreadable()),
            Some(Told::Done) | None => {}
        }
        let is_done = told.is_some();
        let is_old_form = is_old_form(self.covers());
        match instruments {
            // In the new form only `resultJson` is the result.
            Some(Instruments::Parts(_)) if !is_old_form && !record.get("resultJson").is_some_and(says_no_notes) => {
                return Ok(self.unreadable());
            }
            Some(Instruments::Parts(parts)) => return Ok(Callback::Song(parts)),
            Some(Instruments::Strange) => return Ok(self.unreadable()),
            // In the old form, these are an empty song (the provider's page, "Handle Missing Instruments").
            Some(Instruments::Null) | None
                if is_done && is_old_form && record.is_blank() && top.is_blank_around_data() =>
            {
                return Ok(Callback::Song(Vec::new()));
            }
            Some(Instruments::Null) | None if is_done => return Ok(self.unreadable()),
            Some(Instruments::Null) | None => {}
        }
        // A record has this flag, and here it is null.
        if record.has("successFlag") && record.is_blank() {
            return Ok(Callback::Pending);
        }
        match not_a_callback(self.text, top) {
            Some(other) => Err(other),
            None => Ok(self.unreadable()),
        }
    }
}

/// What the state of a record says.
enum Told {
    Pending,
    Done,
    /// With the `successFlag`, if it is a number: 2 could not be created, 3 failed.
    Failed(Option<f64>),
    /// A state that is not documented.
    Unknown,
}

/// What `successFlag` and `state` say: `None` if there is neither. The states are those of the provider's pages, and those
/// in use with resellers.
fn told(record: &Object<'_>) -> Option<Told> {
    let flag = record.get("successFlag").and_then(flag);
    if let Some(Told::Pending | Told::Failed(_)) = flag {
        return flag;
    }
    // `midiData` may be JSON in a text.
    let in_text = |text: &str| Body::read(text).ok()??.top.get("state").map(str::to_owned);
    let in_midi_data = || match record.object("midiData") {
        Some(midi_data) => midi_data.get("state").map(str::to_owned),
        None => with_text_of(record.get("midiData")?, in_text)?,
    };
    let Some(state) = record.get("state").map(str::to_owned).or_else(in_midi_data) else {
        return flag;
    };
    let state = text_of(&state).unwrap_or_default();
    Some(match state.trim().to_ascii_lowercase().as_str() {
        "complete" | "success" => Told::Done,
        "fail" | "failed" => Told::Failed(None),
        "waiting" | "queuing" | "generating" | "running" | "pending" => Told::Pending,
        _ => Told::Unknown,
    })
}

/// The `successFlag` of a record-info answer: a number for MIDI, a text for the provider's other products (the provider's
/// pages "Get MIDI Generation Details" and "Get Vocal Separation Details"). `None` if the value is neither.
fn flag(value: &str) -> Option<Told> {
    if let Some(flag) = number_of(value) {
        return Some(match flag {
            1.0 => Told::Done,
            flag if flag > 1.0 => Told::Failed(Some(flag)),
            _ => Told::Pending,
        });
    }
    Some(match text_of(value)?.as_ref() {
        // The latter: it was made, but its callback was not taken.
        "SUCCESS" | "CALLBACK_EXCEPTION" => Told::Done,
        text if text.ends_with("_FAILED") => Told::Failed(None),
        _ => Told::Pending,
    })
}

/// The members of a task's record, in either form.
const RECORD_MEMBERS: [&str; 6] = ["state", "successFlag", "midiData", "model", "resultJson", "instruments"];

/// Only the old form leaves out the instruments of a song without notes. Nobody has published what the new one does.
fn is_old_form(covers: [&Object<'_>; 3]) -> bool {
    let is_new = |cover: &&Object<'_>| {
        let state = cover.says("state").unwrap_or_default();
        cover.has("model") || cover.has("resultJson") || state.eq_ignore_ascii_case("success")
    };
    !covers.iter().any(is_new)
}

/// The members that only other products of the old form have, and the products.
const OTHER_PRODUCTS: [(&str, Option<&str>); 10] = [
    ("callbackType", Some("music or lyrics")),
    ("vocal_separation_info", Some("vocal separation")),
    ("vocal_removal_info", Some("vocal separation")),
    ("vocal_url", Some("vocal separation")),
    ("audioWavUrl", Some("WAV conversion")),
    ("audio_wav_url", Some("WAV conversion")),
    ("video_url", Some("video")),
    ("images", Some("images")),
    // The results of others are in these.
    ("info", None),
    ("response", None),
];

/// The other product that a body is about, and its name if that is known; `None` if it may be about MIDI.
fn other_product(covers: [&Object<'_>; 3], has_instruments: bool) -> Option<Option<String>> {
    if let Some(model) = covers.iter().find_map(|cover| cover.says("model")) {
        // "ai-music-api/generate-midi-from-audio"; what another model for MIDI sends must not be missed.
        let is_midi = model.to_ascii_lowercase().contains("midi");
        return (!is_midi).then(|| Some(plain(&model, MAX_WORDS)));
    }
    let mut named = OTHER_PRODUCTS
        .iter()
        .filter(|(name, _)| covers.iter().any(|cover| cover.has(name)));
    let (_, product) = named.next().filter(|_| !has_instruments)?;
    Some(product.map(str::to_owned))
}

/// The most characters of what a stranger says in an error.
const MAX_WORDS: usize = 200;

/// Why a task failed, in the provider's words. In the new form only `failMsg` says it.
fn reason(top: &Object<'_>, record: &Object<'_>) -> String {
    let of_task = ["failMsg", "errorMessage"].iter().find_map(|name| record.says(name));
    // What the provider says about the answer is nothing about the task.
    let of_answer = || said(top).filter(|text| text != "success");
    of_task.or_else(of_answer).unwrap_or_default().into_owned()
}

/// The message of a whole answer.
fn said<'a>(top: &Object<'a>) -> Option<Cow<'a, str>> {
    let message = ["msg", "message", "error"].iter().find_map(|name| top.says(name));
    message.or_else(|| top.object("error")?.says("message"))
}

/// Whether an answer with an error says that the provider does not know the task: in the old form, and in the new one.
pub(super) fn is_unknown_task(code: i64, message: &str) -> bool {
    let message = message.trim().to_ascii_lowercase();
    (400..500).contains(&code) && (message == "record does not exist" || message.contains("recordinfo is null"))
}

/// What a body is that tells nothing of a task; `None` if it may be a callback.
fn not_a_callback(text: &str, top: &Object<'_>) -> Option<NotACallback> {
    let has_id = !top.task_ids().usable().is_empty();
    let has_data = top.get("data").is_some_and(|data| {
        let inner = data.get(1..data.len().saturating_sub(1)).unwrap_or(data);
        !inner.trim().is_empty()
    });
    if top.number("code").is_some() {
        let names_only_the_task = |data: &Object<'_>| data.names().all(|name| matches!(name, "taskId" | "task_id"));
        let is_answer = top.says("msg").is_none_or(|msg| msg == "success") && top.is_blank();
        return match top.object("data") {
            _ if !has_data && !has_id && top.is_blank() => Some(NotACallback::UnknownTask),
            Some(data) if has_data && has_id && is_answer && names_only_the_task(data) => Some(NotACallback::NewTask),
            _ => None,
        };
    }
    if top.names().any(|name| CALLBACK_MEMBERS.contains(&name)) {
        return None;
    }
    let is_error = ["message", "Message", "error", "detail", "title", "status", "statusCode"];
    Some(if top.names().any(|name| is_error.contains(&name)) {
        server_error(top)
    } else {
        NotACallback::OtherObject(names(text))
    })
}

fn server_error(top: &Object<'_>) -> NotACallback {
    let status = ["status", "statusCode", "code"]
        .iter()
        .find_map(|name| top.number(name));
    let words = said(top).or_else(|| ["Message", "detail", "title"].iter().find_map(|name| top.says(name)));
    let parts = [
        status.and_then(whole).map(|status| status.to_string()),
        words.map(Cow::into_owned),
    ];
    let message: Vec<String> = parts.into_iter().flatten().collect();
    NotACallback::ServerError(plain(&message.join(" "), MAX_WORDS))
}

pub(super) fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
}
