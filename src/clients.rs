//! What all AWS clients share: one connection pool, one TLS stack, time-outs, and errors.

use std::{error::Error, time::Duration};

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};

/// How long we wait for a call to AWS.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The limit for all tries together.
    pub operation: Duration,
    /// The limit for each try.
    pub attempt: Duration,
}

/// The receiver's patience. Its three calls in a row, with three tries each, end within its deadline of 9 s unless most
/// of them are slow.
pub const RECEIVER: Patience = Patience {
    operation: Duration::from_secs(4),
    attempt: Duration::from_millis(1500),
};
/// The renderer's patience: nobody waits for its answer.
pub const RENDERER: Patience = Patience {
    operation: Duration::from_secs(15),
    attempt: Duration::from_secs(5),
};

impl Patience {
    /// The time-outs for the SDK.
    pub fn timeouts(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }
}

/// Three tries for each call. The SDK's own first delay is up to a second, which would leave the receiver no time for
/// the third try.
pub fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(250))
}

/// Reads the configuration from the environment: region, credentials, and for a local stack the endpoint in
/// `AWS_ENDPOINT_URL`.
pub async fn config(patience: Patience) -> SdkConfig {
    loader(patience).load().await
}

/// The same configuration before it is loaded, for callers that add to it.
pub fn loader(patience: Patience) -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(
            Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build_https(),
        )
        .timeout_config(patience.timeouts())
        .retry_config(retries())
}

/// An S3 client. With a custom endpoint, the bucket is in the path, because a local stack has no host names for
/// buckets.
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let path_style = config.endpoint_url().is_some();
    aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(config)
            .force_path_style(path_style)
            .build(),
    )
}

/// A call to AWS that failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service answered with an error.
    #[error("{}", said(code.as_deref(), message.as_deref(), *status))]
    Answered {
        /// The service's error code; `None` in the answer to a HEAD, which has no body.
        code: Option<String>,
        /// What the service says about it.
        message: Option<String>,
        /// The HTTP status.
        status: u16,
    },
    /// The service did only some entries of a batch.
    #[error("{failed} failed, the first with {code}")]
    Partly {
        /// How many entries of the batch failed.
        failed: usize,
        /// The error code of the first failure.
        code: String,
    },
    /// There are no credentials to sign the call with.
    #[error("no usable AWS credentials")]
    Credentials(#[source] Box<dyn Error + Send + Sync>),
    /// There was no answer: no connection, or none in time.
    #[error("no answer")]
    Unanswered(#[source] Box<dyn Error + Send + Sync>),
    /// The request could not be built.
    #[error("the request cannot be built")]
    Unsent(#[source] Box<dyn Error + Send + Sync>),
}

fn said(code: Option<&str>, message: Option<&str>, status: u16) -> String {
    match code {
        Some(code) => format!("{code}: {}", message.unwrap_or("(no message)")),
        None => format!("HTTP {status}"),
    }
}

/// The codes with which S3, SQS and Secrets Manager ask to slow down (the error pages of their API references).
const THROTTLED: [&str; 4] = ["RequestThrottled", "SlowDown", "Throttling", "ThrottlingException"];

impl CallError {
    /// Whether the same call may succeed later although nobody changes anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Answered { code, status, .. } => {
                let throttled = code.as_deref().is_some_and(|code| THROTTLED.contains(&code));
                throttled || *status >= 500 || matches!(status, 409 | 412 | 429)
            }
            Self::Partly { .. } | Self::Unanswered(_) => true,
            Self::Credentials(_) | Self::Unsent(_) => false,
        }
    }

    /// A failure before anything was sent.
    pub(crate) fn unsent(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unsent(error.into())
    }
}

impl<E> From<SdkError<E, HttpResponse>> for CallError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        match error {
            SdkError::ServiceError(answer) => Self::Answered {
                code: answer.err().code().map(str::to_owned),
                message: answer.err().message().map(str::to_owned),
                status: answer.raw().status().as_u16(),
            },
            error if causes(&error).any(|cause| cause.is::<CredentialsError>()) => Self::Credentials(error.into()),
            SdkError::ConstructionFailure(_) => Self::Unsent(error.into()),
            error => Self::Unanswered(error.into()),
        }
    }
}

/// An error and its causes, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An error and its causes in one line, for a log.
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: Option<&str>, status: u16) -> CallError {
        CallError::Answered {
            code: code.map(str::to_owned),
            message: None,
            status,
        }
    }

    #[test]
    fn an_error_says_whether_trying_again_helps() {
        for (error, transient) in [
            (answered(Some("InternalError"), 500), true),
            (answered(Some("SlowDown"), 503), true),
            (answered(Some("RequestThrottled"), 400), true),
            (answered(Some("ThrottlingException"), 400), true),
            (answered(None, 429), true),
            (answered(Some("AccessDenied"), 403), false),
            (answered(Some("NoSuchBucket"), 404), false),
            (answered(None, 403), false),
            (CallError::Unanswered("refused".into()), true),
            (CallError::Credentials("none".into()), false),
            (CallError::Unsent("odd".into()), false),
        ] {
            assert_eq!(error.is_transient(), transient, "{error:?}");
        }
    }

    #[test]
    fn an_error_is_one_line_with_its_causes() {
        assert_eq!(
            in_one_line(&answered(Some("NoSuchBucket"), 404)),
            "NoSuchBucket: (no message)"
        );
        assert_eq!(in_one_line(&answered(None, 403)), "HTTP 403");
        assert_eq!(
            in_one_line(&CallError::Unanswered("refused".into())),
            "no answer: refused"
        );
    }
}
