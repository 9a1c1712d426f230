//! `midihook doctor`: what is deployed, what is wrong with it, and which command mends that.

mod account;
mod checks;
mod report;

use anyhow::anyhow;

use crate::stack::place::Place;
use crate::{Refused, output::print};

use self::{account::Deployment, report::DoctorReport};

/// Say what is deployed, what is wrong with it, and which command mends that
///
/// Changes nothing, and reads no secret. For alarms and changes made by hand it prints the AWS CLI commands that show them. The
/// exit code is 0 if nothing is wrong, 3 if something is, and 1 if nothing is known to be wrong but a check failed.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub struct Args {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "\
Examples:
  midihook doctor
  midihook doctor --stack midihook --region eu-central-1
  midihook doctor --json | jq -r '.findings[] | .mend'

The stack is found by its name: --stack, or MIDIHOOK_STACK, or else midihook.
Credentials and region come from where every AWS tool reads them: the environment, --profile and --region,
~/.aws (also SSO, after `aws sso login`, and credential_process), and the role of the machine.
Exit codes: see midihook --help.";

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let account = Deployment::of(&args.place).await?;
    let report = examined(&account).await;
    let text = match args.json {
        true => serde_json::to_string(&report)? + "\n",
        false => report.text(),
    };
    print(text.as_bytes())?;
    match (report.problems(), report.unknowns()) {
        (0, 0) => Ok(()),
        (0, unknowns) => Err(anyhow!("checks that failed: {unknowns}")),
        (problems, _) => Err(Refused(format!("something is wrong; problems: {problems}")).into()),
    }
}

async fn examined(account: &Deployment) -> DoctorReport {
    let mut report = DoctorReport::of(account);
    checks::stack(account, &mut report);
    checks::version(account, &mut report);
    checks::resources(account, &mut report);
    checks::alarms(account, &mut report);
    let checks = [
        (
            "cloudformation:GetTemplateSummary",
            checks::parameters(account, &mut report).await,
        ),
        ("sqs:GetQueueAttributes", checks::queues(account, &mut report).await),
        (
            "secretsmanager:DescribeSecret",
            checks::keys(account, &mut report).await,
        ),
        (
            "s3:GetBucketNotification",
            checks::notifications(account, &mut report).await,
        ),
        ("s3:GetBucketPolicy", checks::bucket_policy(account, &mut report).await),
    ];
    for (permission, outcome) in checks {
        if let Err(error) = outcome {
            report.could_not_look(permission, &error);
        }
    }
    report
}
