//! What the commands for a deployed stack share: where the stack is, credentials, clients, help.

use std::{collections::HashMap, time::Duration};

use anyhow::anyhow;
use aws_config::{Region, SdkConfig};
use aws_sdk_cloudformation::error::{ProvideErrorMetadata as _, SdkError};
use clap::builder::NonEmptyStringValueParser;
use midihook::{
    aws::config::{self, Timeouts},
    aws::error::Reason,
    aws::queue::Queue,
    bucket::Bucket,
};

use crate::Refused;

/// The end of a command's help: examples, and where the names of the stack's resources and the credentials come from.
macro_rules! help {
    ($examples:expr) => {
        concat!(
            "Examples:\n",
            $examples,
            "\n\nThe stack is found by its name: --stack, or MIDIHOOK_STACK, or else midihook. MIDIHOOK_BUCKET,\n",
            "MIDIHOOK_CALLBACK_URL, MIDIHOOK_RENDER_QUEUE_URL, MIDIHOOK_DEAD_LETTER_QUEUE_URL and MIDIHOOK_WATCH_QUEUE_URL\n",
            "are used instead, if they are set and --stack is not given; the stack's output CommandLine sets them.\n",
            "Credentials and region come from where every AWS tool reads them: the environment, --profile and --region,\n",
            "~/.aws (also SSO, after `aws sso login`, and credential_process), and the role of the machine.\n",
            "Exit codes: see midihook --help."
        )
    };
}
pub(crate) use help;

/// Where --help lists the options that say which stack.
pub const HEADING: &str = "The stack";

/// Which stack, in which AWS account and region.
#[derive(clap::Args)]
#[command(next_help_heading = HEADING)]
pub struct Place {
    /// The name of the stack [default: MIDIHOOK_STACK, or midihook]
    #[arg(long, value_name = "NAME", value_parser = name())]
    stack: Option<String>,
    /// The profile in ~/.aws to take credentials and region from [default: AWS_PROFILE, or "default"]
    #[arg(long, value_parser = name())]
    profile: Option<String>,
    /// The region of the stack [default: AWS_REGION, or the profile's]
    #[arg(long, value_parser = name())]
    region: Option<String>,
}

/// The same, for commands that need no more than the names of its resources.
#[derive(clap::Args)]
#[command(next_help_heading = HEADING)]
pub struct StackArgs {
    #[command(flatten)]
    place: Place,
    /// Its bucket, instead of looking for it [default: MIDIHOOK_BUCKET]
    #[arg(long, value_parser = name())]
    bucket: Option<String>,
}

/// The default name of a stack.
const STACK: &str = "midihook";

/// A stack that commands work on.
pub struct Stack {
    config: SdkConfig,
    name: String,
    /// Whether the command line says which stack. It decides before the environment does.
    is_named: bool,
    bucket: String,
    /// What the stack says about itself, once we had to ask.
    outputs: Option<HashMap<String, String>>,
}

/// What a stack has one of: the name of its output, and of the variable that replaces it.
struct Resource {
    output: &'static str,
    variable: &'static str,
}

const BUCKET: Resource = Resource {
    output: "BucketName",
    variable: "MIDIHOOK_BUCKET",
};

const RENDER_QUEUE: Resource = Resource {
    output: "RenderQueueUrl",
    variable: "MIDIHOOK_RENDER_QUEUE_URL",
};

const DEAD_LETTER_QUEUE: Resource = Resource {
    output: "RenderDeadLetterQueueUrl",
    variable: "MIDIHOOK_DEAD_LETTER_QUEUE_URL",
};

const WATCH_QUEUE: Resource = Resource {
    output: "WatchQueueUrl",
    variable: "MIDIHOOK_WATCH_QUEUE_URL",
};

const CALLBACK: Resource = Resource {
    output: "CallbackUrl",
    variable: "MIDIHOOK_CALLBACK_URL",
};

impl StackArgs {
    /// Finds the stack.
    pub async fn find(&self) -> anyhow::Result<Stack> {
        let mut stack = Stack {
            config: self.place.config().await?,
            name: self.place.name(),
            is_named: self.place.stack.is_some(),
            bucket: String::new(),
            outputs: None,
        };
        stack.bucket = stack.resource(self.bucket.as_deref(), &BUCKET).await?;
        Ok(stack)
    }
}

impl Place {
    /// The name of the stack.
    pub fn name(&self) -> String {
        let name = self.stack.clone().or_else(|| variable("MIDIHOOK_STACK"));
        name.unwrap_or_else(|| STACK.to_owned())
    }

    /// The options with which another command works in this account and region.
    pub fn options(&self, region: &str) -> String {
        let profile = self.profile.iter().map(|profile| format!(" --profile {profile}"));
        format!(" --region {region}{}", profile.collect::<String>())
    }

