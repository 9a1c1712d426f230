//! The provider's API over HTTPS: polls tasks, and starts them.
//!
//! What is sent, and what an answer means, is in [`suno_midi::provider::api`].

#[cfg(feature = "functions")]
pub mod account;

use std::{error::Error, fmt, io, net::Ipv4Addr, str::FromStr, time::Duration};

use aws_sdk_s3::{
    config::http::HttpRequest,
    primitives::{ByteStream, DateTime, DateTimeFormat, SdkBody},
};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider as Tls, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::{
    client::http::{HttpConnector, SharedHttpConnector},
    http::Headers,
};
use suno_midi::{
    TaskId,
    provider::api::{self, Answer, Refusal, Report, Request},
};
use thiserror::Error;
use tokio::time::timeout;

use crate::aws::error::causes;

/// The largest answer that we read. The renderer takes no larger body either.
pub const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// An ordinary name: the network in front of the provider refuses requests without one (HTTP 403, `error code: 1010`).
pub(crate) const USER_AGENT: &str = concat!("midihook/", env!("CARGO_PKG_VERSION"));
/// A shorter key might be part of an ordinary word, so it is not searched for in answers.
const MIN_QUOTED_KEY: usize = 16;

/// The key of the provider's account. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// The key from its text, without the white space around it; `None` if the rest is not one word of printable ASCII
    /// characters, which a header could not carry.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// The base URL of the API. It is HTTPS, because the key is sent to it; or HTTP on this computer, for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUrl(String);

/// Why a text is not an [`ApiUrl`]. Does not quote the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it must be https:// and a host, perhaps with a port and a path, without user, query or fragment")]
pub struct BadApiUrl;

impl FromStr for ApiUrl {
    type Err = BadApiUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_end_matches('/');
        let (_, path) = split_origin(text).ok_or(BadApiUrl)?;
        let is_path = path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'_' | b'~'));
        is_path.then(|| Self(text.to_owned())).ok_or(BadApiUrl)
    }
}

/// Splits a URL before its path into the origin and the rest, which may be empty; `None` unless it is HTTPS, or HTTP on
/// this computer, without a user.
pub(crate) fn split_origin(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = authority
        .split_once(':')
        .map_or((authority, None), |(host, port)| (host, Some(port)));

    let is_host = host.starts_with(|c: char| c.is_ascii_alphanumeric())
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    let is_port = port
        .is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0));
    let is_here = || host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    let is_allowed = scheme == "https" || (scheme == "http" && is_here());
    (is_host && is_port && is_allowed).then(|| url.split_at(url.len() - path.len()))
}

/// How long an answer's `Retry-After` asks to wait: its number of seconds, or the time from the answer's own `Date` to its
/// date, so that it does not matter what our clock says. `None` without a usable one.
pub(crate) fn retry_after(headers: &Headers) -> Option<Duration> {
    let text = header(headers, "retry-after")?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Overflow means "very long".
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let seconds = |date: &str| Some(DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?.secs());
    let wait = seconds(text)?.saturating_sub(seconds(header(headers, "date")?)?);
    Some(Duration::from_secs(wait.try_into().unwrap_or(0)))
}

fn header<'a>(headers: &'a Headers, name: &'static str) -> Option<&'a str> {
    headers.try_get(name)?.ok()
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why the provider did not do what it was asked.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// It answered with something else.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There was no answer, or only a part of one.
    #[error("the provider sent no complete answer")]
    Unanswered(#[source] Box<dyn Error + Send + Sync>),
    /// There was no complete answer in time.
    #[error("the provider sent no complete answer in time")]
    TooSlow,
    /// The answer has more than [`MAX_ANSWER_BYTES`].
    #[error("the provider's answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    /// The request could not be built.
    #[error("the request to the provider cannot be built")]
    Build(#[source] Box<dyn Error + Send + Sync>),
}

impl ProviderError {
    /// How long to wait at least before the same poll may succeed; `None` if a person must do something first. This is
    /// about polls: a task that was to be started may have been started.
    pub fn ask_again_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.ask_again_after(),
            Self::Unanswered(_) | Self::TooSlow => Some(Duration::ZERO),
            Self::TooLarge | Self::Build(_) => None,
        }
    }

    /// Whether a task that was to be started may have been started, and the provider may charge for it.
    pub fn may_have_started(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.may_have_started(),
            Self::Unanswered(error) => !was_refused(error.as_ref()),
            Self::TooSlow | Self::TooLarge => true,
            Self::Build(_) => false,
        }
    }
}

