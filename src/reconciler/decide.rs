//! What to do about a watched task: a pure function of what is known.

use std::time::{Duration, SystemTime};

use suno_midi::{document::State, provider::api::Report};

use crate::{
    bucket::{
        bodies::StoredBody,
        results::ResultMeta,
        watches::{LONGEST, UNKNOWN_FOR, Watch, WatchState},
    },
    messages::check::{Cause, Check},
    time::seconds,
};

/// What is known of a task before a check.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The task, and why it is checked.
    pub check: &'a Check,
    /// Its watch, as the bucket has it; `None` if it was never watched.
    pub watch: Option<&'a Watch>,
    /// Its published result.
    pub result: Option<&'a ResultMeta>,
    /// Its stored bodies.
    pub bodies: &'a [StoredBody],
    /// Whether the stack has an API key, so that it can poll the provider.
    pub has_key: bool,
    /// How long all polling is suspended.
    pub suspended_for: Duration,
}

/// What to do next. All but `Nothing` write the object of the task, and begin its watch if it is not watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// Nothing is left to do.
    Nothing,
    /// End the watch: there is a result.
    Done,
    /// End the watch: the provider has deleted the task by now.
    Expire,
    /// End the watch: the provider does not know the task.
    Unknown,
    /// Queue jobs for these bodies, and check again. They have no result, and no job that could be on its way.
    QueueJobs(Vec<&'a StoredBody>),
    /// Poll the provider, and take the step that its answer asks for.
    Poll,
    /// Store the provider's answer, queue its job, and check again.
    Keep {
        /// The answer.
        body: Vec<u8>,
        /// Whether the provider will answer the same from now on.
        is_final: bool,
    },
    /// Check again, not before this time has passed.
    Wait(Duration),
    /// Check again: without an API key only a callback can help.
    WaitForCallback,
}

/// Whether this check has taken place. The number is only compared and never taken over, because any sender of messages
/// could send any number.
pub fn is_duplicate(check: &Check, watch: &Watch) -> bool {
    matches!(check.cause, Cause::Planned(number) if number < watch.check || watch.state != WatchState::Watching)
}

/// Chooses the step. Polls only if the bucket has nothing that could become a result.
pub fn decide<'a>(facts: &Facts<'a>, now: SystemTime) -> Step<'a> {
    match by_bodies(facts, now) {
        // A callback with a result, as nearly all are, needs no object.
        Step::Done if facts.watch.is_none_or(|watch| watch.state == WatchState::Done) => Step::Nothing,
        Step::Done => Step::Done,
        _ if watch(facts, now).age(now) >= LONGEST => Step::Expire,
        Step::Poll => poll(facts, now),
        step => step,
    }
}

/// The watch that the check goes on with: as it is, begun, or begun again.
pub fn watch(facts: &Facts<'_>, now: SystemTime) -> Watch {
    let source = facts.check.cause.source();
    match facts.watch {
        None => Watch::new(facts.check.task_id.clone(), source, now),
        Some(watch) if watch.state == WatchState::Watching => watch.clone(),
        Some(watch) => watch.clone().again(source, now),
    }
}

/// What the result and the bodies of a task ask for. A result says nothing about other bodies than its own, not even about
/// older ones: their jobs may be lost.
fn by_bodies<'a>(facts: &Facts<'a>, now: SystemTime) -> Step<'a> {
    let has_result = has_final_result(facts);
    let rendered = facts.result.and_then(|result| result.body_key.as_ref());
    let others = || facts.bodies.iter().filter(|body| Some(&body.object_key) != rendered);
    let Some(newest) = others().map(|body| body.stored).max() else {
        return if has_result { Step::Done } else { Step::Poll };
    };
    let left = facts.watch.and_then(|watch| watch.jobs_have(newest, now));
    let is_next_job_due = || facts.watch.is_some_and(|watch| watch.is_next_job_due(now));
    match left {
        None => Step::QueueJobs(others().collect()),
        // With a result, only a better one can come.
        Some(left) if left > Duration::ZERO => Step::Wait(if has_result { left } else { Duration::ZERO }),
        // The jobs ran, and the published result outranks these bodies.
        Some(_) if has_result => Step::Done,
        Some(_) if is_next_job_due() => Step::QueueJobs(others().collect()),
        // The provider may have what the rendered body lacks.
        Some(_) if rendered.is_some() => Step::Poll,
        Some(_) => Step::Wait(Duration::ZERO),
    }
}

fn has_final_result(facts: &Facts<'_>) -> bool {
    let state = facts.result.and_then(|result| State::named(result.state.as_deref()?));
    // A body that says nothing may outrank the provider's answer. Polling again would bring the same answer.
    let is_answered = || {
        facts.result.is_some_and(|result| result.body_key.is_some()) && facts.watch.is_some_and(|watch| watch.answered)
    };
    matches!(state, Some(State::Rendered | State::Empty | State::Failed)) || is_answered()
}

