//! S3, SQS and Secrets Manager in memory, behind the SDK's own clients. The tests see what goes over the wire,
//! including the headers of conditional writes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::{
    body::SdkBody,
    date_time::{DateTime, Format},
};
use midihook::{
    aws::config::Timeouts,
    provider::{self, account::AccountSettings},
    pusher::{self, Pusher, PusherSettings},
    receiver::{self, CallbackTrust, Receiver, ReceiverSettings},
    reconciler::{self, Reconciler, ReconcilerSettings},
    renderer::{self, Renderer, RendererSettings},
};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use suno_midi::{Digest, Options};
use tokio::{sync::Notify, time::Instant};

pub const BUCKET: &str = "midihook-bucket";
pub const QUEUE_URL: &str = "http://aws.test/000000000000/midihook-RenderQueue";
pub const RESULTS_URL: &str = "http://aws.test/000000000000/results";
const API_KEY_SECRET: &str = "api-key";
const PUSH_URL: &str = "http://aws.test/000000000000/push";
pub const WATCH_URL: &str = "http://aws.test/000000000000/watch";

/// Where the account's clock begins, in Unix seconds: 2026-11-24.
const EPOCH: u64 = 1_795_478_400;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status with an error body; no effect.
    Status(u16),
    /// The service's own throttling error; no effect.
    Throttled,
    /// Only the first half of the answer's body arrives.
    CutOff,
    /// No connection; no effect.
    Refused,
    /// No answer, ever; no effect.
    Hang,
    /// The effect takes place, but its answer never arrives.
    HangAfter,
    /// The connection breaks after the effect took place.
    AnswerLost,
    /// No answer; the effect takes place after the caller has given up.
    Late(Duration),
    /// The caller's process ends before the effect takes place.
    Crash,
    /// The caller's process ends after the effect took place.
    CrashAfter,
}

/// Faults drawn from a seed.
#[derive(Debug)]
pub struct Chaos {
    pub rng: fastrand::Rng,
    /// The probability that a call goes wrong, 0 to 1.
    pub chance: f64,
    /// How long a call takes to arrive at most, in milliseconds.
    pub slowest: u64,
    /// How often each fault was drawn.
    pub drawn: BTreeMap<String, u64>,
}

impl Chaos {
    pub fn new(rng: fastrand::Rng, chance: f64) -> Self {
        Self {
            rng,
            chance,
            slowest: 300,
            drawn: BTreeMap::new(),
        }
    }

    fn draw(&mut self, call: &Call) -> Option<Fault> {
        if self.rng.f64() >= self.chance {
            return None;
        }
        let fault = match self.rng.u8(0..12) {
            0 => Fault::Status(500),
            1 => Fault::Status(503),
            2 => Fault::Throttled,
            3 if call.what.starts_with("PUT") => Fault::Status(409),
            3 if call.what.starts_with("GET ") => Fault::CutOff,
            3 | 4 => Fault::Refused,
            5 => Fault::Hang,
            6 => Fault::HangAfter,
            7 | 8 => Fault::AnswerLost,
            9 => Fault::Late(Duration::from_millis(self.rng.u64(1..60_000))),
            10 => Fault::Crash,
            _ => Fault::CrashAfter,
        };
        let name = format!("{fault:?}");
        let name = name
            .split_once('(')
            .filter(|(kind, _)| *kind == "Late")
            .map_or(name.as_str(), |(kind, _)| kind);
        *self.drawn.entry(name.to_owned()).or_default() += 1;
        Some(fault)
    }
}

/// A call as it came over the wire.
#[derive(Debug, Clone)]
pub struct Call {
    /// `PUT raw/…`, `HEAD midi/…`, `LIST raw/t/`, `SendMessage`, `GetSecretValue AWSCURRENT`.
    pub what: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Object {
    pub body: Vec<u8>,
    pub headers: BTreeMap<String, String>,
    pub etag: String,
    /// When it was written.
    pub stored: DateTime,
}

#[derive(Debug, Default)]
pub struct State {
    pub calls: Vec<Call>,
    pub objects: BTreeMap<String, Object>,
    /// The messages sent, in order: the URL of the queue, the body.
    pub messages: Vec<(String, String)>,
    /// The delays of these messages, if they have one of their own.
    pub delays: Vec<Option<Duration>>,
    pub signing_keys: BTreeMap<&'static str, String>,
    /// The API key of the provider.
    pub api_key: Option<String>,
    /// Every object ever written, in order.
    pub written: Vec<(String, Object)>,
    pub clock: Clock,
    /// Draws the faults of calls for which none was planned.
    pub chaos: Option<Chaos>,
    faults: Vec<(String, VecDeque<Fault>)>,
}

/// What the clock of the account shows.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// Always this.
    Stopped(SystemTime),
    /// The time that has passed since then, after the moment at which every account begins.
    Running(Instant),
}

