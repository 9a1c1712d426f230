//! The trace of a callback goes along to its result. Each look at a watched task begins another.

use std::{
    env,
    process::Command,
    time::{Duration, SystemTime},
};

use crate::{
    fake::{Aws, Clock, QUEUE_URL, RESULTS_URL, WATCH_URL, sqs_event},
    receiver::{KEY, NOW, signed, verdict},
};

const TRACE: &str = "Root=1-6a050680-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1;Lineage=1:8a5c0d1e:0";

#[tokio::test]
async fn the_trace_goes_with_the_job_and_the_announcement_and_not_with_a_look() {
    // The runtime tells the SDK of an invocation's trace through the environment, which a test cannot change for itself.
    if env::var_os("_X_AMZN_TRACE_ID").is_none() {
        let mut again = Command::new(env::current_exe().unwrap());
        again.args([
            "--exact",
            "trace::the_trace_goes_with_the_job_and_the_announcement_and_not_with_a_look",
        ]);
        again
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("_X_AMZN_TRACE_ID", TRACE);
        assert!(again.status().unwrap().success());
        return;
    }
    let aws = Aws::with_key(KEY);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let callback = signed(r#"{"code":200,"data":{"taskId":"t","instruments":[]}}"#, "t");
    assert_eq!(verdict(&aws.receiver(), &callback, now).await, 200);
    let job = aws.messages().remove(0);
    aws.renderer().handle(sqs_event(&[job]), now).await;
    // There is no result of the other task, so the next look is queued.
    aws.state().clock = Clock::Stopped(now + Duration::from_secs(1));
    let look = r#"{"version":1,"taskId":"other"}"#;
    aws.reconciler(None).handle(sqs_event(&[look]), now).await;

    let state = aws.state();
    let sends = state.calls.iter().filter(|call| call.what == "SendMessage");
    let traces = sends.map(|call| call.headers.get("x-amzn-trace-id").map(String::as_str));
    let queues = state.messages.iter().map(|(queue, _)| queue.as_str());
    let expected = [(QUEUE_URL, Some(TRACE)), (RESULTS_URL, Some(TRACE)), (WATCH_URL, None)];
    assert_eq!(queues.zip(traces).collect::<Vec<_>>(), expected);
}
