//! `midihook redrive`: moves the messages in the dead-letter queue back to the render queue.

use anyhow::anyhow;
use aws_sdk_sqs::types::QueueAttributeName;
use midihook::aws::Error;

use super::place::{self, StackArgs};

/// Move the messages in the dead-letter queue back to the render queue
///
/// SQS moves them in the background (StartMessageMoveTask). Safe to repeat: a job that runs twice changes nothing, and a
/// message that fails again returns to the dead-letter queue.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub struct Args {
    /// Only count the messages
    #[arg(long)]
    dry_run: bool,
    /// The dead-letter queue, instead of the stack's [default: MIDIHOOK_DEAD_LETTER_QUEUE_URL]
    #[arg(long, value_name = "URL", value_parser = place::name(), help_heading = place::HEADING)]
    dead_letter_queue_url: Option<String>,
    #[command(flatten)]
    stack: StackArgs,
}

const EXAMPLES: &str = place::help!(
    "  midihook redrive --dry-run    count the messages
  midihook redrive              move them, once the cause of the failures is fixed"
);

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let mut stack = args.stack.find().await?;
    let url = stack.dead_letter_queue(args.dead_letter_queue_url.as_deref()).await?;
    let sqs = stack.sqs();
    let get = sqs.get_queue_attributes().queue_url(&url);
    let get = get.attribute_names(QueueAttributeName::QueueArn);
    let get = get.attribute_names(QueueAttributeName::ApproximateNumberOfMessages);
    let found = get
        .send()
        .await
        .map_err(|error| Error::new("SQS", "count messages", error))?;
    let attributes = found.attributes.unwrap_or_default();
    let attribute = |name| attributes.get(&name).map(String::as_str);
    let count = attribute(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or("0");
    if args.dry_run || count == "0" {
        eprintln!("messages in the dead-letter queue: {count}");
        return Ok(());
    }
    let arn = attribute(QueueAttributeName::QueueArn).ok_or_else(|| anyhow!("SQS did not tell the ARN of {url}"))?;
    let started = sqs.start_message_move_task().source_arn(arn).send().await;
    started.map_err(|error| Error::new("SQS", "start to move the messages", error))?;
    eprintln!("SQS moves {count} messages back to the render queue; --dry-run counts those that are left");
    Ok(())
}
