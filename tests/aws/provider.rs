//! The provider's API in memory and in virtual time: each task has a fate, and questions can go wrong.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

pub const API_KEY: &str = "0123456789abcdef0123456789abcdef";
pub const URL: &str = "https://api.kie.test";
/// The provider's own rule.
const BETWEEN_QUESTIONS_ABOUT_A_TASK: Duration = Duration::from_secs(10);
/// The reconciler's promise: so many questions arrive in any second at most.
const QUESTIONS_A_SECOND: usize = 2;

/// What becomes of a task at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// A song of one note of this pitch.
    Song(u8),
    Empty,
    Failed,
    /// It never finishes.
    Pending,
    /// The provider does not know it.
    Unknown,
}

/// A task at the provider.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    pub fate: Fate,
    /// The provider does not know it earlier.
    pub known_at: Instant,
    /// It has not finished earlier.
    pub ends_at: Instant,
}

impl Task {
    /// What the provider says of the task at this time.
    fn record(&self, id: &str, now: Instant) -> Value {
        let found = |data: Value| json!({"code": 200, "msg": "success", "data": data});
        let mut record = json!({"taskId": id, "recordTaskId": -1, "audioId": "e231", "createTime": 1_760_335_251_000_u64,
            "successFlag": 0, "errorCode": null, "errorMessage": null, "midiData": null});
        // The provider has two ways to say so.
        if self.fate == Fate::Unknown && id.ends_with('1') {
            return json!({"code": 422, "msg": "Record does not exist", "data": null});
        }
        if self.fate == Fate::Unknown || now < self.known_at {
            return found(Value::Null);
        }
        if now >= self.ends_at {
            let (flag, midi) = match self.fate {
                Fate::Song(pitch) => {
                    let note = json!({"pitch": pitch, "start": "0.5", "end": 1, "velocity": 1});
                    (
                        1,
                        json!({"state": "complete", "instruments": [{"name": "Violin", "notes": [note]}]}),
                    )
                }
                Fate::Empty => (1, json!({})),
                Fate::Failed => (3, Value::Null),
                Fate::Pending | Fate::Unknown => (0, Value::Null),
            };
            record["successFlag"] = flag.into();
            record["midiData"] = midi;
            if self.fate == Fate::Failed {
                record["errorCode"] = "531".into();
                record["errorMessage"] = "no vocals".into();
            }
        }
        found(record)
    }

    /// The last answer of the provider, in which the fate is sealed.
    pub fn last_answer(&self, id: &str) -> Vec<u8> {
        self.record(id, self.ends_at.max(self.known_at))
            .to_string()
            .into_bytes()
    }
}

/// What goes wrong with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    RateLimited,
    RateLimitedFor,
    NoCredits,
    KeyLimit,
    Maintenance,
    Failed,
    Gateway,
    Blocked,
    NotJson,
    CutOff,
    Hang,
    Refused,
    AnswerLost,
    Slow,
}

impl Fault {
    pub const ALL: [Self; 14] = [
        Self::RateLimited,
        Self::RateLimitedFor,
        Self::NoCredits,
        Self::KeyLimit,
        Self::Maintenance,
        Self::Failed,
        Self::Gateway,
        Self::Blocked,
        Self::NotJson,
        Self::CutOff,
        Self::Hang,
        Self::Refused,
        Self::AnswerLost,
        Self::Slow,
    ];
}

/// A question that reached the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub task: String,
    pub at: Instant,
}

#[derive(Debug)]
pub struct State {
    pub tasks: BTreeMap<String, Task>,
    /// The provider refuses the API key until then.
    pub key_refused_until: Instant,
    pub rng: fastrand::Rng,
    /// The probability that a question goes wrong, 0 to 1.
    pub chance: f64,
    pub drawn: BTreeMap<Fault, u64>,
    pub keys_refused: u64,
    pub questions: Vec<Question>,
}

/// The provider. Clones are the same provider.
#[derive(Debug, Clone)]
pub struct Provider(Arc<Mutex<State>>);

impl Provider {
    /// A provider that knows no task yet.
    pub fn new(rng: fastrand::Rng, chance: f64) -> Self {
        Self(Arc::new(Mutex::new(State {
            tasks: BTreeMap::new(),
            key_refused_until: Instant::now(),
            rng,
            chance,
            drawn: BTreeMap::new(),
            keys_refused: 0,
            questions: Vec::new(),
        })))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the state")
    }