fn poll<'a>(facts: &Facts<'a>, now: SystemTime) -> Step<'a> {
    if !facts.has_key {
        return Step::WaitForCallback;
    }
    let until_poll = facts.watch.map_or(Duration::ZERO, |watch| watch.until_poll(now));
    match until_poll.max(facts.suspended_for) {
        Duration::ZERO => Step::Poll,
        wait => Step::Wait(wait),
    }
}

/// What the provider's answer asks for. Notes in the watch what was learned.
pub fn learn(report: Report, watch: &mut Watch, now: SystemTime) -> Step<'static> {
    let (note, step) = match report {
        Report::Done(body) => ("the provider has the song", Step::Keep { body, is_final: true }),
        Report::Failed(body) => {
            let note = "the provider could not transcribe the song";
            (note, Step::Keep { body, is_final: true })
        }
        Report::Unreadable(body) => {
            let note = "the provider's answer has no notes that this version can read";
            (note, Step::Keep { body, is_final: false })
        }
        Report::Pending => ("the provider has not finished", Step::Wait(Duration::ZERO)),
        Report::Unknown => {
            let since = *watch.unknown_since.get_or_insert(seconds(now));
            let is_believed = seconds(now).saturating_sub(since) >= UNKNOWN_FOR.as_secs();
            watch.note = Some("the provider does not know the task".to_owned());
            return if is_believed {
                Step::Unknown
            } else {
                Step::Wait(Duration::ZERO)
            };
        }
    };
    watch.unknown_since = None;
    watch.note = Some(note.to_owned());
    step
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bucket::watches::WatchSource;

    const DAY: u64 = 86_400;
    const NOW: u64 = 20 * DAY;
    /// The key of the body that was rendered.
    const RENDERED: &str = "raw/t/rendered.json";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// A watch of this age, with changes.
    fn watching(age: u64, change: impl FnOnce(&mut Watch)) -> Option<Watch> {
        let mut watch = Watch::new("t".parse().unwrap(), WatchSource::Cli, at(NOW - age));
        watch.check = 3;
        change(&mut watch);
        Some(watch)
    }

    fn ended(state: WatchState) -> Option<Watch> {
        watching(15 * DAY, |watch| watch.state = state)
    }

    fn queued(ago: u64) -> Option<Watch> {
        watching(3600, |watch| watch.last_queued = Some(NOW - ago))
    }

    /// What is decided for a watch, the state of the result of [`RENDERED`], and the ages of the bodies: the first is of
    /// [`RENDERED`], if there is a result.
    fn decided(watch: &Option<Watch>, result: &str, bodies: &[u64], has_key: bool, suspended_for: u64) -> String {
        let result = Some(result).filter(|state| !state.is_empty()).map(|state| ResultMeta {
            state: Some(state.to_owned()),
            body_key: (state != "expired").then(|| RENDERED.to_owned()),
            written: None,
        });
        let is_rendered = result.as_ref().is_some_and(|result| result.body_key.is_some());
        let bodies: Vec<StoredBody> = (0..)
            .zip(bodies)
            .map(|(index, age)| StoredBody {
                task_id: "t".parse().unwrap(),
                object_key: match index == 0 && is_rendered {
                    true => RENDERED.to_owned(),
                    false => format!("raw/t/{index}.json"),
                },
                stored: at(NOW - age),
            })
            .collect();
        let check = Check {
            task_id: "t".parse().unwrap(),
            cause: Cause::Arrived("bucket".to_owned()),
        };
        let facts = Facts {
            check: &check,
            watch: watch.as_ref(),
            result: result.as_ref(),
            bodies: &bodies,
            has_key,
            suspended_for: Duration::from_secs(suspended_for),
        };
        match decide(&facts, at(NOW)) {
            Step::QueueJobs(bodies) => {
                let names = bodies.iter().map(|body| body.object_key.trim_start_matches("raw/t/"));
                format!("queue {}", names.collect::<Vec<_>>().join(" "))
            }
            Step::Wait(wait) => format!("wait {}", wait.as_secs()),
            step => format!("{step:?}").to_lowercase(),
        }
    }

    #[test]
    fn the_bucket_decides_and_only_then_the_provider_is_polled() {
        let answered = || watching(60, |watch| watch.answered = true);
        #[rustfmt::skip]
        let cases = [
            ("a callback with its song needs no object", None, "rendered", &[60][..], "nothing"),
            ("so does one that failed", None, "failed", &[60], "nothing"),
            ("an ended watch stays ended", ended(WatchState::Done), "rendered", &[60], "nothing"),
            ("a watch ends with its result", watching(60, |_| {}), "empty", &[60], "done"),
            ("also one that had expired", ended(WatchState::Expired), "rendered", &[60], "done"),
            ("also after 14 days", watching(15 * DAY, |_| {}), "rendered", &[60], "done"),
            ("nothing came: poll", None, "", &[], "poll"),
            ("what says nothing is no result", watching(60, |_| {}), "pending", &[60], "poll"),
            ("unless the provider has answered", answered(), "invalid", &[60], "done"),
            ("an end without a body is none either", ended(WatchState::Expired), "expired", &[], "poll"),
            ("14 days without a result", watching(14 * DAY, |_| {}), "", &[], "expire"),
            ("14 days with a body that was never rendered", watching(14 * DAY, |_| {}), "", &[60], "expire"),
            ("a body without a job", None, "", &[60], "queue 0.json"),
            ("a second body beside a failure", None, "failed", &[90, 60], "queue 1.json"),
            ("an older body beside a song", None, "rendered", &[60, 90], "queue 1.json"),
            ("a body that came after its jobs", queued(70), "", &[90, 60], "queue 0.json 1.json"),
            ("jobs on their way", queued(10), "", &[60], "wait 0"),
            ("jobs on their way beside a result", queued(10), "rendered", &[90, 60], "wait 890"),
            ("their result outranks the other bodies", queued(900), "rendered", &[2000, 1900], "done"),
            ("jobs that vanished", queued(1900), "", &[2000], "queue 0.json"),
            ("not again so soon", queued(1000), "", &[2000], "wait 0"),
            ("a useless result beside vanished jobs", queued(1900), "invalid", &[2100, 2000], "queue 1.json"),
            ("the provider may have more", queued(1000), "invalid", &[2100, 2000], "poll"),
        ];
        for (why, watch, result, bodies, expected) in cases {
            assert_eq!(decided(&watch, result, bodies, true, 0), expected, "{why}");
        }
    }

    #[test]
    fn a_poll_needs_a_key_and_waits_for_its_time() {
        let polled = |ago| watching(60, |watch| watch.mark_polled(at(NOW - ago), Duration::ZERO));
        let polling = || watching(60, |watch| watch.mark_polling(at(NOW - 1)));
        #[rustfmt::skip]
        let cases = [
            ("no key", watching(60, |_| {}), false, 0, "waitforcallback"),
            ("just polled", polled(4), true, 0, "wait 7"),
            ("long ago", polled(11), true, 0, "poll"),
            ("another check polls", polling(), true, 0, "wait 70"),
            ("suspended", polled(4), true, 60, "wait 60"),
        ];
        for (why, watch, has_key, suspended_for, expected) in cases {
            assert_eq!(decided(&watch, "", &[], has_key, suspended_for), expected, "{why}");
        }
    }

    #[test]
    fn a_planned_check_counts_once() {
        let watch = watching(60, |_| {}).unwrap();
        let planned = |number| Check {
            task_id: watch.task_id.clone(),
            cause: Cause::Planned(number),
        };
        assert!(is_duplicate(&planned(2), &watch));
        assert!(!is_duplicate(&planned(3), &watch) && !is_duplicate(&planned(u64::MAX), &watch));
        assert!(is_duplicate(&planned(3), &ended(WatchState::Done).unwrap()));
        let requested = Check {
            cause: Cause::Requested,
            ..planned(0)
        };
        assert!(!is_duplicate(&requested, &watch));
    }

    #[test]
    fn an_answer_is_kept_or_waited_for_and_an_unknown_task_is_believed_after_an_hour() {
        let mut watch = watching(60, |_| {}).unwrap();
        let mut learn_at = |report, seconds| learn(report, &mut watch, at(NOW + seconds));
        let wait = Step::Wait(Duration::ZERO);
        assert_eq!(learn_at(Report::Unknown, 0), wait);
        assert_eq!(learn_at(Report::Unknown, 3599), wait);
        assert_eq!(learn_at(Report::Pending, 3600), wait, "it is known again");
        assert_eq!(learn_at(Report::Unknown, 3610), wait);
        assert_eq!(learn_at(Report::Unknown, 3610 + 3600), Step::Unknown);
        for (report, is_final) in [
            (Report::Done(vec![1]), true),
            (Report::Failed(vec![1]), true),
            (Report::Unreadable(vec![1]), false),
        ] {
            assert_eq!(
                learn_at(report, 0),
                Step::Keep {
                    body: vec![1],
                    is_final
                }
            );
        }
        assert!(watch.note.is_some() && watch.unknown_since.is_none());
    }
}