impl Default for Clock {
    fn default() -> Self {
        Self::Stopped(Self::beginning())
    }
}

impl Clock {
    fn beginning() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH)
    }

    pub fn now(self) -> SystemTime {
        match self {
            Self::Stopped(time) => time,
            Self::Running(since) => Self::beginning() + since.elapsed(),
        }
    }
}

static REGIONS: AtomicU64 = AtomicU64::new(0);

/// The fake account as one process sees it. Clones share the account and the process.
#[derive(Debug, Clone, Default)]
pub struct Aws {
    state: Arc<Mutex<State>>,
    killed: Arc<Notify>,
    changed: Arc<Notify>,
}

impl Aws {
    /// An account whose secret holds `key`.
    pub fn with_key(key: &str) -> Self {
        let aws = Self::default();
        aws.state().signing_keys.insert("AWSCURRENT", key.to_owned());
        aws
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the state")
    }

    /// The same account for another process.
    pub fn process(&self) -> Self {
        Self {
            killed: Arc::default(),
            ..self.clone()
        }
    }

    /// Waits for a fault that ends this process.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }

    /// Waits until a call has come that may have sent a message or written an object.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The bodies of all messages sent to any queue.
    pub fn messages(&self) -> Vec<String> {
        self.state().messages.iter().map(|(_, body)| body.clone()).collect()
    }

    /// Makes the next calls that begin with `what` fail with these faults.
    pub fn fail(&self, what: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state()
            .faults
            .push((what.to_owned(), faults.into_iter().collect()));
    }

    /// No planned fault happens any more.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// The calls, in order.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.iter().map(|call| call.what.clone()).collect()
    }

    pub fn object_names(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    pub fn put(&self, key: &str, body: &[u8], metadata: &[(&str, &str)]) {
        let headers = metadata
            .iter()
            .map(|(name, value)| (format!("x-amz-meta-{name}"), (*value).to_owned()))
            .collect();
        self.state().write(key, body.to_vec(), headers);
    }

    pub fn body(&self, key: &str) -> Vec<u8> {
        self.state()
            .objects
            .get(key)
            .unwrap_or_else(|| panic!("no object {key}"))
            .body
            .clone()
    }

    /// A receiver over this account.
    pub fn receiver(&self) -> Receiver {
        self.receiver_with(CallbackTrust::Body)
    }

    /// The same, with this trust in callbacks.
    pub fn receiver_with(&self, trust: CallbackTrust) -> Receiver {
        let settings = ReceiverSettings {
            key_secret_id: "secret".to_owned(),
            bucket: BUCKET.to_owned(),
            render_queue_url: QUEUE_URL.to_owned(),
            watch_queue_url: WATCH_URL.to_owned(),
            tolerance: "300".parse().expect("a tolerance"),
            trust,
        };
        Receiver::new(&self.config(receiver::TIMEOUTS), settings)
    }

    /// A renderer over this account.
    pub fn renderer(&self) -> Renderer {
        let settings = RendererSettings {
            bucket: BUCKET.to_owned(),
            results_queue_url: RESULTS_URL.to_owned(),
            options: Options::default(),
        };
        Renderer::new(&self.config(renderer::TIMEOUTS), settings)
    }

    /// A reconciler over this account; if there is a provider to ask, then over these connections to this URL.
    pub fn reconciler(&self, provider: Option<(SharedHttpConnector, &str)>) -> Reconciler {
        let (http, url) = provider.unzip();
        let settings = ReconcilerSettings {
            bucket: BUCKET.to_owned(),
            render_queue_url: QUEUE_URL.to_owned(),
            results_queue_url: RESULTS_URL.to_owned(),
            watch_queue_url: WATCH_URL.to_owned(),
            account: url.map(|url| AccountSettings {
                key_secret_id: API_KEY_SECRET.to_owned(),
                url: url.parse().expect("a URL"),
            }),
        };
        let http = || http.unwrap_or_else(provider::https);
        Reconciler::new(&self.config(reconciler::TIMEOUTS), http, settings)
    }

    /// A pusher over this account and over these connections to this URL.
    pub fn pusher(&self, http: SharedHttpConnector, url: &str) -> Pusher {
        let settings = PusherSettings {
            bucket: BUCKET.to_owned(),
            push_queue_url: PUSH_URL.to_owned(),
            push_url: url.parse().expect("a URL"),
            push_secret_id: "secret".to_owned(),
        };
        Pusher::new(&self.config(pusher::TIMEOUTS), http, settings)
    }

    fn answer(&self, call: &Call) -> HttpResponse {
        let answer = self.state().answer(call);
        self.changed.notify_one();
        answer
    }

    /// The configuration of a function over this account.
    pub fn config(&self, timeouts: Timeouts) -> SdkConfig {
        let connector = SharedHttpConnector::new(self.clone());
        // Clients of one region share the SDK's retry quota. Two accounts of the tests must not.
        let region = format!("test-{}", REGIONS.fetch_add(1, Ordering::Relaxed));
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region))
            .endpoint_url("http://aws.test")
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
                aws_smithy_async::rt::sleep::TokioSleep::new(),
            ))
            .timeout_config(timeouts.config())
            .retry_config(timeouts.retries())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build()
    }
}