    /// For [`crate::fake::Aws::reconciler`].
    pub fn connection(&self) -> (SharedHttpConnector, &'static str) {
        (SharedHttpConnector::new(self.clone()), URL)
    }
}

impl HttpConnector for Provider {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        assert_eq!(
            request.headers().get("authorization"),
            Some(format!("Bearer {API_KEY}").as_str())
        );
        let question = request
            .uri()
            .strip_prefix(&format!("{URL}/api/v1/midi/record-info?taskId="));
        let task = question.expect("a question about a task").to_owned();
        let provider = self.clone();
        HttpConnectorFuture::new(async move {
            let (fault, there, back) = provider.state().draw();
            let unreachable = |why: &str| Err(ConnectorError::io(why.into()));
            if fault == Some(Fault::Refused) {
                return unreachable("connection refused");
            }
            sleep(there).await;
            let answer = provider.state().answer(&task, fault);
            sleep(back).await;
            match fault {
                Some(Fault::AnswerLost) => unreachable("connection reset"),
                Some(Fault::Hang) => std::future::pending().await,
                _ => Ok(answer),
            }
        })
    }
}

impl State {
    /// The fault of a question, and how long it and its answer are on their way.
    fn draw(&mut self) -> (Option<Fault>, Duration, Duration) {
        let fault = (self.rng.f64() < self.chance)
            .then(|| self.rng.choice(Fault::ALL))
            .flatten();
        if let Some(fault) = fault {
            *self.drawn.entry(fault).or_default() += 1;
        }
        let mut way = |slowest| Duration::from_millis(self.rng.u64(5..slowest));
        let there = way(if fault == Some(Fault::Slow) { 15_000 } else { 200 });
        (fault, there, way(300))
    }

    /// Takes a question, and says what the provider answers.
    fn answer(&mut self, task: &str, fault: Option<Fault>) -> HttpResponse {
        let now = Instant::now();
        self.questions.push(Question {
            task: task.to_owned(),
            at: now,
        });
        if now < self.key_refused_until {
            self.keys_refused += 1;
            let message = format!("You do not have access permissions, {API_KEY}");
            return code(401, &message);
        }
        let record = self.tasks[task].record(task, now).to_string();
        match fault {
            Some(Fault::RateLimited) => code(429, "slow down"),
            Some(Fault::RateLimitedFor) => {
                let mut answer = response(429, r#"{"code":429,"msg":"slow down"}"#);
                let seconds = self.rng.u32(0..1200).to_string();
                answer.headers_mut().insert("retry-after", seconds);
                answer
            }
            Some(Fault::NoCredits) => code(402, "no credits"),
            Some(Fault::KeyLimit) => code(433, "the key's limit"),
            Some(Fault::Maintenance) => code(455, "maintenance"),
            Some(Fault::Failed) => {
                let codes = [408, 500, 501, 505, 531];
                code(self.rng.choice(codes).unwrap_or(500), "failed")
            }
            Some(Fault::Gateway) => response(502, "<html><title>502 Bad Gateway</title></html>"),
            Some(Fault::Blocked) => response(403, "error code: 1010"),
            Some(Fault::NotJson) => response(200, "<html>…</html>"),
            Some(Fault::CutOff) => response(200, &record[..record.len() / 2]),
            Some(Fault::Hang | Fault::Refused | Fault::AnswerLost | Fault::Slow) | None => response(200, &record),
        }
    }

    /// Checks when the questions came.
    pub fn check_distances(&self) {
        for (earlier, later) in self
            .questions
            .iter()
            .zip(self.questions.iter().skip(QUESTIONS_A_SECOND))
        {
            let passed = later.at - earlier.at;
            assert!(
                passed >= Duration::from_secs(1),
                "three questions within {passed:?}: {later:?}"
            );
        }
        let mut last = BTreeMap::new();
        for question in &self.questions {
            let before = last.insert(&question.task, question.at);
            let passed = before.map(|before| question.at - before);
            assert!(
                passed.is_none_or(|passed| passed >= BETWEEN_QUESTIONS_ABOUT_A_TASK),
                "two questions about one task within {passed:?}: {question:?}"
            );
        }
    }
}

/// An error as the provider writes it: the code is in the body.
fn code(code: u16, message: &str) -> HttpResponse {
    response(200, &json!({"code": code, "msg": message, "data": null}).to_string())
}

fn response(status: u16, body: &str) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).expect("a status"), SdkBody::from(body))
}