    /// The configuration of all clients.
    pub async fn config(&self) -> anyhow::Result<SdkConfig> {
        let timeouts = Timeouts {
            operation: Duration::from_secs(60),
            attempt: Duration::from_secs(20),
            tries: 5,
        };
        let mut loader = config::loader(timeouts);
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

impl Stack {
    /// Its bucket.
    pub fn bucket(&self) -> Bucket {
        Bucket::new(config::s3(&self.config), self.bucket.clone())
    }

    /// The URL of its render queue, unless the command line has another.
    pub async fn render_queue(&mut self, given: Option<&str>) -> anyhow::Result<String> {
        self.url(given, &RENDER_QUEUE).await
    }

    /// The URL of its dead-letter queue, unless the command line has another.
    pub async fn dead_letter_queue(&mut self, given: Option<&str>) -> anyhow::Result<String> {
        self.url(given, &DEAD_LETTER_QUEUE).await
    }

    /// The URL of its watch queue, unless the command line has another.
    pub async fn watch_queue(&mut self, given: Option<&str>) -> anyhow::Result<String> {
        self.url(given, &WATCH_QUEUE).await
    }

    /// The URL where it takes callbacks, unless the command line has another.
    pub async fn callback_url(&mut self, given: Option<&str>) -> anyhow::Result<String> {
        self.url(given, &CALLBACK).await
    }

    /// A queue.
    pub fn queue(&self, url: &str) -> Queue {
        Queue::new(self.sqs(), url.to_owned())
    }

    /// A client of SQS.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    async fn url(&mut self, given: Option<&str>, resource: &Resource) -> anyhow::Result<String> {
        let url = self.resource(given, resource).await?;
        // Jobs about one stack's bucket must not go to another stack's queue, nor its jobs be taken for foreign ones, and
        // callbacks must come to the bucket in which they are searched for.
        if let Some(outputs) = &self.outputs {
            let is_its = |name: &str, resource: &Resource| outputs.get(resource.output).is_none_or(|its| its == name);
            if !is_its(&self.bucket, &BUCKET) || given.is_none() && !is_its(&url, resource) {
                let why = format!(
                    "the bucket {} and {url} are not of one stack: set both {} and {}, or name the stack with --stack",
                    self.bucket, BUCKET.variable, resource.variable
                );
                return Err(Refused(why).into());
            }
        }
        Ok(url)
    }

    /// The name of a resource: from the command line, the environment, or the stack.
    async fn resource(&mut self, given: Option<&str>, resource: &Resource) -> anyhow::Result<String> {
        if let Some(given) = given {
            return Ok(given.to_owned());
        }
        if let Some(set) = variable(resource.variable).filter(|_| !self.is_named) {
            return Ok(set);
        }
        let outputs = match self.outputs.take() {
            Some(outputs) => outputs,
            None => self.describe().await?,
        };
        let outputs = self.outputs.insert(outputs);
        outputs.get(resource.output).cloned().ok_or_else(|| {
            anyhow!(
                "the stack {} has no output {}: it is not a midihook stack, or it is not deployed to its end. Name another \
                 with --stack, or set {}",
                self.name,
                resource.output,
                resource.variable
            )
        })
    }

    /// Asks CloudFormation for the outputs of the stack.
    async fn describe(&self) -> anyhow::Result<HashMap<String, String>> {
        let otherwise = format!(
            "; setting {} and the other names makes that unnecessary",
            BUCKET.variable
        );
        let outputs = describe(&self.config, &self.name, &otherwise)
            .await?
            .outputs
            .unwrap_or_default();
        let pairs = outputs
            .into_iter()
            .map(|output| output.output_key.zip(output.output_value));
        Ok(pairs.flatten().collect())
    }
}

/// Asks CloudFormation about a stack. If it cannot be asked, the error says what to do `otherwise`.
pub async fn describe(
    config: &SdkConfig,
    name: &str,
    otherwise: &str,
) -> anyhow::Result<aws_sdk_cloudformation::types::Stack> {
    let client = aws_sdk_cloudformation::Client::new(config);
    let described = client.describe_stacks().stack_name(name).send().await;
    let region = config.region().map_or("", Region::as_ref);
    let missing = format!(
        "there is no stack {name} in {region}: name it with --stack, its region with --region, or its account with --profile"
    );
    let described = described.map_err(|error| {
        let what = match &error {
            // CloudFormation has no other code for this.
            SdkError::ServiceError(answer) if answer.err().code() == Some("ValidationError") => missing.clone(),
            _ => format!("cannot look for the stack {name} in {region} (cloudformation:DescribeStacks){otherwise}"),
        };
        anyhow::Error::new(Reason::from(error)).context(what)
    })?;
    let stack = described.stacks.unwrap_or_default().into_iter().next();
    stack.ok_or_else(|| anyhow!(missing))
}

/// A variable of the environment, unless it is empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The name of a resource. We refuse an empty one, because AWS's own error for it does not say what is wrong.
pub fn name() -> NonEmptyStringValueParser {
    NonEmptyStringValueParser::new()
}
