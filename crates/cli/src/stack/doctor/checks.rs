//! The checks of `midihook doctor`: each examines one thing, and reports what is wrong and the command that fixes it.

use std::time::SystemTime;

use aws_sdk_cloudformation::types::StackStatus;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_sqs::{operation::get_queue_attributes::GetQueueAttributesError, types::QueueAttributeName};
use midihook::aws::{config, error::Reason};
use serde_json::Value;

use super::{
    account::Deployment,
    report::{DoctorReport, Messages, StoredKey},
};

/// How what was changed by hand is found and undone.
const UNDO: &str = "undo what was changed by hand: docs/runbook.md#undo-a-change-made-by-hand";

/// What the functions need to do their work.
const RESOURCES: [&str; 11] = [
    "Api",
    "ReceiverFunction",
    "ReconcilerFunction",
    "RendererFunction",
    "RenderQueue",
    "RenderDeadLetterQueue",
    "ResultsQueue",
    "WatchQueue",
    "WatchDeadLetterQueue",
    "ArrivalsRule",
    "WebhookKey",
];

/// Whether the last deployment came to its end.
pub fn stack(account: &Deployment, report: &mut DoctorReport) {
    let Some(status) = account.stack.stack_status() else {
        return;
    };
    let name = &account.name;
    let reason = account.stack.stack_status_reason().unwrap_or("no reason given");
    let what = format!("the stack is in {}: {reason}", status.as_str());
    let mend = match status {
        StackStatus::CreateComplete | StackStatus::UpdateComplete | StackStatus::ImportComplete => return,
        status if status.as_str().ends_with("IN_PROGRESS") => {
            return report.unknown(what, "run this again when it has ended");
        }
        // Of the first three nothing ever worked, and nothing can be deployed before they are deleted.
        StackStatus::CreateFailed
        | StackStatus::RollbackComplete
        | StackStatus::RollbackFailed
        | StackStatus::DeleteFailed => "delete-stack",
        StackStatus::UpdateFailed => "rollback-stack",
        StackStatus::UpdateRollbackFailed => "continue-update-rollback",
        // The deployment before the last one stands. This says why the last one failed.
        _ => "describe-stack-events",
    };
    report.problem(what, account.aws(format!("cloudformation {mend} --stack-name {name}")));
}

/// Whether this command and the stack are of one release.
pub fn version(account: &Deployment, report: &mut DoctorReport) {
    let ours = env!("CARGO_PKG_VERSION");
    match account.output("Version") {
        Some(its) if its == ours => {}
        Some(its) => report.note(
            format!("the stack is midihook {its}, and this command {ours}"),
            "make deploy, or cargo install --locked --path crates/cli, in the sources of the newer one",
        ),
        None => report.note(
            format!("the stack is older than this command ({ours}): it does not know its version"),
            "make deploy",
        ),
    }
}

/// Whether the stack has what this release has.
pub fn resources(account: &Deployment, report: &mut DoctorReport) {
    let missing: Vec<&str> = RESOURCES
        .into_iter()
        .filter(|name| account.resource(name).is_none())
        .collect();
    if !missing.is_empty() {
        report.problem(format!("the stack has no {}", missing.join(", ")), "make deploy");
    }
}

