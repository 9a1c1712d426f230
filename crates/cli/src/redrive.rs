//! `midihook redrive`: moves the jobs in the dead-letter queue back to the render queue.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, anyhow};
use indicatif::ProgressBar;
use midihook::{
    jobs::{self, NotAJob},
    queue::{BATCH, Queue, Received},
};

use crate::{
    Refused,
    output::print,
    progress,
    stack::{self, StackArgs},
};

/// Move the jobs in the dead-letter queue back to the render queue
///
/// Safe to interrupt or repeat: jobs are re-queued before they are deleted; at worst one renders twice, which changes
/// nothing. Messages that are not jobs of this stack stay in the dead-letter queue.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub struct Args {
    /// Only list the messages
    #[arg(long)]
    dry_run: bool,
    /// Delete the messages that are not jobs of this stack
    #[arg(long, conflicts_with = "dry_run")]
    discard: bool,
    /// The dead-letter queue, instead of the stack's [default: MIDIHOOK_DEAD_LETTER_QUEUE_URL]
    #[arg(long, value_name = "URL", value_parser = stack::name(), help_heading = stack::HEADING)]
    dead_letter_queue_url: Option<String>,
    /// The render queue, instead of the stack's [default: MIDIHOOK_RENDER_QUEUE_URL]
    #[arg(long, value_name = "URL", value_parser = stack::name(), help_heading = stack::HEADING)]
    render_queue_url: Option<String>,
    #[command(flatten)]
    stack: StackArgs,
}

const EXAMPLES: &str = stack::help!(
    "  midihook redrive --dry-run    list the messages, and why some are not jobs
  midihook redrive              move the jobs, once the cause of the failures is fixed"
);

/// The visibility timeout of received messages, unless they are released before.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Stop after this many receives in a row without a new message. In a long queue, messages that stay become visible
/// again while we read the rest.
const NOTHING_NEW: u32 = 10;

/// What to do with a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Move,
    Discard,
    Leave,
}

/// What a run has done so far, and which messages it holds.
#[derive(Default)]
struct Run {
    /// How many different messages were received.
    seen: u64,
    moved: usize,
    discarded: usize,
    /// Messages that were received but not deleted, by id.
    held: BTreeMap<String, Received>,
}

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let mut stack = args.stack.find().await?;
    let dead = stack.dead_letter_queue(args.dead_letter_queue_url.as_deref()).await?;
    let render_queue = stack.render_queue(args.render_queue_url.as_deref()).await?;
    if dead == render_queue {
        return Err(Refused(
            "the dead-letter queue and the render queue are the same queue: its jobs would circulate for ever"
                .to_owned(),
        )
        .into());
    }
    let (dead, render_queue) = (stack.queue(&dead), stack.queue(&render_queue));
    let archive = stack.archive();
    let bucket = archive.bucket();

    // Count before this run hides and deletes messages: SQS takes a minute to update its count.
    let counted = dead.length().await?;
    let bar = progress::bar(counted, if args.dry_run { "reading" } else { "moving" });
    let mut run = Run::default();
    let outcome = run.empty(args, bucket, &dead, &render_queue, &bar).await;
    bar.finish_and_clear();
    run.release(&dead).await;

    let Run {
        seen,
        moved,
        discarded,
        held,
    } = run;
    outcome.with_context(|| format!("stopped after {moved} jobs were moved; running this again is safe"))?;
    if args.dry_run {
        eprintln!("messages in the dead-letter queue: {}; none was moved", held.len());
    } else {
        eprintln!("jobs moved to the render queue: {moved}; messages discarded: {discarded}");
    }
    let all = seen >= counted;
    if !all {
        let minutes = VISIBILITY_TIMEOUT.as_secs() / 60;
        eprintln!(
            "SQS counted {counted} messages and gave {seen}. The count may be a minute old, or another receiver holds the \
             others. After an interrupted run, its messages become visible again within {minutes} minutes"
        );
    }
    match (args.dry_run, held.is_empty()) {
        (false, false) => Err(Refused(left(bucket, &held)).into()),
        (false, true) if !all => Err(anyhow!("not all messages could be read: run this again")),
        _ => Ok(()),
    }
}

