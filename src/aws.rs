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

/// The configuration from the environment (region, credentials, and an endpoint in
/// `AWS_ENDPOINT_URL` for a local stack), with three tries for each call.
pub async fn config(patience: Patience) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(patience.attempt)
        .operation_timeout(patience.operation)
        .build();
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(
            Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build_https(),
        )
        .timeout_config(timeouts)
        // The usual first delay, of up to a second, would leave no time for a third try.
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(3)
                .with_initial_backoff(Duration::from_millis(250)),
        )
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
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
