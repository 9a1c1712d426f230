//! `midihook status`: where tasks are.

use std::time::SystemTime;

use serde::Serialize;
use suno_midi::{TaskId, document, format::DOCUMENT};

use crate::{
    output::{self, print},
    progress,
    stack::{self, StackArgs},
    task::{Callbacks, Failure, Known},
    when::utc,
};

/// Say where tasks are: called back, rendered, or why not
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

const EXAMPLES: &str = stack::help!(
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
    /// What the provider said.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    warnings: &'a [String],
    /// Why there is no song, and what to do, in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let archive = args.stack.find().await?.archive();
    let bar = progress::bar(args.tasks.len() as u64, "looking");
    for task in &args.tasks {
        let known = Known::of(&archive, task).await?;
        let (callbacks, rendered) = match &known {
            Known::NoCallback => (None, None),
            Known::NotRendered(callbacks) => (Some(*callbacks), None),
            Known::Result(_) => {
                let document = document::object_name(task, DOCUMENT);
                let look = archive.look(&document).await?;
                (Callbacks::of(&archive, task).await?, look.and_then(|look| look.written))
            }
        };
        let status = Status::new(task, &known, callbacks, rendered);
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
    fn new(task_id: &'a TaskId, known: &'a Known, callbacks: Option<Callbacks>, rendered: Option<SystemTime>) -> Self {
        let document = match known {
            Known::Result(document) => Some(document),
            Known::NoCallback | Known::NotRendered(_) => None,
        };
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
            failure: document.and_then(|document| document.failure.as_ref()),
            warnings: document.map_or(&[], |document| &document.warnings),
            why: known.lack(),
            advice: known.advice(task_id),
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
            add("result", rendered);
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
