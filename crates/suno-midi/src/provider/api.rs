//! The provider's API: requests and answers as data. Sending them is left to the caller.
//!
//! The facts come from the provider's pages "Generate MIDI from Audio" and "Get MIDI Generation Details". An answer's
//! member `code` says how a request went; the HTTP status is 200 for most errors too. The same API is sold under several
//! base URLs, so a request has a path only.

use std::time::Duration;

use serde_json::json;

use super::{
    body::{Body, text},
    callback::{self, Callback, NotACallback},
    json::{number_of, text_of},
    meaning::{is_unknown_task, whole},
    search::Instruments,
    task_ids::find_task_ids,
};
use crate::{TaskId, UnfitTaskId, text::plain};

pub use super::refusal::{Illegible, Refusal};

/// The longest wait that we take from a `Retry-After`. A wrong header must not cost a song.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The most characters that we keep of what the provider says.
const LONGEST_MESSAGE: usize = 300;

/// A request to the provider, without the base URL, the API key and other headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    path: String,
    body: Option<String>,
}

impl Request {
    /// The path below the base URL, with the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The JSON of a POST; `None` if the request is a GET.
    pub fn body(&self) -> Option<&str> {
        self.body.as_deref()
    }

    /// The HTTP method.
    pub fn method(&self) -> &'static str {
        if self.body.is_some() { "POST" } else { "GET" }
    }
}

/// Asks how a task went, and for its notes. It costs nothing and may be repeated; the provider asks for 10 s or more
/// between two requests for the same task.
///
/// ```
/// use suno_midi::provider::api::record_info;
///
/// let request = record_info(&"5c79be8e".parse()?);
/// assert_eq!(request.path(), "/api/v1/midi/record-info?taskId=5c79be8e");
/// # Ok::<(), suno_midi::UnfitTaskId>(())
/// ```
pub fn record_info(task: &TaskId) -> Request {
    // Every character of a task id may stand in a query as it is.
    Request {
        path: format!("/api/v1/midi/record-info?taskId={task}"),
        body: None,
    }
}

/// Asks for the transcription of a vocal separation that is complete: of one of its stems, or of all of them.
///
/// Repeating this request starts another task.
pub fn generate(separation: &TaskId, audio_id: Option<&str>, callback_url: &str) -> Request {
    let mut body = json!({"taskId": separation, "callBackUrl": callback_url});
    if let Some(audio_id) = audio_id {
        body["audioId"] = audio_id.into();
    }
    Request {
        path: "/api/v1/midi/generate".to_owned(),
        body: Some(body.to_string()),
    }
}

/// An answer as it came over HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What the header `Retry-After` asks for, however long it is.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("bytes", &self.body.len())
            .finish()
    }
}

/// How a task went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The transcription is done. The body is the whole answer, in which [`callback::read`] finds a song; the song may be
    /// empty.
    Done(Vec<u8>),
    /// The provider could not transcribe the song. The body is the whole answer, in which [`callback::read`] finds the
    /// failure.
    Failed(Vec<u8>),
    /// The provider knows the task and does not say that it has no notes, but [`callback::read`] finds none in the body,
    /// which is the whole answer.
    Unreadable(Vec<u8>),
    /// The task has not finished.
    Pending,
    /// The provider does not know the task, or has deleted it.
    Unknown,
}

/// Reads the answer to [`record_info`].
///
/// # Errors
/// [`Refusal`] if it is no report about this task.
pub fn report(task: &TaskId, answer: Answer) -> Result<Report, Refusal> {
    let unreadable = |source: Illegible| Refusal::Unreadable {
        status: answer.status,
        source,
    };
    match answer.accepted() {
        Ok(()) => {}
        Err(Refusal::WrongRequest { code, message }) if is_unknown_task(code, &message) => return Ok(Report::Unknown),
        Err(refusal) => return Err(refusal),
    }
    // Otherwise we would publish the song of one task as that of another.
    if find_task_ids(&answer.body).iter().any(|id| id != task.as_str()) {
        return Err(unreadable(Illegible::OtherTask));
    }
    match callback::read(&answer.body) {
        Ok(Callback::Song(_)) => Ok(Report::Done(answer.body)),
        Ok(Callback::Failed { .. }) => Ok(Report::Failed(answer.body)),
        Ok(Callback::Unreadable { .. }) => Ok(Report::Unreadable(answer.body)),
        // A record that has only an id has not begun.
        Ok(Callback::Pending) | Err(NotACallback::NewTask) => Ok(Report::Pending),
        Ok(Callback::Unsupported { .. }) => Err(unreadable(Illegible::OtherProduct)),
        Err(NotACallback::UnknownTask) => Ok(Report::Unknown),
        Err(other) => Err(unreadable(other.into())),
    }
}

