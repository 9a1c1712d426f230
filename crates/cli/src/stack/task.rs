//! What the bucket knows of a task.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use anyhow::{Context as _, anyhow};
use midihook::bucket::{Bucket, Loaded};
use serde::{Deserialize, Serialize};
use suno_midi::{
    TaskId,
    document::{self, State},
    format::{DOCUMENT, MIDI},
};

use super::when::utc;
use crate::render::no_song;

/// How far a task has come.
pub enum Known {
    /// No callback has come.
    NoCallback,
    /// Callbacks are stored, and there is no result yet.
    NotRendered(Callbacks),
    /// There is a result.
    Result(Box<ResultDocument>),
}

/// The stored callbacks of a task.
#[derive(Clone, Copy)]
pub struct Callbacks {
    pub count: usize,
    pub first: SystemTime,
    pub newest: SystemTime,
}

/// A result document, as far as the commands use it. A newer midihook may have written it: members that we do not know
/// are left out, and the state is a text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultDocument {
    pub state: String,
    source: Option<Source>,
    files: BTreeMap<String, String>,
    pub failure: Option<Failure>,
    pub song: Option<Song>,
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The names of what is in a body that cannot be read.
    #[serde(default)]
    members: Vec<String>,
}

#[derive(Deserialize)]
struct Source {
    #[serde(rename = "key", default)]
    object: String,
    /// Absent in documents of older releases.
    authenticated: Option<bool>,
}

#[derive(Deserialize, Serialize)]
pub struct Failure {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    pub message: String,
}

#[derive(Deserialize)]
pub struct Song {
    pub seconds: f64,
    pub notes: u64,
    instruments: Vec<Instrument>,
}

#[derive(Deserialize)]
struct Instrument {
    file: Option<String>,
}

impl ResultDocument {
    /// Whether there is a MIDI file.
    pub fn has_song(&self) -> bool {
        self.files.contains_key(MIDI.name)
    }

    /// The object names of all files of the result.
    pub fn objects(&self) -> BTreeSet<&str> {
        let parts = self.song.iter().flat_map(|song| &song.instruments);
        let parts = parts.filter_map(|instrument| instrument.file.as_ref());
        self.files.values().chain(parts).map(String::as_str).collect()
    }

    /// The object name of the callback that decided.
    pub fn raw(&self) -> Option<&str> {
        let source = self.source.as_ref()?;
        Some(source.object.as_str()).filter(|object| !object.is_empty())
    }

    /// Whether midihook asked the provider for the body, which is then certainly the provider's; `None` if that is unknown.
    pub fn authenticated(&self) -> Option<bool> {
        self.source.as_ref()?.authenticated
    }

    /// Why there is no song.
    pub fn no_song(&self) -> String {
        let failure = self.failure.as_ref();
        let failure = failure.map(|failure| (failure.code, failure.message.as_str()));
        match (failure, self.warnings.is_empty()) {
            (None, true) => format!("there is no song: the state of the task is {}", self.state),
            _ => no_song(failure, &self.warnings, &self.members),
        }
    }
}

impl Known {
    /// Looks at a task.
    pub async fn of(bucket: &Bucket, task: &TaskId) -> anyhow::Result<Self> {
        let object = document::object_name(task, DOCUMENT);
        match bucket.load(&object).await? {
            Loaded::Found(found) => {
                let read = serde_json::from_slice(&found.bytes);
                read.map(Self::Result)
                    .with_context(|| format!("{object} is not a result document: midihook replay {task} replaces it"))
            }
            Loaded::TooLarge(bytes) => Err(anyhow!("{object} has {bytes} bytes: it is not a result document")),
            Loaded::Missing => {
                let callbacks = Callbacks::of(bucket, task).await?;
                Ok(callbacks.map_or(Self::NoCallback, Self::NotRendered))
            }
        }
    }

    /// A word for it: the state of the result, or what there is instead of a result.
    pub fn state(&self) -> &str {
        match self {
            Self::NoCallback => "waiting",
            Self::NotRendered(_) => "received",
            Self::Result(document) => &document.state,
        }
    }

    /// Whether the task may still get a song although nobody does anything.
    pub fn is_open(&self) -> bool {
        match self {
            Self::NoCallback | Self::NotRendered(_) => true,
            Self::Result(document) => document.state == State::Pending.name(),
        }
    }

    /// Why there is no song; `None` if there is one.
    pub fn lack(&self) -> Option<String> {
        match self {
            Self::NoCallback => Some("no callback has come yet".to_owned()),
            Self::NotRendered(callbacks) => Some(format!(
                "a callback came at {}, and is not rendered yet",
                utc(callbacks.newest)
            )),
            Self::Result(document) if document.has_song() => None,
            Self::Result(document) => Some(document.no_song()),
        }
    }

    /// What a person can do about a task without a song.
    pub fn advice(&self, task: &TaskId) -> Option<String> {
        let state = match self {
            Self::NoCallback => {
                return Some(format!(
                    "a song takes the provider some minutes; with midihook watch {task} it comes even if no callback does"
                ));
            }
            Self::NotRendered(_) => {
                return Some(format!(
                    "rendering takes seconds; after some minutes: midihook redrive --dry-run lists the jobs that failed, \
                     and midihook replay {task} makes a new one"
                ));
            }
            Self::Result(document) if document.has_song() => return None,
            Self::Result(document) => State::named(&document.state),
        };
        Some(match state {
            Some(State::Failed) => "ask the provider for this song again, in a new task".to_owned(),
            Some(State::Pending) => {
                "the task had not ended when the body was saved: wait for the callback, or ask the provider again"
                    .to_owned()
            }
            Some(State::Unreadable) => format!(
                "the body is kept: report the names of its members (midihook get {task} --format raw fetches it), and after an \
                 upgrade midihook replay {task} reads it again"
            ),
            Some(State::Invalid) => format!("look at the callback: midihook get {task} --format raw"),
            Some(State::Unsupported) => {
                "nothing: this callback is about another product of the provider, which has no notes".to_owned()
            }
            Some(State::Rendered | State::Empty) => format!("the MIDI file is missing: midihook replay {task}"),
            Some(State::Expired) => "the provider has deleted it by now: start a new task there".to_owned(),
            Some(State::Unknown) => {
                format!(
                    "check the task id, and that the stack's API key is of the account that started the task; then \
                     midihook watch {task}"
                )
            }
            None => "docs/consume.md of the version that runs says what that state means".to_owned(),
        })
    }
}

impl Callbacks {
    /// The stored callbacks of a task; `None` if there are none.
    pub async fn of(bucket: &Bucket, task: &TaskId) -> anyhow::Result<Option<Self>> {
        let bodies = bucket.bodies(Some(task), .., |_| {}).await?;
        let times = || bodies.iter().map(|body| body.stored);
        Ok(times().min().zip(times().max()).map(|(first, newest)| Self {
            count: bodies.len(),
            first,
            newest,
        }))
    }
}
