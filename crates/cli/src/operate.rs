//! What the commands that work on a deployed stack share.

use std::{future::Future, time::Duration};

use anyhow::Context as _;
use aws_config::SdkConfig;
use clap::builder::NonEmptyStringValueParser;
use indicatif::{ProgressBar, ProgressStyle};
use midihook::{
    clients::{self, Patience},
    jobs::Queue,
};

/// The end of a command's help: examples, and where the names of a stack's resources come from.
macro_rules! help {
    ($examples:literal) => {
        concat!(
            "Examples:\n",
            $examples,
            "\n\nThe names of the stack's resources, for your shell:\n",
            "  eval \"$(aws cloudformation describe-stacks --stack-name midihook --output text \\\n",
            "    --query \"Stacks[0].Outputs[?OutputKey=='CommandLine'].OutputValue\")\"\n",
            "Credentials are read as the AWS command line reads them, but not from SSO, a login or a process. For those, first:\n",
            "  eval \"$(aws configure export-credentials --format env)\"\n",
            "Exit codes: as midihook --help lists them."
        )
    };
}
pub(crate) use help;

/// Runs a command that waits for AWS.
pub fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.context("cannot start")?.block_on(command);
    outcome.map_err(|error| {
        // The SDK's own words are of cargo features.
        if format!("{error:#}").contains("credentials") {
            error.context("there are no AWS credentials that can be read here; --help says how those of SSO can")
        } else {
            error
        }
    })
}

/// For the name of a resource: an empty one would be AWS's to refuse, in words that help nobody.
pub fn name() -> NonEmptyStringValueParser {
    NonEmptyStringValueParser::new()
}

/// The configuration from the environment.
pub async fn config() -> SdkConfig {
    clients::config(Patience {
        operation: Duration::from_secs(60),
        attempt: Duration::from_secs(20),
    })
    .await
}

pub fn queue(config: &SdkConfig, url: &str) -> Queue {
    Queue::new(aws_sdk_sqs::Client::new(config), url.to_owned())
}

/// A bar on the terminal; nothing where standard error is none.
pub fn progress(length: u64, doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {eta}");
    let bar = ProgressBar::new(length).with_message(doing);
    bar.set_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> "),
    );
    bar
}

/// A growing number on the terminal, of what has no end that is known.
pub fn counter(doing: String) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {human_pos} callbacks {elapsed}");
    ProgressBar::no_length()
        .with_message(doing)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}