impl HttpConnector for Aws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let call = Call::read(&request);
        let (fault, latency) = self.state().receive(&call);
        let aws = self.clone();
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(latency).await;
            let effect = || aws.answer(&call);
            let unreachable = |why: &str| Err(ConnectorError::io(why.into()));
            match fault {
                None => return Ok(effect()),
                Some(Fault::Status(status)) => return Ok(call.error(status, "Injected")),
                Some(Fault::Throttled) => return Ok(call.throttled()),
                Some(Fault::CutOff) => {
                    let mut answer = effect();
                    let whole = answer.body().bytes().expect("no streaming bodies");
                    *answer.body_mut() = SdkBody::from(&whole[..whole.len() / 2]);
                    return Ok(answer);
                }
                Some(Fault::Refused) => return unreachable("connection refused"),
                Some(Fault::AnswerLost) => {
                    effect();
                    return unreachable("connection reset");
                }
                Some(Fault::Late(by)) => {
                    tokio::spawn(async move {
                        tokio::time::sleep(by).await;
                        aws.answer(&call);
                    });
                }
                Some(Fault::HangAfter) => drop(effect()),
                Some(Fault::Hang) => {}
                Some(fault @ (Fault::Crash | Fault::CrashAfter)) => {
                    if fault == Fault::CrashAfter {
                        effect();
                    }
                    aws.killed.notify_one();
                }
            }
            std::future::pending().await
        })
    }
}

impl Call {
    fn read(request: &HttpRequest) -> Self {
        let headers: BTreeMap<String, String> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let body = request.body().bytes().expect("no streaming bodies").to_vec();
        let what = match headers.get("x-amz-target").and_then(|target| target.split_once('.')) {
            Some((_, "GetSecretValue")) => {
                let stage = serde_json::from_slice::<Value>(&body).expect("JSON")["VersionStage"].to_string();
                format!("GetSecretValue {}", stage.trim_matches('"'))
            }
            Some((_, operation)) => operation.to_owned(),
            None => {
                let (path, query) = request.uri().split_once('?').unwrap_or((request.uri(), ""));
                let key = path.split_once(&format!("{BUCKET}/")).map_or(path, |(_, key)| key);
                match query.split('&').find_map(|pair| pair.strip_prefix("prefix=")) {
                    Some(prefix) => format!("LIST {}", percent_decode_str(prefix).decode_utf8_lossy()),
                    None if query.starts_with("location") => "GetBucketLocation".to_owned(),
                    None => format!("{} {key}", request.method()),
                }
            }
        };
        Self { what, headers, body }
    }

    /// An error as the service writes it: XML from S3, JSON from the others, nothing for a HEAD.
    fn error(&self, status: u16, code: &str) -> HttpResponse {
        let body = if self.what.starts_with("HEAD ") {
            String::new()
        } else if self.headers.contains_key("x-amz-target") {
            json!({ "__type": code }).to_string()
        } else {
            format!("<Error><Code>{code}</Code></Error>")
        };
        response(status, body.into())
    }

    /// The throttling errors of the three API references.
    fn throttled(&self) -> HttpResponse {
        match self.what.split(' ').next() {
            Some("GetSecretValue") => self.error(400, "ThrottlingException"),
            Some("SendMessage") => self.error(400, "RequestThrottled"),
            _ => self.error(503, "SlowDown"),
        }
    }
}

impl State {
    /// Records a call. Returns its fault, and how long the call takes to arrive.
    fn receive(&mut self, call: &Call) -> (Option<Fault>, Duration) {
        self.calls.push(call.clone());
        let planned = self
            .faults
            .iter_mut()
            .find(|(what, faults)| call.what.starts_with(what.as_str()) && !faults.is_empty());
        if let Some((_, faults)) = planned {
            return (faults.pop_front(), Duration::ZERO);
        }
        let Some(chaos) = &mut self.chaos else {
            return (None, Duration::ZERO);
        };
        let latency = Duration::from_millis(chaos.rng.u64(1..chaos.slowest));
        (chaos.draw(call), latency)
    }

