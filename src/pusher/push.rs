//! One signed push over HTTPS.
//!
//! How it is signed is in [`super::webhooks`].

use std::{error::Error, fmt, str::FromStr, time::Duration};

use aws_sdk_s3::{config::http::HttpRequest, primitives::SdkBody};
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use thiserror::Error;
use tokio::time::timeout;

use super::webhooks::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use crate::provider::{USER_AGENT, retry_after, split_origin};

/// How long we wait for an answer (Standard Webhooks, "Request timeouts": 15 to 30 s).
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// Where results are pushed to. Its path and query may hold a token, so `Debug` and `Display` show only the origin.
#[derive(Clone, PartialEq, Eq)]
pub struct PushUrl {
    url: String,
    origin: String,
}

/// Why a text is not a [`PushUrl`]. Does not quote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it must be https:// and a host, perhaps with a port, a path and a query, without user or fragment")]
pub struct BadPushUrl;

impl FromStr for PushUrl {
    type Err = BadPushUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (origin, rest) = split_origin(text).ok_or(BadPushUrl)?;
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/.-_~%!$&'()*+,;=:@?".contains(&byte);
        rest.bytes()
            .all(is_allowed)
            .then(|| Self {
                url: text.to_owned(),
                origin: origin.to_owned(),
            })
            .ok_or(BadPushUrl)
    }
}

impl fmt::Display for PushUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl fmt::Debug for PushUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PushUrl({self}…)")
    }
}

/// Why a result was not pushed.
#[derive(Debug, Error)]
pub enum Unpushed {
    /// The receiver answered with something else than success.
    #[error("it answered HTTP {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What `Retry-After` asks for, however long it is.
        retry_after: Option<Duration>,
    },
    /// The receiver wants no more results.
    #[error("it answered HTTP 410: it wants no more results. If that is right, empty the parameter PushUrl")]
    Gone,
    /// There was no answer.
    #[error("it did not answer")]
    Unanswered(#[source] Box<dyn Error + Send + Sync>),
    /// There was no answer in time.
    #[error("it did not answer within {} s", TIMEOUT.as_secs())]
    TooSlow,
    /// The request could not be built.
    #[error("the request cannot be built")]
    Build(#[source] Box<dyn Error + Send + Sync>),
}

/// What is pushed, with the content of its headers.
#[derive(Debug)]
pub struct Push {
    /// Names the result.
    pub id: String,
    /// The time of this try, in Unix seconds.
    pub timestamp: u64,
    /// The signatures.
    pub signatures: String,
    /// The result document.
    pub body: Vec<u8>,
}

impl Push {
    /// Sends this once. Follows no redirect: the answer must be one of success.
    ///
    /// # Errors
    /// If it is not, or if there is none within [`TIMEOUT`].
    pub async fn send(self, http: &SharedHttpConnector, url: &PushUrl) -> Result<(), Unpushed> {
        let request = self.request(url).map_err(Unpushed::Build)?;
        let answer = timeout(TIMEOUT, http.call(request)).await;
        let answer = answer.map_err(|_| Unpushed::TooSlow)?;
        let answer = answer.map_err(|error| Unpushed::Unanswered(error.into()))?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            410 => Err(Unpushed::Gone),
            status => Err(Unpushed::Refused {
                status,
                retry_after: retry_after(answer.headers()),
            }),
        }
    }

    fn request(self, url: &PushUrl) -> Result<HttpRequest, Box<dyn Error + Send + Sync>> {
        let mut http = HttpRequest::new(SdkBody::from(self.body));
        http.set_method("POST")?;
        http.set_uri(url.url.as_str())?;
        let headers = http.headers_mut();
        headers.try_insert("content-type", "application/json")?;
        headers.try_insert("user-agent", USER_AGENT)?;
        headers.try_insert(ID_HEADER, self.id)?;
        headers.try_insert(TIMESTAMP_HEADER, self.timestamp.to_string())?;
        headers.try_insert(SIGNATURE_HEADER, self.signatures)?;
        Ok(http)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_shows_only_its_origin() {
        for (text, origin) in [
            ("https://example.com", "https://example.com"),
            ("https://example.com/", "https://example.com"),
            (
                "https://example.com:8443/hooks/t0ken?key=t0ken&x=%20",
                "https://example.com:8443",
            ),
            ("http://localhost:8080/t0ken", "http://localhost:8080"),
            ("http://127.9.9.9/?t0ken", "http://127.9.9.9"),
        ] {
            let url = text.parse::<PushUrl>();
            assert_eq!(url.as_ref().map(ToString::to_string), Ok(origin.to_owned()));
            assert!(!format!("{url:?}").contains("t0ken"));
            assert!(url.is_ok_and(|url| url.url == text));
        }
        for bad in [
            "",
            "example.com",
            "http://example.com/",
            "https://user:password@example.com/",
            "https://example.com?x",
            "https://example.com/#x",
            "https://example.com/a b",
            "https://example.com/\r\nx: y",
            "https://example.com/é",
        ] {
            assert_eq!(bad.parse::<PushUrl>(), Err(BadPushUrl), "{bad:?}");
        }
    }
}
