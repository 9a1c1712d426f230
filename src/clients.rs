//! What all AWS clients share: one connection pool, one TLS stack, and time-outs.

use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
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
/// `AWS_ENDPOINT_URL`. The caller can add to it before it is loaded.
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
