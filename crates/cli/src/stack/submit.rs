//! `midihook submit`: starts a task at the provider, and watches it.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use midihook::{
    aws::error::in_one_line,
    provider::{ApiKey, ApiUrl, BadApiUrl, Provider, ProviderError, https},
};
use serde_json::json;
use suno_midi::{TaskId, provider::api::Refusal};

use super::{
    place::{self, StackArgs, variable},
    progress, watch,
};
use crate::{Refused, output::print};

const API_KEY: &str = "PROVIDER_API_KEY";
const API_URL: &str = "PROVIDER_API_URL";
const KIE: &str = "https://api.kie.ai";

/// A lost answer costs more than a long wait. The request is sent once.
const PATIENCE: Duration = Duration::from_secs(60);

/// Start a MIDI task at the provider, and watch it
///
/// The notes are made from a vocal separation that is complete. The provider charges for each task, so the request is sent
/// once. It calls the stack back; if it does not, the stack asks it, with its own API key (parameter ProviderApiKey).
///
/// The API key comes from the environment variable PROVIDER_API_KEY. PROVIDER_API_URL is the base URL of the API, if it is
/// not https://api.kie.ai. The key is sent only there.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub struct Args {
    /// The task id of the vocal separation
    #[arg(long, value_name = "SEPARATION")]
    task_id: TaskId,
    /// Only this stem: an `id` of the separation's originData [default: all stems]
    #[arg(long, value_name = "STEM", value_parser = place::name())]
    audio_id: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// Where the provider calls back, instead of the stack's own URL [default: MIDIHOOK_CALLBACK_URL]
    #[arg(long, value_name = "URL", value_parser = place::name())]
    callback_url: Option<String>,
    /// The watch queue, instead of the stack's [default: MIDIHOOK_WATCH_QUEUE_URL]
    #[arg(long, value_name = "URL", value_parser = place::name())]
    watch_queue_url: Option<String>,
    #[command(flatten)]
    stack: StackArgs,
}

const EXAMPLES: &str = place::help!(
    "  read -rs PROVIDER_API_KEY && export PROVIDER_API_KEY     (keeps the key out of the shell's history)
  midihook submit --task-id 7d21…                          prints the new task's id
  midihook get --wait $(midihook submit --task-id 7d21…)   waits for the song, and fetches it"
);

pub async fn run(args: &Args) -> anyhow::Result<()> {
    // Everything that can be wrong before the task costs something is found out before.
    let provider = Provider::new(https(), api_url()?, api_key()?, PATIENCE);
    let mut stack = args.stack.find().await?;
    let callback_url = stack.callback_url(args.callback_url.as_deref()).await?;
    let queue = stack.watch_queue(args.watch_queue_url.as_deref()).await?;

    let bar = progress::waiting();
    bar.set_message(format!(
        "asking the provider for a MIDI task from separation {}",
        args.task_id
    ));
    let started = provider
        .generate(&args.task_id, args.audio_id.as_deref(), &callback_url)
        .await;
    bar.finish_and_clear();
    let task = started.map_err(|error| not_started(&args.task_id, &error))?;

    // Printed before anything else can fail.
    let text = match args.json {
        true => json!({"taskId": task, "separation": args.task_id, "callbackUrl": callback_url}).to_string(),
        false => task.to_string(),
    };
    let printed = print(format!("{text}\n").as_bytes());
    let watched = watch::begin(&stack.bucket(), Some(&stack.queue(&queue)), &task).await;
    match watched {
        Ok(_) => eprintln!("task {task} is started, and watched until it has a result"),
        // As a text: the usual advice, to try again, would pay for another task.
        Err(error) => {
            return Err(anyhow!(
                "task {task} is started, but not watched: {error:#}\nIts callback is still accepted. Do not submit it \
                 again; to watch it: midihook watch {task}"
            ));
        }
    }
    printed.with_context(|| format!("task {task} is started and watched, but its id was not printed"))
}

fn api_key() -> anyhow::Result<ApiKey> {
    let text = variable(API_KEY).ok_or_else(|| {
        Refused(format!(
            "no API key: set the environment variable {API_KEY} to the key of your account at the provider"
        ))
    })?;
    let key = ApiKey::new(&text);
    Ok(key.ok_or_else(|| {
        Refused(format!(
            "{API_KEY} is no API key: it must be one word of printable ASCII characters"
        ))
    })?)
}

fn api_url() -> anyhow::Result<ApiUrl> {
    let url = variable(API_URL).unwrap_or_else(|| KIE.to_owned());
    // Not quoted: a URL may hold a password.
    let url = url.parse();
    Ok(url.map_err(|rule: BadApiUrl| Refused(format!("{API_URL} cannot be used: {rule}")))?)
}

/// What to tell about a task that the provider did not confirm.
fn not_started(separation: &TaskId, error: &ProviderError) -> anyhow::Error {
    let what = in_one_line(error);
    if error.may_have_started() {
        return anyhow!(
            "separation {separation}: {what}\nThe task may have been started, and paid for. If it was, its callback comes to \
             the stack, and the song is made. Do not submit it again before you know: in some minutes, midihook list \
             --since 15m shows the songs that came."
        );
    }
    let nothing = format!("separation {separation}: {what}; no task was started");
    let wait = error.ask_again_after().map(|wait| wait.as_secs());
    match (error, wait) {
        (ProviderError::Refused(_), Some(seconds)) => anyhow!("{nothing}: try again in {seconds} s or more"),
        (ProviderError::Refused(Refusal::KeyRefused { .. }), None) => {
            Refused(format!("{nothing}: check {API_KEY}")).into()
        }
        (ProviderError::Refused(Refusal::NoCredits), None) => {
            Refused(format!("{nothing}: buy credits at the provider first")).into()
        }
        (ProviderError::Refused(_), None) => Refused(format!(
            "{nothing}: check that the separation is complete, of the same account, and not older than 14 days"
        ))
        .into(),
        _ => anyhow!("{nothing}: check the network and {API_URL}, then try again"),
    }
}
