//! S3, SQS and Secrets Manager in memory, behind the SDK's own clients: what is tested is what goes
//! over the wire, conditional headers included.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const BUCKET: &str = "midihook-bucket";
pub const QUEUE_URL: &str = "http://aws.test/000000000000/midihook-RenderQueue";

/// What goes wrong with one call, before the fake itself answers.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// This status with an error body, and no effect.
    Status(u16),
    /// No answer, ever, and no effect.
    Hang,
    /// The connection breaks after the effect took place.
    AnswerLost,
}

/// One call as it came over the wire.
#[derive(Debug, Clone)]
pub struct Call {
    /// `PUT raw/…`, `HEAD midi/…`, `SendMessage`, `GetSecretValue AWSCURRENT`.
    pub what: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Object {
    pub body: Vec<u8>,
    pub headers: BTreeMap<String, String>,
    pub etag: String,
}

#[derive(Debug, Default)]
pub struct State {
    pub calls: Vec<Call>,
    pub objects: BTreeMap<String, Object>,
    pub messages: Vec<String>,
    pub keys: BTreeMap<&'static str, String>,
    faults: Vec<(String, VecDeque<Fault>)>,
    writes: u64,
}

/// The fake account. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Aws(Arc<Mutex<State>>);

impl Aws {
    /// An account whose secret holds `key`.
    pub fn with_key(key: &str) -> Self {
        let aws = Self::default();
        aws.state().keys.insert("AWSCURRENT", key.to_owned());
        aws
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the state")
    }

    /// The next calls that begin with `what` go wrong so.
    pub fn fail(&self, what: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state()
            .faults
            .push((what.to_owned(), faults.into_iter().collect()));
    }

    /// What was called, in order.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.iter().map(|call| call.what.clone()).collect()
    }

    pub fn keys(&self) -> Vec<String> {
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

    /// A configuration like that of the Lambdas, with this account at its other end.
    pub fn config(&self) -> SdkConfig {
        let connector = SharedHttpConnector::new(self.clone());
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .endpoint_url("http://aws.test")
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
                aws_smithy_async::rt::sleep::TokioSleep::new(),
            ))
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(Duration::from_millis(1500))
                    .operation_timeout(Duration::from_secs(4))
                    .build(),
            )
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(3)
                    .with_initial_backoff(Duration::from_millis(1)),
            )
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build()
    }
}

impl HttpConnector for Aws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let call = Call::read(&request);
        let mut state = self.state();
        state.calls.push(call.clone());
        let fault = state
            .faults
            .iter_mut()
            .find(|(what, faults)| call.what.starts_with(what.as_str()) && !faults.is_empty());
        match fault.and_then(|(_, faults)| faults.pop_front()) {
            None => HttpConnectorFuture::ready(Ok(state.answer(&call))),
            Some(Fault::Status(status)) => {
                HttpConnectorFuture::ready(Ok(response(status, b"<Error><Code>Injected</Code></Error>".to_vec())))
            }
            Some(Fault::Hang) => HttpConnectorFuture::new(std::future::pending()),
            Some(Fault::AnswerLost) => {
                state.answer(&call);
                HttpConnectorFuture::ready(Err(ConnectorError::io("connection reset".into())))
            }
        }
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
                let path = request.uri().split(['?', '#']).next().unwrap_or_default();
                let key = path.split_once(&format!("{BUCKET}/")).map_or(path, |(_, key)| key);
                format!("{} {key}", request.method())
            }
        };
        Self { what, headers, body }
    }
}

impl State {
    fn answer(&mut self, call: &Call) -> HttpResponse {
        match call.what.split_once(' ').unwrap_or((&call.what, "")) {
            ("GetSecretValue", stage) => match self.keys.get(stage) {
                Some(key) => response(200, json!({"SecretString": key}).to_string().into()),
                None => response(400, json!({"__type": "ResourceNotFoundException"}).to_string().into()),
            },
            ("SendMessage", _) => {
                let body: Value = serde_json::from_slice(&call.body).expect("JSON");
                self.messages
                    .push(body["MessageBody"].as_str().expect("a body").to_owned());
                response(
                    200,
                    json!({"MessageId": "1", "MD5OfMessageBody": ""}).to_string().into(),
                )
            }
            ("PUT", key) => self.conditional_put(key, call),
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
                    response
                        .headers_mut()
                        .insert("last-modified", "Tue, 24 Nov 2026 00:00:00 GMT");
                    response
                }
                None if method == "HEAD" => response(404, Vec::new()),
                None => response(404, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
            },
            _ => panic!("the fake knows no {}", call.what),
        }
    }

    fn conditional_put(&mut self, key: &str, call: &Call) -> HttpResponse {
        let there = self.objects.get(key);
        if call.headers.get("if-none-match").is_some_and(|any| any == "*") && there.is_some() {
            return response(412, b"<Error><Code>PreconditionFailed</Code></Error>".to_vec());
        }
        if let Some(etag) = call.headers.get("if-match") {
            match there {
                None => return response(404, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
                Some(there) if there.etag != *etag => {
                    return response(412, b"<Error><Code>PreconditionFailed</Code></Error>".to_vec());
                }
                Some(_) => {}
            }
        }
        let metadata = call
            .headers
            .iter()
            .filter(|(name, _)| name.starts_with("x-amz-meta-") || *name == "content-type");
        let metadata = metadata.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.write(key, call.body.clone(), metadata);
        response(200, Vec::new())
    }

    fn write(&mut self, key: &str, body: Vec<u8>, headers: BTreeMap<String, String>) {
        self.writes += 1;
        let etag = format!("\"{:x}-{}\"", Sha256::digest(&body)[0], self.writes);
        self.objects.insert(key.to_owned(), Object { body, headers, etag });
    }
}

fn response(status: u16, body: Vec<u8>) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).expect("a status"), SdkBody::from(body))
}
