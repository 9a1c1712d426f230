//! Why a call to AWS failed, and whether trying again helps.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

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
    /// The service refused some entries of a batch.
    #[error("{failed} failed, the first with {code}")]
    Partly {
        /// How many entries failed.
        failed: usize,
        /// The error code of the first failure.
        code: String,
        /// Whether the service would refuse all of them again.
        permanent: bool,
    },
    /// Other writers were faster at each of our tries.
    #[error("other writers were always first")]
    Raced(#[source] Box<CallError>),
    /// There are no credentials to sign the call with.
    #[error("no usable AWS credentials")]
    Credentials(#[source] Box<dyn Error + Send + Sync>),
    /// There was no answer, or only a part of one: no connection, or not in time.
    #[error("no complete answer")]
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

impl CallError {
    /// Whether the same call may succeed later although nobody changes anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Answered { code, status, .. } => {
                code.as_deref().is_some_and(is_transient_code) || *status >= 500 || matches!(status, 409 | 412 | 429)
            }
            Self::Partly { permanent, .. } => !permanent,
            Self::Raced(_) | Self::Unanswered(_) => true,
            Self::Credentials(_) | Self::Unsent(_) => false,
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

    /// A failure before anything was sent.
    pub(crate) fn unsent(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unsent(error.into())
    }
}

/// Whether a service asks with this code to try again later.
pub(crate) fn is_transient_code(code: &str) -> bool {
    code == KMS_THROTTLED || THROTTLING_ERRORS.contains(&code) || TRANSIENT_ERRORS.contains(&code)
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
            error if lacks_credentials(&error) => Self::Credentials(error.into()),
            SdkError::ConstructionFailure(_) => Self::Unsent(error.into()),
            error => Self::Unanswered(error.into()),
        }
    }
}

/// Whether no provider has credentials. A provider that did not answer in time may have some later.
fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut reasons = causes(error).filter_map(|cause| cause.downcast_ref::<CredentialsError>());
    reasons.any(|reason| !matches!(reason, CredentialsError::ProviderTimedOut(_)))
}

/// An error and its causes, outermost first.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
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

    fn partly(permanent: bool) -> CallError {
        CallError::Partly {
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
            (CallError::Raced(Box::new(answered(Some("NoSuchKey"), 404))), true),
            (partly(false), true),
            (partly(true), false),
            (CallError::Unanswered("refused".into()), true),
            (CallError::Credentials("none".into()), false),
            (CallError::Unsent("odd".into()), false),
        ] {
            assert_eq!(error.is_transient(), transient, "{error:?}");
        }
    }

    #[test]
    fn an_error_says_whether_it_is_about_credentials() {
        for (error, expected) in [
            (CallError::Credentials("none".into()), true),
            (answered(Some("ExpiredToken"), 400), true),
            (answered(Some("SignatureDoesNotMatch"), 403), true),
            (answered(Some("AccessDenied"), 403), false),
            (answered(None, 403), false),
            (CallError::Unanswered("refused".into()), false),
        ] {
            assert_eq!(error.is_about_credentials(), expected, "{error:?}");
        }
    }

    #[test]
    fn an_error_is_one_line_with_its_causes() {
        for (error, line) in [
            (answered(Some("NoSuchBucket"), 404), "NoSuchBucket: (no message)"),
            (answered(None, 403), "HTTP 403"),
            (CallError::Unanswered("refused".into()), "no complete answer: refused"),
            (
                CallError::Raced(Box::new(answered(None, 409))),
                "other writers were always first: HTTP 409",
            ),
        ] {
            assert_eq!(in_one_line(&error), line);
        }
    }
}