    fn answer(&mut self, call: &Call) -> HttpResponse {
        match call.what.split_once(' ').unwrap_or((&call.what, "")) {
            ("GetSecretValue", stage) => match self.secret(&call.body, stage) {
                Some(key) => response(200, json!({"SecretString": key}).to_string().into()),
                None => call.error(400, "ResourceNotFoundException"),
            },
            ("SendMessage", _) => {
                let body: Value = serde_json::from_slice(&call.body).expect("JSON");
                let text = |name: &str| body[name].as_str().expect("a text").to_owned();
                self.messages.push((text("QueueUrl"), text("MessageBody")));
                self.delays.push(body["DelaySeconds"].as_u64().map(Duration::from_secs));
                response(
                    200,
                    json!({"MessageId": "1", "MD5OfMessageBody": ""}).to_string().into(),
                )
            }
            ("GetBucketLocation", _) => response(200, b"<LocationConstraint/>".into()),
            ("GetQueueAttributes", _) => response(200, b"{}".into()),
            ("ChangeMessageVisibility", _) => response(200, Vec::new()),
            ("PUT", key) => self.conditional_put(key, call),
            ("DELETE", key) => match self.if_match(key, call) {
                Some(error) => error,
                None => {
                    self.objects.remove(key);
                    response(204, Vec::new())
                }
            },
            ("LIST", prefix) => self.list(prefix),
            (method @ ("GET" | "HEAD"), key) => match self.objects.get(key) {
                Some(object) => {
                    let body = if method == "GET" {
                        object.body.clone()
                    } else {
                        Vec::new()
                    };
                    let mut response = response(200, body);
                    for (name, value) in object.headers.iter().chain([(&"etag".to_owned(), &object.etag)]) {
                        response.headers_mut().insert(name.clone(), value.clone());
                    }
                    let length = object.body.len().to_string();
                    response.headers_mut().insert("content-length", length);
                    let stored = object.stored.fmt(Format::HttpDate).expect("a date");
                    response.headers_mut().insert("last-modified", stored);
                    response
                }
                None => call.error(404, "NoSuchKey"),
            },
            _ => panic!("the fake knows no {}", call.what),
        }
    }

    fn secret(&self, request: &[u8], stage: &str) -> Option<&String> {
        let request: Value = serde_json::from_slice(request).expect("JSON");
        match request["SecretId"] == API_KEY_SECRET {
            true => self.api_key.as_ref(),
            false => self.signing_keys.get(stage),
        }
    }

    fn conditional_put(&mut self, key: &str, call: &Call) -> HttpResponse {
        let there = self.objects.get(key);
        if call.headers.get("if-none-match").is_some_and(|any| any == "*") && there.is_some() {
            return call.error(412, "PreconditionFailed");
        }
        if let Some(error) = self.if_match(key, call) {
            return error;
        }
        let metadata = call
            .headers
            .iter()
            .filter(|(name, _)| name.starts_with("x-amz-meta-") || *name == "content-type");
        let metadata = metadata.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.write(key, call.body.clone(), metadata);
        let mut response = response(200, Vec::new());
        response.headers_mut().insert("etag", self.objects[key].etag.clone());
        response
    }

    /// The error if the object is not the one that the call names.
    fn if_match(&self, key: &str, call: &Call) -> Option<HttpResponse> {
        let etag = call.headers.get("if-match")?;
        match self.objects.get(key) {
            None => Some(call.error(404, "NoSuchKey")),
            Some(there) if there.etag != *etag => Some(call.error(412, "PreconditionFailed")),
            Some(_) => None,
        }
    }

    fn list(&self, prefix: &str) -> HttpResponse {
        let found = self.objects.range(prefix.to_owned()..);
        let found = found.take_while(|(key, _)| key.starts_with(prefix));
        let contents: String = found
            .map(|(key, object)| {
                let stored = object.stored.fmt(Format::DateTime).expect("a date");
                format!("<Contents><Key>{key}</Key><LastModified>{stored}</LastModified></Contents>")
            })
            .collect();
        let list = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>");
        response(200, list.into_bytes())
    }

    pub fn write(&mut self, key: &str, body: Vec<u8>, headers: BTreeMap<String, String>) {
        // A hash of the bytes alone, like S3's MD5: equal bytes have equal ETags.
        let etag = format!("\"{}\"", Digest::of(&body));
        let object = Object {
            body,
            headers,
            etag,
            stored: DateTime::from(self.clock.now()),
        };
        self.written.push((key.to_owned(), object.clone()));
        self.objects.insert(key.to_owned(), object);
    }
}

/// What SQS gives a function: these messages, with the ids `m1`, `m2` and so on.
pub fn sqs_event(bodies: &[impl AsRef<str>]) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = (1..)
        .zip(bodies)
        .map(|(id, body)| {
            let mut message = SqsMessage::default();
            message.message_id = Some(format!("m{id}"));
            message.body = Some(body.as_ref().to_owned());
            message
        })
        .collect();
    event
}

fn response(status: u16, body: Vec<u8>) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).expect("a status"), SdkBody::from(body))
}