impl Run {
    /// Reads the dead-letter queue to its end.
    async fn empty(
        &mut self,
        args: &Args,
        bucket: &str,
        dead: &Queue,
        render_queue: &Queue,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let say = |done: &str, messages: &[Received]| {
            let lines = messages
                .iter()
                .map(|message| format!("{done}{}\n", describe(bucket, message)));
            bar.suspend(|| print(lines.collect::<String>().as_bytes()))
        };
        let mut nothing_new = 0;
        while nothing_new < NOTHING_NEW {
            let received = dead.receive(VISIBILITY_TIMEOUT).await?;
            if received.is_empty() {
                break;
            }
            let mut new = Vec::new();
            for message in received {
                // Only the newest receipt handle works.
                if self.held.insert(message.id.clone(), message.clone()).is_none() {
                    new.push(message);
                }
            }
            nothing_new = if new.is_empty() { nothing_new + 1 } else { 0 };
            self.seen += new.len() as u64;
            bar.set_position(self.seen);
            if args.dry_run {
                say("", &new)?;
                continue;
            }
            let of_fate = |fate_of_these| -> Vec<Received> {
                let these = new
                    .iter()
                    .filter(|message| fate(args, bucket, message) == fate_of_these);
                these.cloned().collect()
            };
            let jobs = of_fate(Fate::Move);
            if !jobs.is_empty() {
                let bodies: Vec<String> = jobs.iter().map(|message| message.body.clone()).collect();
                render_queue.send_batch(&bodies).await?;
                self.delete(dead, &jobs).await?;
                self.moved += jobs.len();
                say("moved ", &jobs)?;
            }
            let others = of_fate(Fate::Discard);
            if !others.is_empty() {
                self.delete(dead, &others).await?;
                self.discarded += others.len();
                say("discarded ", &others)?;
            }
        }
        Ok(())
    }

    async fn delete(&mut self, dead: &Queue, messages: &[Received]) -> anyhow::Result<()> {
        dead.delete(messages).await?;
        for message in messages {
            self.held.remove(&message.id);
        }
        Ok(())
    }

    /// Makes the held messages visible again at once. Without this they would stay hidden until their visibility
    /// timeout ends.
    async fn release(&self, dead: &Queue) {
        let held: Vec<Received> = self.held.values().cloned().collect();
        for batch in held.chunks(BATCH) {
            if dead.release(batch).await.is_err() {
                return;
            }
        }
    }
}

/// The message about what stays in the dead-letter queue.
fn left(bucket: &str, held: &BTreeMap<String, Received>) -> String {
    let lines: Vec<String> = held.values().map(|message| describe(bucket, message)).collect();
    format!(
        "messages that are not jobs of this stack and were left: {}; --discard deletes them, except jobs of a newer midihook\n  {}",
        lines.len(),
        lines.join("\n  ")
    )
}

fn fate(args: &Args, bucket: &str, message: &Received) -> Fate {
    match jobs::read(&message.body) {
        Ok(jobs) if jobs.iter().all(|job| job.bucket == bucket) => Fate::Move,
        // A job of a newer midihook is still a job.
        Err(NotAJob::Version(_)) => Fate::Leave,
        _ if args.discard => Fate::Discard,
        _ => Fate::Leave,
    }
}

/// The object names of the bodies that a message asks to render, or why it is not a job.
fn describe(bucket: &str, message: &Received) -> String {
    let why = match jobs::read(&message.body) {
        Ok(jobs) => match jobs.iter().find(|job| job.bucket != bucket) {
            None if jobs.is_empty() => "an event that asks for nothing".to_owned(),
            None => return jobs.iter().map(|job| job.object.as_str()).collect::<Vec<_>>().join(" "),
            Some(job) => format!("a job for another bucket, {}", job.bucket),
        },
        Err(why) => why.to_string(),
    };
    format!("message {}: {why}", message.id)
}
