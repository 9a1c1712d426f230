//! `midihook redrive`: the dead-letter queue, emptied back into the render queue.

use std::time::Duration;

use anyhow::Context as _;
use midihook::jobs::{self, NotAJob, Received};

use crate::{Refused, operate};

/// Bring the jobs in the dead-letter queue back to the render queue
///
/// Each job is queued again before it is deleted: to be interrupted, or to run twice, loses none and
/// renders one twice at worst, which changes nothing. A message that is no job stays where it is.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub struct Args {
    /// Only list the messages
    #[arg(long)]
    dry_run: bool,
    /// Delete the messages that are no jobs
    #[arg(long, conflicts_with = "dry_run")]
    discard: bool,
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
const HIDDEN: Duration = Duration::from_secs(120);

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let config = operate::config().await;
    let dead = operate::queue(&config, &args.dead_letter_queue_url);
    let render = operate::queue(&config, &args.render_queue_url);

    let bar = operate::progress(dead.length().await?, if args.dry_run { "reading" } else { "moving" });
    let say = |done: &str, message: &Received| bar.suspend(|| println!("{done}{}", describe(message)));
    let (mut moved, mut discarded, mut kept, mut left) = (0, 0, Vec::<Received>::new(), Vec::new());
    loop {
        let mut messages = dead.receive(HIDDEN).await?;
        messages.retain(|message| kept.iter().all(|seen| seen.id != message.id));
        // What is kept comes again once it is no longer hidden: by then all has been seen.
        if messages.is_empty() {
            break;
        }
        bar.inc(messages.len() as u64);
        let (jobs, others): (Vec<_>, Vec<_>) = messages
            .into_iter()
            .partition(|message| jobs::read(&message.body).is_ok());
        if args.dry_run {
            kept.extend(jobs.into_iter().chain(others).inspect(|message| say("", message)));
            continue;
        }
        if !jobs.is_empty() {
            let again = || format!("{moved} jobs were moved before; to run this again does no harm");
            let bodies: Vec<String> = jobs.iter().map(|message| message.body.clone()).collect();
            render.send_batch(&bodies).await.with_context(again)?;
            dead.delete(&jobs).await.with_context(again)?;
            jobs.iter().for_each(|message| say("moved ", message));
            moved += jobs.len();
        }
        // A newer midihook's job is one all the same.
        let newer = |message: &Received| matches!(jobs::read(&message.body), Err(NotAJob::Version(_)));
        let (discard, keep): (Vec<_>, Vec<_>) = others.into_iter().partition(|message| args.discard && !newer(message));
        if !discard.is_empty() {
            dead.delete(&discard).await?;
            discard.iter().for_each(|message| say("discarded ", message));
            discarded += discard.len();
        }
        left.extend(keep.iter().map(describe));
        kept.extend(keep);
    }
    bar.finish_and_clear();
    for message in &kept {
        dead.release(message).await?;
    }
    if args.dry_run {
        eprintln!("messages in the dead-letter queue: {}; none was moved", kept.len());
        return Ok(());
    }
    eprintln!("jobs moved to the render queue: {moved}; messages discarded: {discarded}");
    if left.is_empty() {
        return Ok(());
    }
    Err(Refused(format!(
        "messages that cannot be read as jobs, and were left: {}; --discard deletes those that are none\n  {}",
        left.len(),
        left.join("\n  ")
    ))
    .into())
}

/// The bodies that a message asks to render, or why it asks for none.
fn describe(message: &Received) -> String {
    match jobs::read(&message.body) {
        Ok(jobs) if jobs.is_empty() => format!("message {}: an event that asks for nothing", message.id),
        Ok(jobs) => jobs.iter().map(|job| job.key.as_str()).collect::<Vec<_>>().join(" "),
        Err(why) => format!("message {}: {why}", message.id),
    }
}
