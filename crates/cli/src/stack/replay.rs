//! `midihook replay`: renders archived callbacks again.

use std::time::SystemTime;

use anyhow::Context as _;
use midihook::{
    aws::queue::BATCH,
    bucket::keys::BODIES,
    bucket::{Bucket, bodies::StoredBody},
    messages::job::Job,
    time::since_epoch,
};
use suno_midi::{RenderRequest, TaskId};

use super::{
    list,
    place::{self, StackArgs},
    progress,
    when::Period,
};
use crate::{
    Refused,
    options::{self, OptionArgs},
    output::print,
};

/// Render archived callbacks again
///
/// Queues a job for each archived callback of the given tasks, or for each that was archived within a period. With
/// --state, for each callback of the tasks that `midihook list` lists with the same --state, --since and --until: these
/// then compare with the time of the result. Safe to interrupt or repeat: a result that comes out the same is not written
/// again.
///
/// Options given here are remembered for the task and used by later replays. --as-usual resets them.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub struct Args {
    /// The ids of the tasks
    #[arg(required_unless_present_any = ["since", "state"], conflicts_with_all = ["since", "until", "state"])]
    tasks: Vec<TaskId>,
    #[command(flatten)]
    period: Period,
    /// The tasks whose results are in these states, as midihook list finds them
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Only list the callbacks
    #[arg(long)]
    dry_run: bool,
    /// Reset the options of these tasks to the stack's
    #[arg(long)]
    as_usual: bool,
    #[command(flatten)]
    options: OptionArgs,
    /// The render queue, instead of the stack's [default: MIDIHOOK_RENDER_QUEUE_URL]
    #[arg(long, value_name = "URL", value_parser = place::name(), help_heading = place::HEADING)]
    render_queue_url: Option<String>,
    #[command(flatten)]
    stack: StackArgs,
}

const EXAMPLES: &str = place::help!(concat!(
    "  midihook replay 5c79c0ffeebe8e              one task
  midihook replay 5c79c0ffeebe8e --bpm 92     the same at 92 BPM: the musician decides
  midihook replay 5c79c0ffeebe8e --as-usual   the same as the stack renders all others
  midihook replay --since 7d --dry-run        list the callbacks of the last week
  midihook replay --since 2026-11-01 --until 2026-11-08
  midihook replay --state failed,invalid      all tasks with such results

",
    options::examples!()
));

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let when = args.period.range()?;
    let mut stack = args.stack.find().await?;
    let bucket = stack.bucket();
    let bodies = match (args.tasks.as_slice(), args.state.as_slice()) {
        ([], []) => {
            let searching = format!("searching s3://{}/{BODIES}:", bucket.name());
            let bar = progress::counter(searching, "callbacks");
            let bodies = bucket.bodies(None, when, |listed| bar.set_position(listed)).await?;
            bar.finish_and_clear();
            if bodies.is_empty() {
                eprintln!("no callback was archived in that period");
                return Ok(());
            }
            bodies
        }
        ([], states) => {
            let bar = list::searching(&bucket);
            let mut tasks = Vec::new();
            let select = list::select(&bucket, &when, states, &bar, |listed| {
                tasks.extend(listed.into_iter().map(|listed| listed.task_id));
                Ok(true)
            });
            select.await?;
            bar.finish_and_clear();
            if tasks.is_empty() {
                eprintln!("{}", list::NOTHING);
                return Ok(());
            }
            let (bodies, without) = bodies_of(&bucket, &tasks).await?;
            for task in without {
                eprintln!("note: task {task} is left out: none of its callbacks is archived any more");
            }
            bodies
        }
        (tasks, _) => match bodies_of(&bucket, tasks).await? {
            (bodies, without) if without.is_empty() => bodies,
            (_, without) => {
                let tasks: Vec<&str> = without.into_iter().map(TaskId::as_str).collect();
                let tasks = tasks.join(", ");
                let why = format!("no callback of task {tasks} is archived in {}", bucket.name());
                return Err(Refused(why).into());
            }
        },
    };
    if args.dry_run {
        for body in &bodies {
            print(format!("{}\n", body.object_key).as_bytes())?;
        }
        eprintln!("callbacks to render again: {}; none was queued", bodies.len());
        return Ok(());
    }

    let options = args.options.options();
    let asked = (args.as_usual || !options.is_empty()).then(|| RenderRequest {
        at: since_epoch(SystemTime::now()).as_millis() as u64,
        options,
    });
    let queue = stack.render_queue(args.render_queue_url.as_deref()).await?;
    let queue = stack.queue(&queue);
    let bar = progress::bar(bodies.len() as u64, "queueing");
    for batch in bodies.chunks(BATCH) {
        let jobs: Result<Vec<String>, _> = batch
            .iter()
            .map(|body| {
                let job = Job::new(body.task_id.clone(), bucket.name(), body.object_key.clone());
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

/// The archived callbacks of these tasks, and the tasks that have none.
async fn bodies_of<'a>(bucket: &Bucket, tasks: &'a [TaskId]) -> anyhow::Result<(Vec<StoredBody>, Vec<&'a TaskId>)> {
    let (mut bodies, mut without) = (Vec::new(), Vec::new());
    let bar = progress::bar(tasks.len() as u64, "looking for callbacks");
    for task in tasks {
        let found = bucket.bodies(Some(task), .., |_| {}).await?;
        if found.is_empty() {
            without.push(task);
        }
        bodies.extend(found);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((bodies, without))
}