/// Which parameters differ from their defaults.
pub async fn parameters(account: &Deployment, report: &mut DoctorReport) -> Result<(), Reason> {
    let cloudformation = aws_sdk_cloudformation::Client::new(&account.config);
    let summary = cloudformation
        .get_template_summary()
        .stack_name(&account.name)
        .send()
        .await?;
    for declared in summary.parameters() {
        let (Some(name), false) = (declared.parameter_key(), declared.no_echo() == Some(true)) else {
            continue;
        };
        let value = account.parameter(name).unwrap_or_default();
        if value != declared.default_value().unwrap_or_default() {
            report.parameters.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(())
}

/// How many messages wait, and whether some failed for good.
pub async fn queues(account: &Deployment, report: &mut DoctorReport) -> Result<(), Reason> {
    let sqs = aws_sdk_sqs::Client::new(&account.config);
    for (logical, url) in account.resources("Queue") {
        let get = sqs
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::All);
        let seen = match get.send().await {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetQueueAttributesError::is_queue_does_not_exist) =>
            {
                report.problem(format!("{logical} is gone"), UNDO);
                continue;
            }
            seen => seen?.attributes.unwrap_or_default(),
        };
        let count = |name| seen.get(&name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let messages = Messages {
            waiting: count(QueueAttributeName::ApproximateNumberOfMessages),
            in_work: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
            delayed: count(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
        };
        let dead = messages.waiting + messages.in_work;
        let move_back = || {
            let arn = seen.get(&QueueAttributeName::QueueArn).map_or("", String::as_str);
            account.aws(format!("sqs start-message-move-task --source-arn {arn}"))
        };
        match logical {
            "RenderDeadLetterQueue" if dead > 0 => report.problem(
                format!("jobs that failed five times: {dead}. For the cause, see docs/runbook.md#deadletteralarm"),
                account.midihook("redrive"),
            ),
            "WatchDeadLetterQueue" if dead > 0 => report.problem(
                format!(
                    "checks that failed five times: {dead}. For the cause, see docs/runbook.md#watchdeadletteralarm"
                ),
                move_back(),
            ),
            "PushDeadLetterQueue" if dead > 0 => report.problem(
                format!(
                    "pushes that failed for more than a day: {dead}. For the cause, see docs/runbook.md#pushdeadletteralarm"
                ),
                move_back(),
            ),
            _ => {}
        }
        report.queues.insert(logical.to_owned(), messages);
    }
    Ok(())
}

/// Whether the keys are there, and since when. Their values are not read.
pub async fn keys(account: &Deployment, report: &mut DoctorReport) -> Result<(), Reason> {
    let secrets = aws_sdk_secretsmanager::Client::new(&account.config);
    let no_key = "docs/runbook.md#rejectedcallbacksalarm, at NoKey";
    for (logical, store, make_again) in [
        ("WebhookKey", "docs/runbook.md#change-the-signing-key", no_key),
        ("ProviderKey", "docs/runbook.md#change-the-api-key", no_key),
        (
            "PushKey",
            "docs/runbook.md#change-the-secret-of-the-pushes",
            "docs/runbook.md#change-the-secret-of-the-pushes",
        ),
    ] {
        let Some(id) = account.resource(logical) else {
            if logical == "ProviderKey" {
                report.note(
                    "the stack has no API key of the provider: songs without a callback do not come",
                    "set the parameter ProviderApiKey: docs/runbook.md#change-the-api-key",
                );
            }
            continue;
        };
        let seen = secrets.describe_secret().secret_id(id).send().await;
        let seen = match seen {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                report.problem(format!("{logical} is gone"), make_again);
                continue;
            }
            seen => seen?,
        };
        if seen.deleted_date().is_some() {
            let restore = account.aws(format!("secretsmanager restore-secret --secret-id {id}"));
            report.problem(format!("{logical} is marked for deletion"), restore);
        }
        let stages = seen
            .version_ids_to_stages()
            .into_iter()
            .flat_map(|versions| versions.values().flatten());
        if !stages.into_iter().any(|stage| stage == "AWSCURRENT") {
            report.problem(format!("{logical} holds no key"), store);
        }
        let stored = seen.last_changed_date().or(seen.created_date());
        if let Some(at) = stored.and_then(|at| SystemTime::try_from(*at).ok()) {
            report.keys.insert(logical.to_owned(), StoredKey::stored(at));
        }
    }
    Ok(())
}

/// Whether arrivals are announced, so that a lost job is queued again.
pub async fn notifications(account: &Deployment, report: &mut DoctorReport) -> Result<(), Reason> {
    let Some(bucket) = account.output("BucketName") else {
        return Ok(());
    };
    let get = config::s3(&account.config)
        .get_bucket_notification_configuration()
        .bucket(bucket);
    let seen = match get.send().await {
        Err(error) if error.code() == Some("NoSuchBucket") => {
            report.problem(format!("the bucket {bucket} is gone"), UNDO);
            return Ok(());
        }
        seen => seen?,
    };
    if seen.event_bridge_configuration().is_none() {
        let is_empty = seen.topic_configurations().is_empty()
            && seen.queue_configurations().is_empty()
            && seen.lambda_function_configurations().is_empty();
        let put = "s3api put-bucket-notification-configuration --notification-configuration '{\"EventBridgeConfiguration\": {}}'";
        report.problem(
            "the bucket does not tell EventBridge what arrives: a lost job is not queued again",
            // The call replaces the whole configuration.
            if is_empty {
                account.aws(format!("{put} --bucket {bucket}"))
            } else {
                UNDO.to_owned()
            },
        );
    }
    Ok(())
}

/// Whether the bucket refuses what comes without TLS.
pub async fn bucket_policy(account: &Deployment, report: &mut DoctorReport) -> Result<(), Reason> {
    let Some(bucket) = account.output("BucketName") else {
        return Ok(());
    };
    let policy = match config::s3(&account.config)
        .get_bucket_policy()
        .bucket(bucket)
        .send()
        .await
    {
        Err(error) if matches!(error.code(), Some("NoSuchBucketPolicy" | "NoSuchBucket")) => String::new(),
        seen => seen?.policy.unwrap_or_default(),
    };
    let policy: Value = serde_json::from_str(&policy).unwrap_or_default();
    let is_denial = |statement: &Value| {
        statement["Effect"] == "Deny" && statement["Condition"]["Bool"]["aws:SecureTransport"] == "false"
    };
    if !policy["Statement"]
        .as_array()
        .is_some_and(|statements| statements.iter().any(is_denial))
    {
        report.problem("the bucket's policy does not refuse requests without TLS", UNDO);
    }
    Ok(())
}

/// Whether alarms reach a person, and how to see what only CloudWatch and CloudFormation know.
pub fn alarms(account: &Deployment, report: &mut DoctorReport) {
    let is_empty = |name| account.parameter(name).unwrap_or_default().is_empty();
    if is_empty("AlarmEmail") && is_empty("AlarmTopicArn") {
        report.note(
            "the alarms have no action: they reach no one",
            "set the parameter AlarmEmail: docs/runbook.md#change-a-parameter",
        );
    }
    let name = &account.name;
    report.commands.insert(
        "alarms in state ALARM",
        account.aws(format!(
            "cloudwatch describe-alarms --alarm-name-prefix {name}- --state-value ALARM --query MetricAlarms[].AlarmName"
        )),
    );
    report.commands.insert(
        "changes by hand",
        account.aws(format!("cloudformation detect-stack-drift --stack-name {name}")),
    );
}
