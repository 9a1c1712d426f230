//! `midihook list`: the tasks that have results.

use std::{ops::Range, time::SystemTime};

use indicatif::ProgressBar;
use midihook::bucket::{Bucket, results::StoredResult};
use serde::Serialize;
use suno_midi::{
    TaskId,
    document::{RESULTS, State},
};
use tokio::task::JoinSet;

use super::{
    place::{self, StackArgs},
    progress,
    when::{Period, utc},
};
use crate::output::{self, print_while_read};

/// List the tasks that have results
///
/// Prints when the result was written, its state and the id of the task, ordered by the id. `| sort` orders by time.
/// --since and --until compare with the time at which the result was written.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    period: Period,
    /// Only results in these states: rendered, empty, failed, pending, invalid, unsupported
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Print a JSON object for each task, each on a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackArgs,
}

const EXAMPLES: &str = place::help!(
    "  midihook list --since 7d | sort             the results of the last week, the newest last
  midihook list --state failed,invalid        tasks that have no song
  midihook list --state rendered --json | jq -r .taskId | xargs midihook get -o songs"
);

/// How many objects we ask S3 about at a time.
const AT_ONCE: usize = 16;

/// A task that has a result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    pub task_id: TaskId,
    /// `None` if midihook did not write the document.
    state: Option<String>,
    /// When the result was written.
    rendered: String,
}

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let when = args.period.range()?;
    let bucket = args.stack.find().await?.bucket();
    let bar = searching(&bucket);
    let mut count = 0;
    select(&bucket, &when, &args.state, &bar, |listed| {
        count += listed.len();
        let text = match args.json {
            true => listed
                .iter()
                .map(|task| Ok(serde_json::to_string(task)? + "\n"))
                .collect::<anyhow::Result<_>>()?,
            false => listed.iter().map(Listed::text).collect::<String>(),
        };
        bar.suspend(|| print_while_read(text.as_bytes()))
    })
    .await?;
    bar.finish_and_clear();
    if count == 0 {
        eprintln!("{NOTHING}");
    }
    Ok(())
}

/// What is said if nothing was found.
pub const NOTHING: &str = "no task has a result of that period and state";

/// Counts the results that were examined.
pub fn searching(bucket: &Bucket) -> ProgressBar {
    progress::counter(format!("searching s3://{}/{RESULTS}:", bucket.name()), "results")
}

/// Finds the results that were written in this period, and that are in one of these states (in any, if none is named).
/// Gives them to `found` page by page, ordered by name, so that a large bucket needs no more memory than a small one.
/// `found` says whether to go on.
///
/// The state is in the metadata of the document, and S3 does not list metadata, so this asks for each document. A HEAD
/// costs what a GET does, but a document may have hundreds of kilobytes.
pub async fn select(
    bucket: &Bucket,
    when: &Range<SystemTime>,
    states: &[String],
    bar: &ProgressBar,
    mut found: impl FnMut(Vec<Listed>) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let mut from = None;
    loop {
        let page = bucket.results(from).await?;
        let mut lookups = JoinSet::new();
        let mut listed = Vec::new();
        for result in page.entries {
            bar.inc(1);
            if when.contains(&result.written) {
                if lookups.len() >= AT_ONCE
                    && let Some(found) = lookups.join_next().await
                {
                    listed.extend(found??);
                }
                lookups.spawn(look_up(bucket.clone(), result));
            }
        }
        while let Some(found) = lookups.join_next().await {
            listed.extend(found??);
        }
        listed.retain(|task: &Listed| {
            states.is_empty() || task.state.as_ref().is_some_and(|state| states.contains(state))
        });
        listed.sort_by(|a, b| a.task_id.cmp(&b.task_id));
        if !found(listed)? || page.next.is_none() {
            return Ok(());
        }
        from = page.next;
    }
}

/// Asks for the state of a result; `None` if it was deleted since it was listed.
async fn look_up(bucket: Bucket, result: StoredResult) -> anyhow::Result<Option<Listed>> {
    let standing = bucket.result(&result.task_id).await?;
    Ok(standing.map(|standing| Listed {
        task_id: result.task_id,
        state: standing.state,
        rendered: utc(result.written),
    }))
}

impl Listed {
    fn text(&self) -> String {
        let state = self.state.as_deref().unwrap_or("?");
        let known = State::named(state);
        let (open, song) = (known == Some(State::Pending), known.is_some_and(State::has_song));
        let padding = " ".repeat(12_usize.saturating_sub(state.len()));
        format!(
            "{}  {}{padding} {}\n",
            self.rendered,
            output::state(state, open, song),
            self.task_id
        )
    }
}
