//! JSON logs and embedded metrics, both on standard output, where Lambda picks them up.

use std::time::SystemTime;

use tracing::level_filters::LevelFilter;

use crate::archive::since_epoch;

/// The CloudWatch namespace of the metrics.
pub const NAMESPACE: &str = "midihook";

/// Starts JSON logs, from the level that Lambda's own setting `AWS_LAMBDA_LOG_LEVEL` names (INFO
/// without one). Each line has the request id, from the runtime's span.
pub fn init() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL")
        .ok()
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(level)
        .with_target(false)
        .with_current_span(false)
        .init();
}

/// Counts one event of a kind, as a CloudWatch metric with the function's name for its dimension.
///
/// `detail` is a word for the log line; it is not a dimension, so that it costs nothing.
/// Source: CloudWatch user guide, "Embedded metric format specification".
pub fn count(metric: &str, detail: &str) {
    let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|_| "local".to_owned());
    let line = metric_line(metric, detail, &function, SystemTime::now());
    println!("{line}");
}

fn metric_line(metric: &str, detail: &str, function: &str, now: SystemTime) -> serde_json::Value {
    let timestamp = u64::try_from(since_epoch(now).as_millis()).unwrap_or(u64::MAX);
    serde_json::json!({
        "_aws": {
            "Timestamp": timestamp,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["FunctionName"]],
                "Metrics": [{"Name": metric, "Unit": "Count"}],
            }],
        },
        "FunctionName": function,
        metric: 1,
        "detail": detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_line_has_the_embedded_metric_format() {
        let line = metric_line("RejectedCallbacks", "Stale", "receiver", SystemTime::UNIX_EPOCH);
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"],
            "RejectedCallbacks"
        );
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            serde_json::json!([["FunctionName"]])
        );
        assert_eq!(
            (&line["RejectedCallbacks"], &line["FunctionName"]),
            (&1.into(), &"receiver".into())
        );
    }
}