/// True if the connection was refused, so that nothing was sent: each request has a connection of its own.
fn was_refused(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
}

/// New connections, over the TLS stack of the AWS clients.
pub fn https() -> SharedHttpConnector {
    SharedHttpConnector::new(Connector::builder().tls_provider(Tls::Rustls(CryptoMode::Ring)).build())
}

/// The provider's API, as one account uses it.
#[derive(Debug)]
pub struct Provider {
    url: ApiUrl,
    key: ApiKey,
    timeout: Duration,
    http: SharedHttpConnector,
}

impl Provider {
    /// A client over these connections, with this time-out for a complete answer. This does not connect yet.
    pub fn new(http: SharedHttpConnector, url: ApiUrl, key: ApiKey, timeout: Duration) -> Self {
        Self {
            url,
            key,
            timeout,
            http,
        }
    }

    /// Asks how a task went, once. The caller knows when it may ask again: the provider wants ten seconds between two
    /// questions about a task.
    ///
    /// # Errors
    /// If it does not say; [`ProviderError::ask_again_after`] tells how long to wait.
    pub async fn record_info(&self, task: &TaskId) -> Result<Report, ProviderError> {
        let answer = self.send(&api::record_info(task)).await?;
        Ok(api::report(task, answer)?)
    }

    /// Starts the transcription of a vocal separation that is complete: of one of its stems, or of all of them. Returns
    /// the new task.
    ///
    /// This is sent once: the provider would start another task, and may charge for it, if it had taken a request whose
    /// answer was lost.
    ///
    /// # Errors
    /// If the provider did not confirm. It [may have started](ProviderError::may_have_started) the task nevertheless.
    pub async fn generate(
        &self,
        separation: &TaskId,
        audio_id: Option<&str>,
        callback_url: &str,
    ) -> Result<TaskId, ProviderError> {
        let answer = self.send(&api::generate(separation, audio_id, callback_url)).await?;
        Ok(api::new_task(&answer)?)
    }

    async fn send(&self, request: &Request) -> Result<Answer, ProviderError> {
        let request = self.http_request(request).map_err(ProviderError::Build)?;
        timeout(self.timeout, self.exchange(request))
            .await
            .unwrap_or(Err(ProviderError::TooSlow))
    }

    fn http_request(&self, request: &Request) -> Result<HttpRequest, Box<dyn Error + Send + Sync>> {
        let body = request.body().map_or_else(SdkBody::empty, SdkBody::from);
        let mut http = HttpRequest::new(body);
        http.set_method(request.method())?;
        http.set_uri(format!("{}{}", self.url, request.path()))?;
        let headers = http.headers_mut();
        headers.try_insert("authorization", format!("Bearer {}", self.key.0))?;
        headers.try_insert("user-agent", USER_AGENT)?;
        headers.try_insert("accept", "application/json")?;
        if request.body().is_some() {
            headers.try_insert("content-type", "application/json")?;
        }
        Ok(http)
    }

