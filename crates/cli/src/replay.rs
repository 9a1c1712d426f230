//! `midihook replay`: renders archived callbacks again.

use std::time::SystemTime;

use anyhow::Context as _;
use midihook::{archive::Archive, clients, clock::since_epoch, jobs::Job, objects::RAW, queue::BATCH};
use suno_midi::{Asked, TaskId};

use crate::{
    Refused,
    output::print,
    overrides::{self, OverrideArgs},
    progress,
    stack::{self, Account, Resources},
    when::Period,
};

/// Render archived callbacks again
///
/// Queues a job for each archived callback of the given tasks, or of a period. Safe to interrupt or repeat: a result
/// that comes out the same is not written again.
///
/// What the musician decides replaces what was asked for these tasks before, and stands until it is replaced: a later
/// replay without any of these options renders them again as they were asked for. --as-usual takes it back.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub struct Args {
    /// The ids of the tasks
    #[arg(required_unless_present = "since", conflicts_with_all = ["since", "until"])]
    tasks: Vec<TaskId>,
    #[command(flatten)]
    period: Period,
    /// Only list the callbacks
    #[arg(long)]
    dry_run: bool,
    /// Render with the stack's options again, whatever was asked for before
    #[arg(long)]
    as_usual: bool,
    #[command(flatten)]
    overrides: OverrideArgs,
    #[command(flatten)]
    stack: Resources,
    #[command(flatten)]
    account: Account,
}

const EXAMPLES: &str = stack::help!(concat!(
    "  midihook replay 5c79c0ffeebe8e              one task
  midihook replay 5c79c0ffeebe8e --bpm 92     the same at 92 BPM: the musician decides
  midihook replay 5c79c0ffeebe8e --as-usual   the same as the stack renders all others
  midihook replay --since 7d --dry-run        list the callbacks of the last week
  midihook replay --since 2026-11-01 --until 2026-11-08

",
    overrides::examples!()
));

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let when = args.period.range()?;
    let config = args.account.config().await?;
    let archive = Archive::new(clients::s3(&config), args.stack.bucket.bucket.clone());
    let mut bodies = Vec::new();
    if args.tasks.is_empty() {
        let bar = progress::counter(
            format!("searching s3://{}/{RAW}:", args.stack.bucket.bucket),
            "callbacks",
        );
        bodies = archive.bodies(None, when, |listed| bar.set_position(listed)).await?;
        bar.finish_and_clear();
        if bodies.is_empty() {
            eprintln!("no callback was archived in that period");
            return Ok(());
        }
    } else {
        for task in &args.tasks {
            let found = archive.bodies(Some(task), when.clone(), |_| {}).await?;
            if found.is_empty() {
                return Err(Refused(format!(
                    "no callback of task {task} is archived in {}",
                    args.stack.bucket.bucket
                ))
                .into());
            }
            bodies.extend(found);
        }
    }
    if args.dry_run {
        for body in &bodies {
            print(format!("{}\n", body.object).as_bytes())?;
        }
        eprintln!("callbacks to render again: {}; none was queued", bodies.len());
        return Ok(());
    }

    let options = args.overrides.overrides();
    let asked = (args.as_usual || !options.is_empty()).then(|| Asked {
        at: since_epoch(SystemTime::now()).as_millis() as u64,
        options,
    });
    let queue = stack::queue(&config, &args.stack.render_queue_url);
    let bar = progress::bar(bodies.len() as u64, "queueing");
    for batch in bodies.chunks(BATCH) {
        let jobs: Result<Vec<String>, _> = batch
            .iter()
            .map(|body| {
                let job = Job::new(body.task_id.clone(), &args.stack.bucket.bucket, body.object.clone());
                serde_json::to_string(&match asked {
                    Some(asked) => job.with_request(asked),
                    None => job,
                })
            })
            .collect();
        let sent = queue.send_batch(&jobs?).await;
        sent.with_context(|| {
            format!(
                "{} of {} jobs were queued; running this again is safe",
                bar.position(),
                bodies.len()
            )
        })?;
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    print(format!("jobs queued: {}; their results will be in midi/\n", bodies.len()).as_bytes())
}
