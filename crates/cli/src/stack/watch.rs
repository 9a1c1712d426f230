//! `midihook watch`: has the stack check tasks until they have a result.

use std::{collections::HashSet, future::Future, path::Path, str::FromStr, time::SystemTime};

use anyhow::{Context as _, anyhow};
use indicatif::ProgressBar;
use midihook::{
    aws::queue::Queue,
    bucket::keys,
    bucket::watches::{Watch, WatchSource, WatchState},
    bucket::{Bucket, Loaded},
    messages::check::CheckMessage,
};
use suno_midi::TaskId;
use tokio::task::JoinSet;

use super::{
    place::{self, StackArgs},
    progress,
    when::{unix, utc},
};
use crate::{Refused, input, output::print};

/// How many tasks are read and queued at once.
const AT_ONCE: usize = 32;
/// How many times we try to write an object that others write at the same time.
const CONFLICT_ATTEMPTS: u32 = 5;

/// Watch tasks that were started elsewhere, until they have a result
///
/// The stack checks each task at once, and then again for up to 14 days. Without a callback it polls the provider; for that it
/// needs the provider's API key (parameter ProviderApiKey). A task that is watched already is only checked; one whose watch has
/// ended is watched again. Safe to interrupt or repeat.
///
/// --resume is for after the watch queue was purged, or its messages expired: every task without a result gets its
/// next check at once.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub struct Args {
    /// The ids of the tasks; - for standard input, one on each line
    #[arg(value_name = "TASK", required_unless_present = "resume", conflicts_with = "resume")]
    tasks: Vec<Input>,
    /// Check again each task that is still watched
    #[arg(long)]
    resume: bool,
    /// Only say what would be watched
    #[arg(long)]
    dry_run: bool,
    /// The watch queue, instead of the stack's [default: MIDIHOOK_WATCH_QUEUE_URL]
    #[arg(long, value_name = "URL", value_parser = place::name())]
    watch_queue_url: Option<String>,
    #[command(flatten)]
    stack: StackArgs,
}

const EXAMPLES: &str = place::help!(
    "  midihook watch 5c79c0ffeebe8e    its song comes, even without a callback
  midihook watch - < tasks.txt     many tasks
  midihook watch --resume          after the watch queue was purged"
);

/// A task, or where to read tasks.
#[derive(Clone)]
enum Input {
    Task(TaskId),
    Stdin,
}

impl FromStr for Input {
    type Err = suno_midi::UnfitTaskId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "-" => Ok(Self::Stdin),
            text => text.parse().map(Self::Task),
        }
    }
}

/// How a watch began.
pub enum Begun {
    /// It is watched from now on.
    New,
    /// Its watch had ended like this, and begins again.
    Again(WatchState),
    /// It is watched already, since then.
    Already(SystemTime),
}

/// What a run has done so far.
#[derive(Default)]
struct Run {
    queued: usize,
    refused: Vec<String>,
}

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let tasks = tasks(&args.tasks)?;
    let mut stack = args.stack.find().await?;
    let bucket = stack.bucket();
    let queue = match args.dry_run {
        true => None,
        false => Some(stack.watch_queue(args.watch_queue_url.as_deref()).await?),
    };
    let queue = queue.map(|url| stack.queue(&url));

    let mut run = Run::default();
    let outcome = match args.resume {
        true => run.resume(&bucket, queue.as_ref()).await,
        false => {
            let bar = progress::bar(tasks.len() as u64, "watching");
            let outcome = run.each(tasks, &bar, |task| {
                let (bucket, queue) = (bucket.clone(), queue.clone());
                async move { begin(&bucket, queue.as_ref(), &task).await.map(Some) }
            });
            let outcome = outcome.await;
            bar.finish_and_clear();
            outcome
        }
    };
    outcome.with_context(|| {
        format!(
            "stopped after {} tasks were queued; running this again is safe",
            run.queued
        )
    })?;
    match args.dry_run {
        true => eprintln!("tasks to check: {}; none was queued", run.queued),
        false => eprintln!("tasks queued for a check: {}", run.queued),
    }
    match run.refused.is_empty() {
        true => Ok(()),
        false => Err(Refused(run.refused.join("\n  ")).into()),
    }
}

/// The tasks of the command line, each once.
fn tasks(inputs: &[Input]) -> anyhow::Result<Vec<TaskId>> {
    let mut tasks = Vec::new();
    for input in inputs {
        match input {
            Input::Task(task) => tasks.push(task.clone()),
            Input::Stdin => {
                let text = input::read(Path::new("-"))?;
                for (number, line) in String::from_utf8_lossy(&text).lines().enumerate() {
                    let line = line.trim();
                    if !line.is_empty() {
                        let task = line.parse().map_err(|why| {
                            Refused(format!(
                                "line {} of standard input is no task id: {why}; nothing was queued",
                                number + 1
                            ))
                        });
                        tasks.push(task?);
                    }
                }
            }
        }
    }
    let mut seen = HashSet::new();
    tasks.retain(|task: &TaskId| seen.insert(task.clone()));
    Ok(tasks)
}