/// Reads the answer to [`generate`]: the id of the new task.
///
/// # Errors
/// [`Refusal`] if it names no new task.
pub fn new_task(answer: &Answer) -> Result<TaskId, Refusal> {
    let unreadable = |source: Illegible| Refusal::Unreadable {
        status: answer.status,
        source,
    };
    answer.accepted()?;
    match find_task_ids(&answer.body).as_slice() {
        [id] => id.parse().map_err(|e: UnfitTaskId| unreadable(e.into())),
        _ => Err(unreadable(Illegible::NoTask)),
    }
}

impl Answer {
    /// Checks that the request was accepted.
    fn accepted(&self) -> Result<(), Refusal> {
        let unreadable = |source: Illegible| Refusal::Unreadable {
            status: self.status,
            source,
        };
        let text = text(&self.body);
        let body = callback::object(&text);
        let sent = |name: &str| body.as_ref().ok().and_then(|body| body.top.get(name));

        // The provider's codes are integers.
        let code = sent("code").and_then(number_of);
        let code = code.map(|code| whole(code).unwrap_or(0));
        let message = sent("msg").or_else(|| sent("message")).and_then(text_of);
        let message = plain(&message.unwrap_or_default(), LONGEST_MESSAGE);
        match (code, self.status) {
            (Some(200), _) | (None, 200..300) => {}
            (None, 403) => {
                let begins = text.chars().take(LONGEST_MESSAGE).collect::<String>();
                let message = if begins.starts_with("error code") {
                    plain(&begins, LONGEST_MESSAGE)
                } else {
                    String::new()
                };
                return Err(Refusal::Blocked { message });
            }
            (code, status) => return Err(self.refusal(code.unwrap_or(status.into()), message)),
        }

        let Body { top, instruments } = body.map_err(|e| unreadable(e.into()))?;
        let has_instruments = !matches!(instruments, None | Some(Instruments::Null));
        if code.is_none() && top.get("data").is_none() && !has_instruments {
            return Err(unreadable(Illegible::Empty));
        }
        Ok(())
    }

    fn refusal(&self, code: i64, message: String) -> Refusal {
        let wait = self.wait();
        match code {
            401 | 403 => Refusal::KeyRefused { message },
            402 => Refusal::NoCredits,
            429 => Refusal::RateLimited { wait },
            433 => Refusal::KeyLimit { wait },
            455 => Refusal::Maintenance { wait },
            408 | 500..600 => Refusal::ProviderFailed { code, message, wait },
            400..500 => Refusal::WrongRequest { code, message },
            _ => Refusal::Unreadable {
                status: self.status,
                source: Illegible::Code(code),
            },
        }
    }

