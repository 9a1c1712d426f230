//! The configuration of all AWS clients: one connection pool, one TLS stack, time-outs, where AWS is.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, environment::credentials::EnvironmentVariableCredentialsProvider,
    retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::env::Env;

/// The roots of Amazon Trust Services, which sign the certificates of AWS (https://www.amazontrust.com/repository/). AWS
/// asks programs that have roots of their own to have these five. The first expires in December 2037.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon_roots.pem");

/// The variables that say where AWS is, or whom to trust.
const ELSEWHERE: [&str; 6] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
];

/// How long we wait for a call to AWS.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// The limit for all tries together.
    pub operation: Duration,
    /// The limit for each try.
    pub attempt: Duration,
    /// How many tries there are at most.
    pub tries: u32,
}

impl Timeouts {
    /// The time-outs for the SDK.
    pub fn config(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }

    /// The tries for the SDK. The delay before the second is up to a quarter of a second, before each further one up to twice
    /// as long. The SDK would begin with a second, which would leave the receiver no time for its third try.
    pub fn retries(self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(self.tries)
            .with_initial_backoff(Duration::from_millis(250))
    }
}

/// Whose signature on the certificate of a server we trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// All that this system trusts, or the file or folder that `SSL_CERT_FILE` or `SSL_CERT_DIR` names.
    System,
    /// Only the roots of AWS. Reading some hundred others would take most of the processor time of a cold start.
    Amazon,
}

impl Trust {
    /// What a function needs. AWS has other roots in China and in the isolated regions, and other endpoints may have any.
    fn of_function(env: &Env) -> Self {
        let is_set = |name: &&str| env.get(name).is_some();
        let region = env.get("AWS_REGION").unwrap_or_default();
        let usual = ["us-", "eu-", "ap-", "ca-", "sa-", "me-", "af-", "il-", "mx-"];
        let is_usual = usual.iter().any(|begin| region.starts_with(begin)) && !region.contains("iso");
        if is_usual && !ELSEWHERE.iter().any(is_set) {
            Self::Amazon
        } else {
            Self::System
        }
    }

    fn https(self) -> SharedHttpClient {
        let roots = match self {
            Self::System => TrustStore::default(),
            Self::Amazon => TrustStore::empty().with_pem_certificate(AMAZON_ROOTS),
        };
        let context = TlsContext::builder()
            .with_trust_store(roots)
            .build()
            .unwrap_or_default();
        Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(context)
            .build_https()
    }
}

/// The configuration of a command: region and credentials from wherever the AWS CLI looks for them. The caller can add
/// to it before it is loaded.
pub fn loader(timeouts: Timeouts) -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(Trust::System.https())
        .timeout_config(timeouts.config())
        .retry_config(timeouts.retries())
}

/// The configuration of a function. Lambda puts its region and its credentials into its environment; the endpoint of a
/// local stack is in `AWS_ENDPOINT_URL`, or in `AWS_ENDPOINT_URL_S3` and the like. The loader above would look in a dozen
/// other places, and is a fifth of the program.
pub fn of_function(timeouts: Timeouts, env: &Env) -> SdkConfig {
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(env.get("AWS_REGION").map(|region| Region::new(region.to_owned())))
        .credentials_provider(SharedCredentialsProvider::new(
            EnvironmentVariableCredentialsProvider::new(),
        ))
        .service_config(Endpoints(env.clone()))
        .http_client(Trust::of_function(env).https())
        .timeout_config(timeouts.config())
        .retry_config(timeouts.retries());
    config.set_endpoint_url(env.get("AWS_ENDPOINT_URL").map(str::to_owned));
    config.build()
}

/// The variables with the endpoint of one service.
#[derive(Debug)]
struct Endpoints(Env);

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        self.0.get(&format!("{}_{service}", key.env())).map(str::to_owned)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_trusts_only_amazon_where_nothing_else_can_be_asked() {
        let trust = |variables: &[(&str, &str)]| Trust::of_function(&Env::from_iter(variables.iter().copied()));
        for region in ["us-east-1", "eu-central-2", "us-gov-west-1", "ap-southeast-5"] {
            assert_eq!(trust(&[("AWS_REGION", region)]), Trust::Amazon, "{region}");
            for elsewhere in ELSEWHERE {
                let variables = [("AWS_REGION", region), (elsewhere, "x")];
                assert_eq!(trust(&variables), Trust::System, "{elsewhere}");
            }
        }
        for region in [
            "",
            "cn-north-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "eu-isoe-west-1",
            "zz-new-1",
        ] {
            assert_eq!(trust(&[("AWS_REGION", region)]), Trust::System, "{region}");
        }
    }

    #[test]
    fn amazons_roots_can_be_read() {
        // The builder of a connector panics if one cannot.
        drop(Trust::Amazon.https());
        let text = String::from_utf8_lossy(AMAZON_ROOTS);
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 5);
    }
}