    async fn exchange(&self, request: HttpRequest) -> Result<Answer, ProviderError> {
        let answered = self.http.call(request).await;
        let answered = answered.map_err(|error| ProviderError::Unanswered(error.into()))?;
        let status = answered.status().as_u16();
        let retry_after = retry_after(answered.headers());
        let announced = header(answered.headers(), "content-length").and_then(|length| length.parse().ok());
        if announced.is_some_and(|length: u64| length > MAX_ANSWER_BYTES as u64) {
            return Err(ProviderError::TooLarge);
        }

        let mut body = Vec::new();
        let mut stream = ByteStream::new(answered.into_body());
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| ProviderError::Unanswered(error.into()))?;
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(ProviderError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            retry_after,
            body: self.without_key(body),
        })
    }

    /// An error message may quote the key, and our errors quote the message.
    fn without_key(&self, body: Vec<u8>) -> Vec<u8> {
        if self.key.0.len() < MIN_QUOTED_KEY {
            return body;
        }
        let text = String::from_utf8_lossy(&body);
        if !text.contains(&self.key.0) {
            return body;
        }
        text.replace(&self.key.0, "(the API key)").into_bytes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now = "Wed, 21 Oct 2026 07:28:00 GMT";
        for (text, date, seconds) in [
            ("7", None, Some(7)),
            (" 0 ", None, Some(0)),
            ("99999999999999999999999", None, Some(u64::MAX)),
            ("Wed, 21 Oct 2026 07:29:30 GMT", Some(now), Some(90)),
            ("Thu, 22 Oct 2026 07:28:00 GMT", Some(now), Some(86_400)),
            (now, Some(now), Some(0)),
            ("Wed, 21 Oct 2026 07:27:59 GMT", Some(now), Some(0)),
            ("Wed, 21 Oct 2026 07:29:30 GMT", None, None),
            ("Wed, 21 Oct 2026 07:29:30 GMT", Some("today"), None),
            ("", Some(now), None),
            ("-1", Some(now), None),
            ("1.5", Some(now), None),
            ("tomorrow", Some(now), None),
        ] {
            let mut headers = Headers::new();
            headers.insert("retry-after", text);
            if let Some(date) = date {
                headers.insert("date", date);
            }
            let wait = retry_after(&headers);
            assert_eq!(wait.map(|wait| wait.as_secs()), seconds, "{text:?}, sent at {date:?}");
        }
        assert_eq!(retry_after(&Headers::new()), None);
    }

    #[test]
    fn a_base_url_is_https_or_on_this_computer() {
        for (text, url) in [
            ("https://api.kie.ai", "https://api.kie.ai"),
            ("https://api.kie.ai/", "https://api.kie.ai"),
            (
                "https://proxy.example:8443/kie/v2//",
                "https://proxy.example:8443/kie/v2",
            ),
            ("https://127.0.0.1", "https://127.0.0.1"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.9.9.9", "http://127.9.9.9"),
            ("http://localhost:1", "http://localhost:1"),
        ] {
            assert_eq!(text.parse::<ApiUrl>().map(|url| url.to_string()), Ok(url.to_owned()));
        }
        for bad in [
            "",
            "api.kie.ai",
            "https://",
            "https:///path",
            "http://api.kie.ai",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://0.0.0.0",
            "ftp://localhost",
            "HTTPS://api.kie.ai",
            "https://user:password@api.kie.ai",
            "https://api.kie.ai:",
            "https://api.kie.ai:0",
            "https://api.kie.ai:+1",
            "https://api.kie.ai:65536",
            "https://api.kie.ai?key=x",
            "https://api.kie.ai/#x",
            "https://api.kie.ai/a b",
            "https://api.kie.ai\r\nx: y",
            " https://api.kie.ai",
            "https://-api.kie.ai",
        ] {
            assert_eq!(bad.parse::<ApiUrl>(), Err(BadApiUrl), "{bad:?}");
        }
    }

    #[test]
    fn a_key_is_one_word_that_debug_hides() {
        let key = ApiKey::new(" a1b2c3\n").unwrap();
        assert_eq!((key.0.as_str(), format!("{key:?}").as_str()), ("a1b2c3", "ApiKey(…)"));
        for bad in ["", " \n", "Bearer a1b2c3", "a\r\nx:y", "ключ"] {
            assert_eq!(ApiKey::new(bad), None, "{bad:?}");
        }
    }
}
