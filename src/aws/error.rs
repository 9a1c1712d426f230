//! Why a call to AWS failed, and whether trying again helps.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

/// A call to AWS that failed: what could not be done, and why.
#[derive(Debug, thiserror::Error)]
#[error("{service} could not {operation}{}", advice(reason))]
pub struct Error {
    service: &'static str,
    operation: String,
    #[source]
    reason: Reason,
}

impl Error {
    /// `service` could not do `operation`, a verb and its object.
    pub fn new(service: &'static str, operation: impl Into<String>, reason: impl Into<Reason>) -> Self {
        Self {
            service,
            operation: operation.into(),
            reason: reason.into(),
        }
    }

    /// The service, as people call it.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// Whether the same call may succeed later by itself.
    pub fn is_transient(&self) -> bool {
        self.reason.is_transient()
    }
}

/// What to do if the bucket itself is wrong. S3 answers 301 if it is in another region; the answer to a HEAD has no code.
fn advice(reason: &Reason) -> &'static str {
    match reason {
        Reason::Answered { code, status, .. } if *status == 301 || code.as_deref() == Some("NoSuchBucket") => {
            ", which is not in this region (check the stack's parameter BucketName)"
        }
        _ => "",
    }
}

/// Why a call to AWS failed.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The service answered with an error.
    #[error("{}", answer(code.as_deref(), message.as_deref(), *status))]
    Answered {
        /// The service's error code; `None` in the answer to a HEAD, which has no body.
        code: Option<String>,
        /// The service's message.
        message: Option<String>,
        /// The HTTP status.
        status: u16,
    },
    /// The service refused some entries of a batch.
    #[error("{failed} failed, the first with {code}")]
    Batch {
        /// How many entries failed.
        failed: usize,
        /// The error code of the first failure.
        code: String,
        /// Whether the service would refuse all of them again.
        permanent: bool,
    },
    /// Other writers were faster at each of our tries.
    #[error("other writers were always first")]
    Conflict(#[source] Box<Reason>),
    /// There are no credentials to sign the call with.
    #[error("no usable AWS credentials")]
    Credentials(#[source] Box<dyn StdError + Send + Sync>),
    /// There was no answer, or only a part of one: no connection, or not in time.
    #[error("no complete answer")]
    Unanswered(#[source] Box<dyn StdError + Send + Sync>),
    /// The request could not be built.
    #[error("the request cannot be built")]
    Build(#[source] Box<dyn StdError + Send + Sync>),
}

fn answer(code: Option<&str>, message: Option<&str>, status: u16) -> String {
    match code {
        Some(code) => format!("{code}: {}", message.unwrap_or("(no message)")),
        None => format!("HTTP {status}"),
    }
}

/// The code with which SQS reports throttling by KMS. The SDK's lists do not have it.
const KMS_THROTTLED: &str = "KmsThrottled";

/// The codes of answers to credentials that are expired, unknown, or do not fit their secret (AWS general reference,
/// "Common errors"; S3 API reference, "Error responses").
const CREDENTIALS: [&str; 8] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

impl Reason {
    /// Whether the same call may succeed later by itself.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Answered { code, status, .. } => {
                code.as_deref().is_some_and(is_transient_code) || *status >= 500 || matches!(status, 409 | 412 | 429)
            }
            Self::Batch { permanent, .. } => !permanent,
            Self::Conflict(_) | Self::Unanswered(_) => true,
            Self::Credentials(_) | Self::Build(_) => false,
        }
    }

    /// Whether other credentials are needed.
    pub fn is_about_credentials(&self) -> bool {
        match self {
            Self::Credentials(_) => true,
            Self::Answered { code: Some(code), .. } => CREDENTIALS.contains(&code.as_str()),
            _ => false,
        }
    }
}

/// Whether a service asks with this code to try again later.
pub(super) fn is_transient_code(code: &str) -> bool {
    code == KMS_THROTTLED || THROTTLING_ERRORS.contains(&code) || TRANSIENT_ERRORS.contains(&code)
}

impl<E> From<SdkError<E, HttpResponse>> for Reason
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        match error {
            SdkError::ServiceError(answer) => Self::Answered {
                code: answer.err().code().map(str::to_owned),
                message: answer.err().message().map(str::to_owned),
                status: answer.raw().status().as_u16(),
            },
            error if lacks_credentials(&error) => Self::Credentials(error.into()),
            SdkError::ConstructionFailure(_) => Self::Build(error.into()),
            error => Self::Unanswered(error.into()),
        }
    }
}

/// Whether no provider has credentials. A provider that did not answer in time may have some later.
fn lacks_credentials(error: &(dyn StdError + 'static)) -> bool {
    let mut reasons = causes(error).filter_map(|cause| cause.downcast_ref::<CredentialsError>());
    reasons.any(|reason| !matches!(reason, CredentialsError::ProviderTimedOut(_)))
}

/// An error and its causes, outermost first.
pub fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An error and its causes in one line, for a log.
pub fn in_one_line(error: &(dyn StdError + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: Option<&str>, status: u16) -> Reason {
        Reason::Answered {
            code: code.map(str::to_owned),
            message: None,
            status,
        }
    }

    fn batch(permanent: bool) -> Reason {
        Reason::Batch {
            failed: 1,
            code: "InvalidMessageContents".to_owned(),
            permanent,
        }
    }

    #[test]
    fn an_error_says_whether_trying_again_helps() {
        for (error, transient) in [
            (answered(Some("InternalError"), 500), true),
            (answered(Some("SlowDown"), 503), true),
            (answered(Some("RequestThrottled"), 400), true),
            (answered(Some("ThrottlingException"), 400), true),
            (answered(Some("KmsThrottled"), 400), true),
            (answered(Some("RequestTimeout"), 400), true),
            (answered(None, 429), true),
            (answered(Some("ConditionalRequestConflict"), 409), true),
            (answered(Some("AccessDenied"), 403), false),
            (answered(Some("NoSuchBucket"), 404), false),
            (answered(None, 403), false),
            (Reason::Conflict(Box::new(answered(Some("NoSuchKey"), 404))), true),
            (batch(false), true),
            (batch(true), false),
            (Reason::Unanswered("refused".into()), true),
            (Reason::Credentials("none".into()), false),
            (Reason::Build("odd".into()), false),
        ] {
            assert_eq!(error.is_transient(), transient, "{error:?}");
        }
    }

    #[test]
    fn an_error_says_whether_it_is_about_credentials() {
        for (error, expected) in [
            (Reason::Credentials("none".into()), true),
            (answered(Some("ExpiredToken"), 400), true),
            (answered(Some("SignatureDoesNotMatch"), 403), true),
            (answered(Some("AccessDenied"), 403), false),
            (answered(None, 403), false),
            (Reason::Unanswered("refused".into()), false),
        ] {
            assert_eq!(error.is_about_credentials(), expected, "{error:?}");
        }
    }

    #[test]
    fn an_error_is_one_line_with_its_causes() {
        for (error, line) in [
            (answered(Some("NoSuchBucket"), 404), "NoSuchBucket: (no message)"),
            (answered(None, 403), "HTTP 403"),
            (Reason::Unanswered("refused".into()), "no complete answer: refused"),
            (
                Reason::Conflict(Box::new(answered(None, 409))),
                "other writers were always first: HTTP 409",
            ),
        ] {
            assert_eq!(in_one_line(&error), line);
        }
    }
}
