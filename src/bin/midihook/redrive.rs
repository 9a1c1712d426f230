//! `midihook redrive`: the dead-letter queue, emptied back into the render queue.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use midihook::jobs::{self, NotAJob, Queue, Received};

use crate::{Refused, operate, output::print};

/// Bring the jobs in the dead-letter queue back to the render queue
///
/// Each job is queued again before it is deleted: to be interrupted, or to run twice, loses none and
/// renders one twice at worst, which changes nothing. A message that is no job of this stack stays where it is.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub struct Args {
    /// Only list the messages
    #[arg(long)]
    dry_run: bool,
    /// Delete the messages that are no jobs of this stack
    #[arg(long, conflicts_with = "dry_run")]
    discard: bool,
    /// The stack's bucket
    #[arg(long, env = "MIDIHOOK_BUCKET")]
    bucket: String,
    /// The stack's dead-letter queue
    #[arg(long, value_name = "URL", env = "MIDIHOOK_DEAD_LETTER_QUEUE_URL")]
    dead_letter_queue_url: String,
    /// The stack's render queue
    #[arg(long, value_name = "URL", env = "MIDIHOOK_RENDER_QUEUE_URL")]
    render_queue_url: String,
}

const EXAMPLES: &str = operate::help!(
    "  midihook redrive --dry-run    what is there, and why it cannot be read
  midihook redrive              once the cause is mended"
);

/// For how long a message that was looked at is hidden from others, unless it is released before.
const HIDDEN: Duration = Duration::from_secs(5 * 60);

/// What is to be done with a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Move,
    Discard,
    Leave,
}

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let config = operate::config().await;
    let dead = operate::queue(&config, &args.dead_letter_queue_url);
    let render = operate::queue(&config, &args.render_queue_url);

    let (visible, _) = dead.length().await?;
    let bar = operate::progress(visible, if args.dry_run { "reading" } else { "moving" });
    let say = |done: &str, messages: &[Received]| {
        let lines = messages
            .iter()
            .map(|message| format!("{done}{}\n", describe(&args.bucket, message)));
        bar.suspend(|| print(lines.collect::<String>().as_bytes()))
    };
    let (mut moved, mut discarded, mut left) = (0, 0, Vec::<Received>::new());
    loop {
        let messages = dead.receive(HIDDEN).await?;
        if messages.is_empty() {
            break;
        }
        bar.inc(messages.len() as u64);
        let (mut jobs, mut others) = (Vec::new(), Vec::new());
        for message in messages {
            match fate(args, &message) {
                Fate::Move => jobs.push(message),
                Fate::Discard => others.push(message),
                // In a long run what was left is received again.
                Fate::Leave if left.iter().any(|seen| seen.id == message.id) => {}
                Fate::Leave => left.push(message),
            }
        }
        if !jobs.is_empty() {
            let bodies: Vec<String> = jobs.iter().map(|message| message.body.clone()).collect();
            if let Err(error) = render.send_batch(&bodies).await {
                // To be found at once by the next run.
                release(&dead, jobs.iter().chain(&others).chain(&left)).await;
                return Err(error).with_context(|| format!("{moved} jobs were moved before; run this again"));
            }
            dead.delete(&jobs)
                .await
                .with_context(|| format!("{} jobs were moved; run this again", moved + jobs.len()))?;
            say("moved ", &jobs)?;
            moved += jobs.len();
        }
        if !others.is_empty() {
            dead.delete(&others).await?;
            say("discarded ", &others)?;
            discarded += others.len();
        }
    }
    bar.finish_and_clear();
    let (_, hidden) = dead.length().await?;
    release(&dead, &left).await;
    if args.dry_run {
        say("", &left)?;
        eprintln!("messages in the dead-letter queue: {}; none was moved", left.len());
        return Ok(());
    }
    eprintln!("jobs moved to the render queue: {moved}; messages discarded: {discarded}");
    if hidden > left.len() as u64 {
        let hidden = hidden - left.len() as u64;
        let minutes = HIDDEN.as_secs() / 60;
        return Err(anyhow!(
            "somebody else, or a run that was interrupted, is reading {hidden} more messages: run this again in {minutes} minutes"
        ));
    }
    if left.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = left.iter().map(|message| describe(&args.bucket, message)).collect();
    Err(Refused(format!(
        "messages that this stack cannot render, and were left: {}; --discard deletes them, except for a newer midihook's\n  {}",
        left.len(),
        lines.join("\n  ")
    ))
    .into())
}

/// Lets messages be received again at once. A courtesy: they come back by themselves.
async fn release(queue: &Queue, messages: impl IntoIterator<Item = &Received>) {
    for message in messages {
        let _ = queue.release(message).await;
    }
}

fn fate(args: &Args, message: &Received) -> Fate {
    match jobs::read(&message.body) {
        _ if args.dry_run => Fate::Leave,
        Ok(jobs) if jobs.iter().all(|job| job.bucket == args.bucket) => Fate::Move,
        // A newer midihook's job is one all the same.
        Err(NotAJob::Version(_)) => Fate::Leave,
        _ if args.discard => Fate::Discard,
        _ => Fate::Leave,
    }
}

/// The bodies that a message asks to render, or why it asks for none.
fn describe(bucket: &str, message: &Received) -> String {
    let why = match jobs::read(&message.body) {
        Ok(jobs) => match jobs.iter().find(|job| job.bucket != bucket) {
            None if jobs.is_empty() => "an event that asks for nothing".to_owned(),
            None => return jobs.iter().map(|job| job.key.as_str()).collect::<Vec<_>>().join(" "),
            Some(job) => format!("a job for another bucket, {}", job.bucket),
        },
        Err(why) => why.to_string(),
    };
    format!("message {}: {why}", message.id)
}
