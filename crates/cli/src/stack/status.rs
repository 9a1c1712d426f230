//! `midihook status`: where tasks are.

use std::time::SystemTime;

use midihook::{
    bucket::watches::{Watch, WatchSource, WatchState},
    bucket::{Bucket, results::ResultFailure},
};
use serde::Serialize;
use suno_midi::TaskId;

use super::{
    place::{self, StackArgs},
    progress,
    task::{Callbacks, Known},
    watch,
    when::{unix, utc},
};
use crate::{
    Refused,
    output::{self, print},
};

/// Say where tasks are: called back, rendered, watched, or why not
///
/// The state is that of the result document; without one, "waiting" (no callback has come) or "received" (a callback is
/// stored, and not rendered yet).
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub struct Args {
    /// The ids of the tasks
    #[arg(required = true, value_name = "TASK")]
    tasks: Vec<TaskId>,
    /// Print a JSON object for each task, each on a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackArgs,
}

const EXAMPLES: &str = place::help!(
    "  midihook status 5c79c0ffeebe8e
  midihook status 5c79c0ffeebe8e --json | jq -r .state"
);

/// What is told of a task.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    task_id: &'a TaskId,
    state: &'a str,
    /// How many different callbacks are stored.
    callbacks: usize,
    /// When the first and the newest of them came.
    #[serde(skip_serializing_if = "Option::is_none")]
    called_back: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_called_back: Option<String>,
    /// When the result was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    rendered: Option<String>,
    /// The end of the song in seconds, and its notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<u64>,
    /// Whether midihook asked the provider for the notes. If not, a callback brought them, whose body is not signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticated: Option<bool>,
    /// What the provider said.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a ResultFailure>,
    warnings: &'a [String],
    /// If the task is or was watched: how that stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    watch: Option<Watched>,
    /// Why there is no song, and what to do, in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// How the watch of a task stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Watched {
    since: String,
    /// What began it.
    source: WatchSource,
    state: WatchState,
    /// When the provider was last asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_asked: Option<String>,
    /// What was learned last, in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<String>,
}

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let bucket = args.stack.find().await?.bucket();
    let bar = progress::bar(args.tasks.len() as u64, "looking");
    for task in &args.tasks {
        let known = Known::of(&bucket, task).await?;
        let (callbacks, rendered) = match &known {
            Known::NoCallback => (None, None),
            Known::NotRendered(callbacks) => (Some(*callbacks), None),
            Known::Result(_) => {
                let standing = bucket.result(task).await?;
                let written = standing.and_then(|standing| standing.written);
                (Callbacks::of(&bucket, task).await?, written)
            }
        };
        let watched = Watched::of(&bucket, task).await?;
        let status = Status::new(task, &known, callbacks, rendered, watched);
        let text = match args.json {
            true => serde_json::to_string(&status)? + "\n",
            false => status.text(&known),
        };
        bar.inc(1);
        bar.suspend(|| print(text.as_bytes()))?;
    }
    bar.finish_and_clear();
    Ok(())
}

impl<'a> Status<'a> {
    fn new(
        task_id: &'a TaskId,
        known: &'a Known,
        callbacks: Option<Callbacks>,
        rendered: Option<SystemTime>,
        watch: Option<Watched>,
    ) -> Self {
        let document = match known {
            Known::Result(document) => Some(document),
            Known::NoCallback | Known::NotRendered(_) => None,
        };
        let is_watched = watch.as_ref().is_some_and(|watch| watch.state == WatchState::Watching);
        let song = document.and_then(|document| document.song.as_ref());
        Self {
            task_id,
            state: known.state(),
            callbacks: callbacks.map_or(0, |callbacks| callbacks.count),
            called_back: callbacks.map(|callbacks| utc(callbacks.first)),
            last_called_back: callbacks.map(|callbacks| utc(callbacks.newest)),
            rendered: rendered.map(utc),
            seconds: song.map(|song| song.seconds),
            notes: song.map(|song| song.notes),
            authenticated: document.and_then(|document| document.authenticated()),
            failure: document.and_then(|document| document.failure.as_ref()),
            warnings: document.map_or(&[], |document| &document.warnings),
            watch,
            why: known.lack(),
            advice: match known {
                Known::NoCallback if is_watched => {
                    Some("nothing: the stack checks this task until there is a result".to_owned())
                }
                _ => known.advice(task_id),
            },
        }
    }

    /// The same in a few lines, for people.
    fn text(&self, known: &Known) -> String {
        let mut lines = format!(
            "{}  {}",
            self.task_id,
            output::state(self.state, known.is_open(), self.why.is_none())
        );
        if let (Some(seconds), Some(notes)) = (self.seconds, self.notes) {
            lines += &format!("  {notes} notes, {seconds:.1} s");
        }
        lines.push('\n');
        let mut add = |what: &str, text: &str| lines += &format!("  {what:<12} {text}\n");
        match (&self.called_back, &self.last_called_back) {
            (Some(first), Some(newest)) if self.callbacks > 1 => add(
                "called back",
                &format!("{first}, and last {newest} ({} different callbacks)", self.callbacks),
            ),
            (Some(first), _) => add("called back", first),
            _ if matches!(known, Known::Result(_)) => add("called back", "its callbacks are not kept any more"),
            _ => {}
        }
        if let Some(rendered) = &self.rendered {
            let from = match self.authenticated {
                Some(true) => ", from the provider's answer to a question",
                Some(false) => ", from a callback",
                None => "",
            };
            add("result", &format!("{rendered}{from}"));
        }
        if let Some(watch) = &self.watch {
            add("watched", &watch.text());
        }
        if let Some(why) = &self.why {
            add("why", why);
        }
        if let Some(advice) = &self.advice {
            add("what to do", advice);
        }
        if self.why.is_none() {
            for warning in self.warnings {
                add("note", warning);
            }
        }
        lines
    }
}

impl Watched {
    /// How the watch of a task stands; `None` if it was never watched.
    async fn of(bucket: &Bucket, task: &TaskId) -> anyhow::Result<Option<Self>> {
        match watch::read(bucket, task).await {
            Ok(found) => Ok(found.map(|(watch, _)| Self::new(watch))),
            // The rest of what is known of the task is still true.
            Err(error) if error.is::<Refused>() => {
                eprintln!("note: task {task}: {error:#}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn new(watch: Watch) -> Self {
        Self {
            since: utc(unix(watch.since)),
            source: watch.source,
            state: watch.state,
            last_asked: watch.last_polled.map(|at| utc(unix(at))),
            said: watch.note,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("since {}", self.since);
        match self.state {
            WatchState::Watching => {}
            ended => text += &format!(", and not any more ({})", ended.name()),
        }
        if let Some(asked) = &self.last_asked {
            text += &format!("; the provider was last asked {asked}");
        }
        if let Some(said) = &self.said {
            text += &format!("; {said}");
        }
        text
    }
}