    /// What `Retry-After` asks for, at most [`LONGEST_WAIT`].
    fn wait(&self) -> Option<Duration> {
        self.retry_after.map(|wait| wait.min(LONGEST_WAIT))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn task() -> TaskId {
        "5c79be8e".parse().unwrap()
    }

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            retry_after: None,
            body: body.into(),
        }
    }

    fn read(body: &str) -> Result<Report, Refusal> {
        report(&task(), answer(200, body))
    }

    fn refused(status: u16, body: &str) -> Refusal {
        report(&task(), answer(status, body)).unwrap_err()
    }

    /// A record as the provider's page shows it.
    fn record(flag: &str, midi_data: &str) -> String {
        format!(
            r#"{{"code":200,"msg":"success","data":{{"taskId":"5c79be8e","recordTaskId":-1,"audioId":"e231****-****-****-****-****8cadc7dc","callbackUrl":"https://example.com/callback","completeTime":1760335255000,"createTime":1760335251000,"successFlag":{flag},"errorCode":null,"errorMessage":null,"midiData":{midi_data}}}}}"#
        )
    }

    const NOTE: &str = r#"{"state":"complete","instruments":[{"name":"Drums","notes":[{"pitch":73,"start":"0.036458333333333336","end":"0.18229166666666666","velocity":1}]}]}"#;

    #[test]
    fn requests_are_those_of_the_providers_pages() {
        let request = record_info(&task());
        assert_eq!((request.method(), request.body()), ("GET", None));
        assert_eq!(request.path(), "/api/v1/midi/record-info?taskId=5c79be8e");

        let request = generate(&task(), None, "https://example.com/callback");
        assert_eq!((request.method(), request.path()), ("POST", "/api/v1/midi/generate"));
        assert_eq!(
            request.body(),
            Some(r#"{"callBackUrl":"https://example.com/callback","taskId":"5c79be8e"}"#)
        );
        let request = generate(&task(), Some("a\"b"), "https://example.com/callback");
        assert!(request.body().unwrap().contains(r#""audioId":"a\"b""#));
    }

    #[test]
    fn a_record_that_is_done_is_a_body_to_render() {
        let empty = r#"{"state":"complete","instruments":[]}"#;
        for (flag, midi_data) in [
            ("1", NOTE),
            (r#""1""#, NOTE),
            (r#""SUCCESS""#, NOTE),
            ("null", NOTE),
            ("1", empty),
            ("1", "{}"),
            ("1", "null"),
            ("null", empty),
            ("null", r#"{"state":"complete"}"#),
            ("null", r#"{"instruments":[]}"#),
            (r#""CALLBACK_EXCEPTION""#, "null"),
        ] {
            let body = record(flag, midi_data);
            assert_eq!(read(&body), Ok(Report::Done(body.clone().into())), "{body}");
            assert!(
                matches!(callback::read(body.as_bytes()), Ok(Callback::Song(_))),
                "{body}"
            );
        }
        for resold in [
            r#"{"success":true,"task_id":"5c79be8e","trace_id":"x","data":[{"state":"complete","instruments":[{"name":"Drums","notes":[]}]}]}"#,
            r#"{"success":true,"task_id":"5c79be8e","trace_id":"x","data":[{"state":"complete","instruments":[]}]}"#,
            r#"{"instruments":[]}"#,
            r#"{"code":200,"data":{"midi_url":"u","instruments":[{"name":"Drums","notes":[]}]},"message":"success"}"#,
            r#"{"code":200,"data":{"data":{"data":{"midiData":{"instruments":[]}}}}}"#,
            "\u{feff}{\"code\":\"200\",\"data\":{\"instruments\":{\"Drums\":[]}}}",
        ] {
            assert_eq!(read(resold), Ok(Report::Done(resold.into())));
        }
        // The code counts, not the HTTP status.
        let body = record("1", NOTE);
        let done = report(&task(), answer(500, &body));
        assert_eq!(done, Ok(Report::Done(body.into())));
    }

    #[test]
    fn a_task_that_has_not_finished_is_pending() {
        let empty = r#"{"instruments":[]}"#;
        for (flag, midi_data) in [
            ("0", "null"),
            (r#""0""#, "{}"),
            (r#""PENDING""#, "null"),
            ("0", empty),
            ("null", "null"),
            ("-1", empty),
        ] {
            assert_eq!(
                read(&record(flag, midi_data)),
                Ok(Report::Pending),
                "{flag} {midi_data}"
            );
        }
        assert_eq!(
            read(r#"{"code":200,"data":{"taskId":"5c79be8e"}}"#),
            Ok(Report::Pending)
        );
        assert_eq!(read(r#"{"code":200,"data":{"state":"pending"}}"#), Ok(Report::Pending));
    }

    #[test]
    fn a_failed_task_keeps_the_providers_answer() {
        for (flag, code, message, found) in [
            ("3", r#""500""#, r#""Internal Error""#, (Some(500), "Internal Error")),
            ("3", "null", "null", (Some(3), "")),
            (r#""2""#, "null", r#""""#, (Some(2), "")),
            (r#""GENERATE_AUDIO_FAILED""#, "null", r#""no""#, (None, "no")),
        ] {
            let body = record(flag, "null").replace(
                r#""errorCode":null,"errorMessage":null"#,
                &format!(r#""errorCode":{code},"errorMessage":{message}"#),
            );
            assert_eq!(read(&body), Ok(Report::Failed(body.clone().into_bytes())));
            let (code, message) = (found.0, found.1.to_owned());
            assert_eq!(callback::read(body.as_bytes()), Ok(Callback::Failed { code, message }));
        }
    }

    #[test]
    fn a_record_that_cannot_be_read_is_kept_and_is_no_empty_song() {
        for midi_data in [
            r#"{"state":"complete","tracks":[{"name":"Drums"}]}"#,
            r#""https://example.com/song.mid""#,
            r#"{"instruments":3}"#,
        ] {
            let body = record("1", midi_data);
            assert_eq!(read(&body), Ok(Report::Unreadable(body.clone().into())), "{body}");
        }
    }

    #[test]
    fn null_is_an_unknown_task_and_not_an_empty_song() {
        for body in [
            r#"{"code":200,"msg":"success","data":null}"#,
            r#"{"code":"200","msg":"success"}"#,
            r#"{"code":200,"data":{}}"#,
            r#"{"code":200,"data":[]}"#,
            r#"{"code":200,"data":""}"#,
            r#"{"code":422,"msg":"Record does not exist","data":null}"#,
            r#"{"code":404,"msg":"recordInfo is null","data":null}"#,
        ] {
            assert_eq!(read(body), Ok(Report::Unknown), "{body}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_whether_asking_again_may_help() {
        let seconds = Duration::from_secs;
        let message = "no".to_owned();
        for (code, refusal, again) in [
            (
                401,
                Refusal::KeyRefused {
                    message: message.clone(),
                },
                None,
            ),
            (
                403,
                Refusal::KeyRefused {
                    message: message.clone(),
                },
                None,
            ),
            (402, Refusal::NoCredits, None),
            (429, Refusal::RateLimited { wait: None }, Some(seconds(10))),
            (433, Refusal::KeyLimit { wait: None }, Some(seconds(60))),
            (455, Refusal::Maintenance { wait: None }, Some(seconds(60))),
        ] {
            for status in [200, code] {
                for sent in [format!("{code}"), format!("\"{code}\""), format!("{code}.0")] {
                    let said = refused(status, &format!(r#"{{"code":{sent},"msg":"no","data":null}}"#));
                    assert_eq!(
                        (&said, said.ask_again_after()),
                        (&refusal, again),
                        "HTTP {status}, {sent}"
                    );
                }
            }
        }
        for code in [400, 404, 409, 422, 451] {
            let said = refused(200, &format!(r#"{{"code":{code},"message":"no"}}"#));
            let message = message.clone();
            assert_eq!(said, Refusal::WrongRequest { code, message });
            assert_eq!(said.ask_again_after(), None);
        }
        for code in [408, 500, 501, 505, 531, 599] {
            let said = refused(200, &format!(r#"{{"code":{code},"msg":"no"}}"#));
            let message = message.clone();
            assert_eq!(
                said,
                Refusal::ProviderFailed {
                    code,
                    message,
                    wait: None
                }
            );
            assert_eq!(said.ask_again_after(), Some(Duration::ZERO));
        }
    }

    #[test]
    fn without_a_code_the_http_status_counts() {
        let html = "<html><title>502 Bad Gateway</title></html>";
        assert!(matches!(refused(502, html), Refusal::ProviderFailed { code: 502, .. }));
        assert!(matches!(refused(429, "error code: 1015"), Refusal::RateLimited { .. }));
        assert!(matches!(refused(404, ""), Refusal::WrongRequest { code: 404, .. }));
        assert!(matches!(refused(401, r#"{"code":null}"#), Refusal::KeyRefused { .. }));
        for (text, message) in [("error code: 1010\n", "error code: 1010"), ("<html>…</html>", "")] {
            let said = refused(403, text);
            assert_eq!(
                said,
                Refusal::Blocked {
                    message: message.to_owned()
                }
            );
            assert_eq!(said.ask_again_after(), Some(Duration::from_secs(60)));
        }
    }

    #[test]
    fn an_answer_that_cannot_be_understood_says_why() {
        let illegible = |status, body: &str| match refused(status, body) {
            Refusal::Unreadable { source, .. } => source,
            other => panic!("{body}: {other:?}"),
        };
        let whole = record("1", NOTE);
        for cut in ["", "<html></html>", &whole[..whole.len() / 2]] {
            assert!(matches!(illegible(200, cut), Illegible::Body(NotACallback::NotJson(_))));
            assert_eq!(refused(200, cut).ask_again_after(), Some(Duration::ZERO));
        }
        for (status, body, why) in [
            (200, "[]", NotACallback::NoObject.into()),
            (200, "{}", Illegible::Empty),
            (200, r#"{"success":false,"message":"no"}"#, Illegible::Empty),
            (200, r#"{"code":1}"#, Illegible::Code(1)),
            (200, r#"{"code":200.5,"data":null}"#, Illegible::Code(0)),
            (302, "", Illegible::Code(302)),
            (200, r#"{"code":200,"data":{"vocal_url":"u"}}"#, Illegible::OtherProduct),
            (
                200,
                r#"{"code":200,"data":{"taskId":"other","instruments":[]}}"#,
                Illegible::OtherTask,
            ),
        ] {
            assert_eq!(illegible(status, body), why, "{body}");
            assert_eq!(refused(status, body).ask_again_after(), None, "{body}");
        }
    }

    #[test]
    fn retry_after_is_bounded() {
        for (asked, seconds) in [
            (Some(Duration::from_secs(7)), 7),
            (Some(Duration::ZERO), 0),
            (Some(Duration::from_secs(3600)), 3600),
            (Some(Duration::from_secs(3601)), 3600),
            (Some(Duration::MAX), 3600),
            (None, 10),
        ] {
            let answer = Answer {
                status: 429,
                retry_after: asked,
                body: vec![],
            };
            let said = report(&task(), answer).unwrap_err();
            assert_eq!(said.ask_again_after(), Some(Duration::from_secs(seconds)), "{asked:?}");
        }
        let answer = Answer {
            status: 200,
            retry_after: Some(Duration::from_secs(7)),
            body: br#"{"code":455}"#.into(),
        };
        let said = report(&task(), answer).unwrap_err();
        assert_eq!(said.ask_again_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_new_task_has_one_usable_id() {
        let new = |status, body: &str| new_task(&answer(status, body));
        let id = |body: &str| new(200, body).unwrap().to_string();
        assert_eq!(
            id(r#"{"code":200,"msg":"success","data":{"taskId":"5c79be8e"}}"#),
            "5c79be8e"
        );
        assert_eq!(id(r#"{"code":"200","data":{"task_id":"5c79be8e"}}"#), "5c79be8e");

        let why = |body: &str| match new(200, body) {
            Err(Refusal::Unreadable { source, .. }) => source,
            other => panic!("{body}: {other:?}"),
        };
        assert_eq!(why(r#"{"code":200,"data":null}"#), Illegible::NoTask);
        assert_eq!(
            why(r#"{"code":200,"taskId":"a","data":{"taskId":"b"}}"#),
            Illegible::NoTask
        );
        assert_eq!(why(r#"{"code":200,"data":{"taskId":"../a"}}"#), UnfitTaskId.into());
        let wrong = new(200, r#"{"code":422,"msg":"Please enter callBackUrl."}"#).unwrap_err();
        let words = "the provider refused the request with code 422: Please enter callBackUrl.";
        assert_eq!(wrong.to_string(), words);
        let none = new(402, r#"{"code":402,"msg":"no credits"}"#);
        assert_eq!(none, Err(Refusal::NoCredits));
    }

    #[test]
    fn debug_does_not_print_a_body() {
        let text = format!("{:?}", answer(200, "secret"));
        assert_eq!(text, "Answer { status: 200, retry_after: None, bytes: 6 }");
    }

    #[test]
    fn only_an_answer_that_refuses_says_that_no_task_was_started() {
        for (status, body, may_have_started) in [
            (200, r#"{"code":401}"#, false),
            (200, r#"{"code":402}"#, false),
            (200, r#"{"code":422}"#, false),
            (200, r#"{"code":429}"#, false),
            (200, r#"{"code":433}"#, false),
            (200, r#"{"code":455}"#, false),
            (403, "error code: 1010", false),
            (200, r#"{"code":500}"#, true),
            (200, r#"{"code":408}"#, true),
            (502, "<html></html>", true),
            (200, r#"{"code":999}"#, true),
            (200, r#"{"code":200,"data":null}"#, true),
            (200, r#"{"code":200,"data":{"taskId":"5c"#, true),
        ] {
            let refusal = new_task(&answer(status, body)).unwrap_err();
            assert_eq!(refusal.may_have_started(), may_have_started, "{body}: {refusal}");
        }
    }
}