impl Run {
    /// Queues the next check of each task that is still watched.
    async fn resume(&mut self, bucket: &Bucket, queue: Option<&Queue>) -> anyhow::Result<()> {
        let searching = format!("searching s3://{}/{}:", bucket.name(), keys::WATCHES);
        let bar = progress::counter(searching, "tasks");
        let mut from = None;
        loop {
            let page = bucket.watches(from).await?;
            self.each(page.entries, &bar, |task| {
                look_again(bucket.clone(), queue.cloned(), task)
            })
            .await?;
            match page.next {
                None => break,
                next => from = next,
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Does this for each task, for some of them at once. A task that is refused does not stop the others.
    async fn each<F>(&mut self, tasks: Vec<TaskId>, bar: &ProgressBar, work: impl Fn(TaskId) -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<Option<Begun>>> + Send + 'static,
    {
        let mut underway = JoinSet::new();
        for task in tasks {
            if underway.len() >= AT_ONCE
                && let Some(done) = underway.join_next().await
            {
                self.note(done?, bar)?;
            }
            let work = work(task.clone());
            underway.spawn(async { (task, work.await) });
        }
        while let Some(done) = underway.join_next().await {
            self.note(done?, bar)?;
        }
        Ok(())
    }

    fn note(&mut self, (task, done): (TaskId, anyhow::Result<Option<Begun>>), bar: &ProgressBar) -> anyhow::Result<()> {
        bar.inc(1);
        match done {
            Ok(None) => Ok(()),
            Ok(Some(begun)) => {
                self.queued += 1;
                bar.suspend(|| print(format!("{task}  {}\n", begun.text()).as_bytes()))
            }
            Err(error) if error.is::<Refused>() => {
                self.refused.push(format!("task {task}: {error:#}"));
                Ok(())
            }
            Err(error) => Err(error.context(format!("task {task} is not queued"))),
        }
    }
}

impl Begun {
    fn text(&self) -> String {
        match self {
            Self::New => "watched from now on".to_owned(),
            Self::Again(state) => format!("watched again: its watch had ended ({})", state.name()),
            Self::Already(since) => format!("watched since {}", utc(*since)),
        }
    }
}

/// Watches a task; without a queue, only finds out what that would do.
///
/// The object comes first: if the message is lost, `--resume` finds the object.
pub async fn begin(bucket: &Bucket, queue: Option<&Queue>, task: &TaskId) -> anyhow::Result<Begun> {
    for _ in 0..CONFLICT_ATTEMPTS {
        let now = SystemTime::now();
        let (watch, version, begun) = match read(bucket, task).await? {
            None => (Watch::new(task.clone(), WatchSource::Cli, now), None, Begun::New),
            Some((watch, version)) => {
                let begun = match watch.state {
                    WatchState::Watching => Begun::Already(unix(watch.since)),
                    ended => Begun::Again(ended),
                };
                (watch.again(WatchSource::Cli, now), Some(version), begun)
            }
        };
        let Some(queue) = queue else {
            return Ok(begun);
        };
        let is_written = match begun {
            Begun::Already(_) => true,
            Begun::New | Begun::Again(_) => {
                let object = keys::watch(task);
                let replace = bucket.replace(&object, watch.to_json()?, version.as_deref());
                replace.await?.is_some()
            }
        };
        if is_written {
            queue.send_now(task, &CheckMessage::new(task.clone())).await?;
            return Ok(begun);
        }
    }
    let object = keys::watch(task);
    Err(anyhow!("others wrote {object} at each of our tries: run this again"))
}

/// Queues the next check of a task, if it is still watched.
async fn look_again(bucket: Bucket, queue: Option<Queue>, task: TaskId) -> anyhow::Result<Option<Begun>> {
    let found = read(&bucket, &task).await?;
    let Some((watch, _)) = found.filter(|(watch, _)| watch.state == WatchState::Watching) else {
        return Ok(None);
    };
    if let Some(queue) = queue {
        // It has the number of the next check. If the usual message is still there, one of the two ends as a duplicate.
        queue.send_now(&task, &CheckMessage::next(&watch)).await?;
    }
    Ok(Some(Begun::Already(unix(watch.since))))
}

/// What is known of a watched task, and the version of its object; `None` if it was never watched.
pub async fn read(bucket: &Bucket, task: &TaskId) -> anyhow::Result<Option<(Watch, String)>> {
    let object = keys::watch(task);
    let unusable = |why: &str| Refused(format!("{object} cannot be used, and stays as it is: {why}"));
    match bucket.load(&object).await? {
        Loaded::Missing => Ok(None),
        Loaded::TooLarge(bytes) => Err(unusable(&format!("it has {bytes} bytes")).into()),
        Loaded::Found(found) => {
            let watch = Watch::read(task, &found.bytes).map_err(|why| unusable(&why.to_string()))?;
            Ok(Some((watch, found.etag)))
        }
    }
}
