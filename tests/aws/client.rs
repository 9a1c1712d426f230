//! The client of the provider's API over real connections: what is sent, and what becomes of every kind of answer.

use std::time::{Duration, Instant};

use midihook::{
    aws::error::in_one_line,
    provider::{ApiKey, MAX_ANSWER_BYTES, Provider, ProviderError, https},
};
use suno_midi::{
    TaskId,
    provider::{
        api::{Illegible, Refusal, Report},
        callback::NotACallback,
    },
};

use crate::server::{Reply, Server, json};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const TIMEOUT: Duration = Duration::from_secs(2);
const HASTE: Duration = Duration::from_millis(200);

const DONE: &str = r#"{"code":200,"msg":"success","data":{"taskId":"5c79be8e","recordTaskId":-1,"successFlag":1,"errorCode":null,"errorMessage":null,"midiData":{"state":"complete","instruments":[{"name":"Drums","notes":[{"pitch":73,"start":"0.036458333333333336","end":"0.18229166666666666","velocity":1}]}]}}}"#;

fn task() -> TaskId {
    "5c79be8e".parse().unwrap()
}

fn provider(url: &str, timeout: Duration) -> Provider {
    Provider::new(https(), url.parse().unwrap(), ApiKey::new(KEY).unwrap(), timeout)
}

/// Asks a server with these replies how the task went. Returns also how often it was asked.
async fn ask(replies: impl IntoIterator<Item = Reply>, timeout: Duration) -> (Result<Report, ProviderError>, usize) {
    let server = Server::new(replies);
    let report = provider(&server.url(), timeout).record_info(&task()).await;
    if let Err(error) = &report {
        assert_keeps_the_secret(error);
    }
    (report, server.received().len())
}

fn assert_keeps_the_secret(error: &ProviderError) {
    let texts = [in_one_line(error), format!("{error:?}"), format!("{error:#?}")];
    assert!(texts.iter().all(|text| !text.contains(KEY)), "{texts:?}");
}

