//! What the bucket knows of a task.

use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use midihook::bucket::{Bucket, Loaded, results::ResultDocument};
use suno_midi::{
    TaskId,
    document::{self, State},
    format::DOCUMENT,
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

/// Why a result has no song.
pub fn lack(document: &ResultDocument) -> String {
    let failure = document.failure.as_ref();
    let failure = failure.map(|failure| (failure.code, failure.message.as_str()));
    match (failure, document.warnings.is_empty()) {
        (None, true) => format!("there is no song: the state of the task is {}", document.state),
        _ => no_song(failure, &document.warnings, &document.members),
    }
}

impl Known {
    /// Reads what is known of a task.
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

    /// Whether the task may still get a song by itself.
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
            Self::Result(document) => Some(lack(document)),
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
