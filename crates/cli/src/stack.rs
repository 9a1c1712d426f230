//! What the commands for a deployed stack share: credentials, clients, help.

use std::{future::Future, time::Duration};

use anyhow::{Context as _, anyhow};
use aws_config::{Region, SdkConfig};
use clap::builder::NonEmptyStringValueParser;
use midihook::{
    call_error::CallError,
    clients::{self, Patience},
    queue::Queue,
};

/// The end of a command's help: examples, and where the names of the stack's resources and the credentials come from.
macro_rules! help {
    ($examples:expr) => {
        concat!(
            "Examples:\n",
            $examples,
            "\n\nSet the names of the stack's resources in your shell:\n",
            "  eval \"$(aws cloudformation describe-stacks --stack-name midihook --output text \\\n",
            "    --query \"Stacks[0].Outputs[?OutputKey=='CommandLine'].OutputValue\")\"\n",
            "Credentials and region come from where every AWS tool reads them: the environment, --profile and --region,\n",
            "~/.aws (also SSO, after `aws sso login`, and credential_process), and the role of the machine.\n",
            "Exit codes: see midihook --help."
        )
    };
}
pub(crate) use help;

/// Which AWS account, and which region.
#[derive(clap::Args)]
#[command(next_help_heading = "AWS")]
pub struct Account {
    /// The profile in ~/.aws to take credentials and region from [default: AWS_PROFILE, or "default"]
    #[arg(long, value_parser = name())]
    profile: Option<String>,
    /// The region of the stack [default: AWS_REGION, or the profile's]
    #[arg(long, value_parser = name())]
    region: Option<String>,
}

impl Account {
    /// The configuration of all clients.
    pub async fn config(&self) -> anyhow::Result<SdkConfig> {
        let mut loader = clients::loader(Patience {
            operation: Duration::from_secs(60),
            attempt: Duration::from_secs(20),
        });
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let config = loader.load().await;
        if config.region().is_none() {
            return Err(anyhow!(
                "no AWS region: give --region, set AWS_REGION, or name a profile that has one"
            ));
        }
        Ok(config)
    }
}

/// Where bodies and results are.
#[derive(clap::Args)]
pub struct Bucket {
    /// The stack's bucket
    #[arg(long, env = "MIDIHOOK_BUCKET", value_parser = name())]
    pub bucket: String,
}

/// Where jobs come from and go to.
#[derive(clap::Args)]
pub struct Resources {
    #[command(flatten)]
    pub bucket: Bucket,
    /// The stack's render queue
    #[arg(long, value_name = "URL", env = "MIDIHOOK_RENDER_QUEUE_URL", value_parser = name())]
    pub render_queue_url: String,
}

/// Runs a command that waits for AWS.
pub fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(command)
}

/// What to do about an error of AWS.
pub fn advice(error: &anyhow::Error) -> Option<&'static str> {
    let call = call(error)?;
    if call.is_about_credentials() {
        return Some(
            "Log in (for SSO: aws sso login), or name a profile with --profile; --help says where credentials come from.",
        );
    }
    call.is_transient().then_some("Trying again may help.")
}

/// Whether the same command may succeed later although nobody changes anything.
pub fn is_transient(error: &anyhow::Error) -> bool {
    call(error).is_some_and(CallError::is_transient)
}

fn call(error: &anyhow::Error) -> Option<&CallError> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

/// The name of a resource. We refuse an empty one, because AWS's own error for it does not say what is wrong.
pub fn name() -> NonEmptyStringValueParser {
    NonEmptyStringValueParser::new()
}

/// A queue of the stack.
pub fn queue(config: &SdkConfig, url: &str) -> Queue {
    Queue::new(aws_sdk_sqs::Client::new(config), url.to_owned())
}