/// Asks a server that refuses. Nothing is asked twice: the caller knows when it may ask again.
async fn refused(reply: Reply) -> Refusal {
    match ask([reply, json(DONE)], TIMEOUT).await {
        (Err(ProviderError::Refused(refusal)), 1) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_question_is_sent_as_the_provider_wants_it() {
    let server = Server::new([json(DONE)]);
    let provider = provider(&format!("{}/kie/", server.url()), TIMEOUT);
    provider.record_info(&task()).await.unwrap();

    let sent = &server.received()[0];
    assert_eq!(
        sent.head[0],
        "GET /kie/api/v1/midi/record-info?taskId=5c79be8e HTTP/1.1"
    );
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(
        sent.header("user-agent"),
        Some(concat!("midihook/", env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(sent.header("accept"), Some("application/json"));
    assert_eq!(sent.header("content-type"), None);
    assert_eq!(sent.body, "");
    assert!(!format!("{provider:?}").contains(KEY));
}

#[tokio::test]
async fn a_task_is_started_once() {
    let started = r#"{"code":200,"msg":"success","data":{"taskId":"0ddba11"}}"#;
    let server = Server::new([json(started)]);
    let start = async |server: &Server, timeout| {
        let provider = provider(&server.url(), timeout);
        provider
            .generate(&task(), Some("stem"), "https://example.com/callback")
            .await
    };
    assert_eq!(start(&server, TIMEOUT).await.unwrap().as_str(), "0ddba11");
    let sent = &server.received()[0];
    assert_eq!(sent.head[0], "POST /api/v1/midi/generate HTTP/1.1");
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert_eq!(
        sent.body,
        r#"{"audioId":"stem","callBackUrl":"https://example.com/callback","taskId":"5c79be8e"}"#
    );

    for reply in [
        json(r#"{"code":500,"msg":"no"}"#),
        Reply::Answer(503, "retry-after: 0\r\n", vec![]),
        json(r#"{"code":429,"msg":"slowly"}"#),
        json("cut"),
        Reply::Close,
        Reply::Silence,
    ] {
        let server = Server::new([reply.clone(), json(started)]);
        let error = start(&server, HASTE).await.unwrap_err();
        assert_keeps_the_secret(&error);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(server.received().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn a_task_is_done_pending_failed_or_unknown() {
    let report = async |body: &str| match ask([json(body)], TIMEOUT).await {
        (Ok(report), 1) => report,
        other => panic!("{other:?}"),
    };
    assert_eq!(report(DONE).await, Report::Done(DONE.into()));
    let pending = r#"{"code":200,"msg":"success","data":{"taskId":"5c79be8e","successFlag":0,"midiData":null}}"#;
    assert_eq!(report(pending).await, Report::Pending);
    let failed = r#"{"code":200,"msg":"success","data":{"taskId":"5c79be8e","successFlag":3,"errorCode":"500","errorMessage":"Internal Error"}}"#;
    assert_eq!(report(failed).await, Report::Failed(failed.into()));
    let unknown = r#"{"code":200,"msg":"success","data":null}"#;
    assert_eq!(report(unknown).await, Report::Unknown);
}

#[tokio::test]
async fn a_refusal_that_lasts_is_not_asked_about_again() {
    let key = refused(json(r#"{"code":401,"msg":"You do not have access permissions"}"#)).await;
    let message = "You do not have access permissions".to_owned();
    assert_eq!(key, Refusal::KeyRefused { message });
    let credits = refused(json(r#"{"code":402,"msg":"no credits"}"#)).await;
    assert_eq!(credits, Refusal::NoCredits);
    let wrong = refused(json(r#"{"code":422,"msg":"taskId cannot be empty","data":null}"#)).await;
    let message = "taskId cannot be empty".to_owned();
    assert_eq!(wrong, Refusal::WrongRequest { code: 422, message });
    let blocked = refused(Reply::Answer(403, "", b"error code: 1010".into())).await;
    let message = "error code: 1010".to_owned();
    assert_eq!(blocked, Refusal::Blocked { message });
}

#[tokio::test]
async fn a_limit_is_honoured() {
    // There is no time for these waits, so the caller is told to ask later.
    let limit = refused(json(r#"{"code":429,"msg":"Your call frequency is too high"}"#)).await;
    assert_eq!(limit.ask_again_after(), Some(Duration::from_secs(10)));
    let limit = refused(Reply::Answer(429, "Retry-After: 120\r\n", br#"{"code":429}"#.into())).await;
    assert_eq!(limit.ask_again_after(), Some(Duration::from_secs(120)));
    let limit = refused(json(r#"{"code":433,"msg":"Request limit"}"#)).await;
    assert_eq!(limit, Refusal::KeyLimit { wait: None });
    let limit = refused(json(r#"{"code":455,"msg":"Service Unavailable"}"#)).await;
    assert_eq!(limit, Refusal::Maintenance { wait: None });
}

#[tokio::test]
async fn a_failure_that_passes_may_be_asked_about_again() {
    let failing = json(r#"{"code":500,"msg":"Internal Error"}"#);
    let bad_gateway = Reply::Answer(502, "", b"<html></html>".into());
    let cut_off = Reply::CutOff(DONE.len(), DONE.as_bytes()[..DONE.len() / 2].into());
    for reply in [
        failing,
        bad_gateway,
        Reply::Close,
        cut_off,
        json(&DONE[..DONE.len() / 2]),
        json("<html></html>"),
        Reply::Silence,
        Reply::Drip,
    ] {
        let (report, asked) = ask([reply.clone(), json(DONE)], HASTE).await;
        let error = report.unwrap_err();
        assert_eq!(error.ask_again_after(), Some(Duration::ZERO), "{reply:?}: {error:?}");
        assert_eq!(asked, 1, "{reply:?}");
        match (&reply, error) {
            (Reply::Silence | Reply::Drip, ProviderError::TooSlow)
            | (Reply::Close | Reply::CutOff(..), ProviderError::Unanswered(_))
            | (_, ProviderError::Refused(Refusal::ProviderFailed { .. })) => {}
            (_, ProviderError::Refused(Refusal::Unreadable { status: 200, source })) => {
                assert!(matches!(source, Illegible::Body(NotACallback::NotJson(_))));
            }
            (_, error) => panic!("{reply:?}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn nothing_takes_longer_than_it_may() {
    let short = Duration::from_millis(500);
    for reply in [Reply::Silence, Reply::Drip] {
        let began = Instant::now();
        let (report, _) = ask((0..9).map(|_| reply.clone()), short).await;
        assert!(matches!(report, Err(ProviderError::TooSlow)), "{report:?}");
        let took = began.elapsed().as_secs_f64();
        assert!((0.4..1.2).contains(&took), "{reply:?} took {took} s");
    }
}

#[tokio::test]
async fn nobody_there_is_no_answer() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let error = provider(&url, TIMEOUT).record_info(&task()).await.unwrap_err();
    assert_keeps_the_secret(&error);
    assert!(matches!(error, ProviderError::Unanswered(_)), "{error:?}");
    assert_eq!(error.ask_again_after(), Some(Duration::ZERO));
}

#[tokio::test]
async fn a_large_answer_is_read_and_a_larger_one_is_not() {
    let patient = Duration::from_secs(60);
    let padded = |bytes: usize| {
        let mut body = DONE.as_bytes().to_vec();
        body.resize(bytes, b' ');
        body
    };
    for bytes in [20_000_000, MAX_ANSWER_BYTES] {
        let (report, _) = ask([Reply::Answer(200, "", padded(bytes))], patient).await;
        assert!(matches!(report, Ok(Report::Done(body)) if body.len() == bytes));
    }

    // An honest length is refused before the body is read, and no length soon after the limit.
    let announced = Server::new([Reply::Answer(200, "", padded(40_000_000))]);
    let endless = Server::new([Reply::Endless]);
    let buffers = 16 << 20;
    for (server, most) in [(announced, 0), (endless, MAX_ANSWER_BYTES as u64 + buffers)] {
        let error = provider(&server.url(), patient).record_info(&task()).await.unwrap_err();
        assert!(matches!(error, ProviderError::TooLarge), "{error:?}");
        assert_eq!(error.ask_again_after(), None);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(server.sent() <= most, "{} bytes", server.sent());
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test]
async fn a_provider_that_quotes_the_key_does_not_put_it_in_an_error() {
    let quoting = format!(r#"{{"code":401,"msg":"unknown key {KEY}"}}"#);
    let message = "unknown key (the API key)".to_owned();
    assert_eq!(refused(json(quoting)).await, Refusal::KeyRefused { message });
    let mut quoting = format!("error code: 1010 for {KEY} ").into_bytes();
    quoting.push(0xff);
    refused(Reply::Answer(403, "", quoting)).await;

    // A key that is a part of a member's name does not spoil the answer.
    let server = Server::new([json(DONE)]);
    let provider = Provider::new(
        https(),
        server.url().parse().unwrap(),
        ApiKey::new("task").unwrap(),
        TIMEOUT,
    );
    let report = provider.record_info(&task()).await.unwrap();
    assert_eq!(report, Report::Done(DONE.into()));
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    // It would carry the key to another place.
    let elsewhere = Server::new([json(DONE)]);
    let location: &'static str = format!("location: {}/\r\n", elsewhere.url()).leak();
    let moved = refused(Reply::Answer(302, location, vec![])).await;
    assert!(matches!(moved, Refusal::Unreadable { status: 302, .. }));
    assert_eq!(elsewhere.received().len(), 0);
}

#[tokio::test]
async fn the_key_is_not_sent_before_the_server_has_proved_who_it_is() {
    let plain = Server::new([json(DONE)]);
    let url = plain.url().replace("http:", "https:");
    let error = provider(&url, HASTE).record_info(&task()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unanswered(_)), "{error:?}");
    assert_eq!(plain.received().len(), 0);
}
