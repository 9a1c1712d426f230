//! `midihook send`: signs and posts a callback as the provider does.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow};
use suno_midi::provider::{
    callback::text,
    signature::{SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER},
};

use crate::{Refused, input};

/// The provider gives up after 15 s.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Sign a saved callback and post it, as the provider does
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  export MIDIHOOK_KEY=…                         (keeps the key out of the process list)
  midihook send https://….amazonaws.com/callback callback.json
  midihook send http://localhost:9000/callback - < callback.json")]
pub struct Args {
    /// The callBackUrl
    url: String,
    /// The JSON to post as it is (UTF-16 as UTF-8); - for standard input
    file: PathBuf,
    /// The webhookHmacKey to sign with
    // A random key may begin with a hyphen.
    #[arg(long, env = "MIDIHOOK_KEY", hide_env_values = true, allow_hyphen_values = true)]
    key: String,
    /// The task id to sign, for a body that has none or more than one [default: the body's]
    #[arg(long, value_name = "ID")]
    task_id: Option<String>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let key = SigningKey::new(&args.key)
        .ok_or_else(|| Refused("the key is empty: give it with --key or in MIDIHOOK_KEY".to_owned()))?;
    let mut body = input::read(&args.file)?;
    // The provider sends UTF-8. An editor or a shell may have saved it otherwise.
    if body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff") {
        body = text(&body).into_owned().into_bytes();
    }
    let task_id = match &args.task_id {
        Some(task_id) => task_id.clone(),
        None => {
            let found = input::task_id(&body)?;
            found
                .ok_or_else(|| Refused("the input has no task id to sign: give one with --task-id".to_owned()))?
                .to_string()
        }
    };
    let timestamp = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .context("the clock is before 1970")?
        .as_secs()
        .to_string();

    // An error status must not be an error of ureq: the answer to a refused callback may say why.
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
    let request = agent
        .post(&args.url)
        .header("content-type", "application/json")
        .header(TIMESTAMP_HEADER, &timestamp)
        .header(SIGNATURE_HEADER, key.sign(&task_id, &timestamp));
    let mut response = request
        .send(&body)
        .with_context(|| format!("cannot post to {}", args.url))?;
    let status = response.status();
    let answer = response.body_mut().read_to_string().unwrap_or_default();
    match status.as_u16() {
        200 => {
            println!("{status}  {answer}");
            Ok(())
        }
        401 => Err(Refused(format!(
            "{status}: {answer}\nThe key is not one of the two that the stack accepts, or this machine's clock is wrong."
        ))
        .into()),
        400..500 => Err(Refused(format!("{status}: {answer}")).into()),
        _ => Err(anyhow!(
            "{status}: {answer}\nThe server cannot accept the callback now. The provider would try again."
        )),
    }
}
