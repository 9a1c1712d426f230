//! JSON logs and embedded metrics. Both go to standard output, where Lambda picks them up.

use std::time::SystemTime;

use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;

use crate::time::since_epoch;

/// The CloudWatch namespace of the metrics.
pub const NAMESPACE: &str = "midihook";

/// Starts JSON logs at the level in `AWS_LAMBDA_LOG_LEVEL`, which Lambda sets; the default is INFO. Each line has the
/// request id, from the Lambda runtime's span.
pub fn init() {
    let setting = std::env::var("AWS_LAMBDA_LOG_LEVEL").ok();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(level(setting.as_deref()))
        .with_target(false)
        .with_current_span(false)
        .init();
}

/// Never below INFO. At DEBUG the Lambda runtime logs whole events, with signature and body, and the SDK logs its
/// requests.
fn level(setting: Option<&str>) -> LevelFilter {
    let asked = setting.and_then(|level| level.parse().ok());
    asked.unwrap_or(LevelFilter::INFO).min(LevelFilter::INFO)
}

/// The unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
}

/// Writes numbers as CloudWatch metrics of this function, and words in the same log line.
///
/// The words (a reason, a state, a task) are not dimensions, because each value of a dimension would be another metric,
/// at a price. Logs Insights can query the words. Outside Lambda this writes nothing.
///
/// Source: CloudWatch user guide, "Embedded metric format specification".
pub fn emit(metrics: &[(&str, Unit, f64)], words: &[(&str, &str)]) {
    if let Ok(function) = std::env::var("AWS_LAMBDA_FUNCTION_NAME") {
        println!("{}", line(metrics, words, &function, SystemTime::now()));
    }
}

fn line(metrics: &[(&str, Unit, f64)], words: &[(&str, &str)], function: &str, now: SystemTime) -> Value {
    let names: Vec<Value> = metrics
        .iter()
        .map(|(name, unit, _)| json!({"Name": name, "Unit": format!("{unit:?}")}))
        .collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": u64::try_from(since_epoch(now).as_millis()).unwrap_or(u64::MAX),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [["FunctionName"]], "Metrics": names}],
        },
        "FunctionName": function,
    });
    for (name, _, number) in metrics {
        line[*name] = json!(number);
    }
    for (name, word) in words {
        line[*name] = json!(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_never_below_info() {
        for (setting, expected) in [
            (None, LevelFilter::INFO),
            (Some("TRACE"), LevelFilter::INFO),
            (Some("DEBUG"), LevelFilter::INFO),
            (Some("FATAL"), LevelFilter::INFO),
            (Some("WARN"), LevelFilter::WARN),
            (Some("error"), LevelFilter::ERROR),
        ] {
            assert_eq!(level(setting), expected, "{setting:?}");
        }
    }

    #[test]
    fn a_line_has_the_embedded_metric_format() {
        let metrics = [
            ("RejectedCallbacks", Unit::Count, 1.0),
            ("AckTime", Unit::Milliseconds, 2.5),
        ];
        let line = line(&metrics, &[("reason", "Stale")], "receiver", SystemTime::UNIX_EPOCH);
        assert_eq!(
            line,
            json!({
                "_aws": {"Timestamp": 0, "CloudWatchMetrics": [{
                    "Namespace": "midihook",
                    "Dimensions": [["FunctionName"]],
                    "Metrics": [
                        {"Name": "RejectedCallbacks", "Unit": "Count"},
                        {"Name": "AckTime", "Unit": "Milliseconds"},
                    ],
                }]},
                "FunctionName": "receiver",
                "RejectedCallbacks": 1.0,
                "AckTime": 2.5,
                "reason": "Stale",
            })
        );
    }
}
