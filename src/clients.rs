//! What all AWS clients share: one connection pool, one TLS stack, and time-outs.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};

/// How long one call may take, all tries together, and each of them.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// All tries together.
    pub operation: Duration,
    /// One try.
    pub attempt: Duration,
}

/// The receiver's: its three calls in a row, each with three tries, end within
/// [`crate::receiver::DEADLINE`] unless most of them are slow.
pub const RECEIVER: Patience = Patience {
    operation: Duration::from_secs(4),
    attempt: Duration::from_millis(1500),
};
/// The renderer's: nobody waits for it.
pub const RENDERER: Patience = Patience {
    operation: Duration::from_secs(15),
    attempt: Duration::from_secs(5),
};

impl Patience {
    /// The SDK's time-outs.
    pub fn timeouts(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }
}

/// Three tries for each call. The SDK's usual first delay, of up to a second, would leave the receiver
/// no time for the third.
pub fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(250))
}

/// The configuration from the environment (region, credentials, and an endpoint in
/// `AWS_ENDPOINT_URL` for a local stack), with three tries for each call.
pub async fn config(patience: Patience) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(
            Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build_https(),
        )
        .timeout_config(patience.timeouts())
        .retry_config(retries())
        .load()
        .await
}

/// An S3 client. A local stack has no host names for buckets, so that there the bucket is in the path.
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let path_style = config.endpoint_url().is_some();
    aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(config)
            .force_path_style(path_style)
            .build(),
    )
}

/// What went wrong with a call, in one line for the log: the service's code and message, or what
/// kept the call from reaching it.
pub fn reason<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E>) -> String {
    if let Some(code) = error.code() {
        return format!("{code}: {}", error.message().unwrap_or("(no message)"));
    }
    // The answer to a HEAD has no body, and so no code.
    if let SdkError::ServiceError(error) = error {
        return format!("HTTP {}", error.raw().status());
    }
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
