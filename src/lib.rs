//! Receives the callbacks of KIE.ai's Suno MIDI tasks and renders them to MIDI files, on AWS Lambda.
//!
//! ```text
//! provider ──POST /callback──▶ API Gateway ──▶ receiver λ   verify ▸ put ▸ send ▸ 200
//!                                               │        │
//!                          raw/<task>/<sha256>.json   render queue ──▶ dead-letter queue ▸ alarm
//!                                               │        │
//!                                               └──▶ renderer λ   body ▸ score ▸ files
//!                                                        │
//!                                          midi/<task>.mid .svg .json ──▶ results queue, EventBridge
//!                                                                                             │
//!                                          your URL ◀── pusher λ   sign ▸ POST ◀── push queue ┘
//! ```
//!
//! This crate has the four functions and the code that talks to AWS. The wire format, the music and the files are in
//! [`suno_midi`], which knows nothing of AWS. `docs/architecture.md` is the map of all packages.
//!
//! # Rooms
//!
//! A room (module) imports only from rooms further down this table.
//!
//! | room | |
//! | --- | --- |
//! | `receiver` | the first Lambda: request → answer |
//! | `renderer` | the second Lambda: messages → results |
//! | `reconciler` | the third Lambda: looks at each watched task until it has a result |
//! | `pusher` | the fourth Lambda: pushes each result to a URL, if there is one |
//! | `batch` | a batch of messages, one after the other |
//! | `settings`, `telemetry` | the environment of a function: what it reads, what it writes |
//! | `tips` | an unsigned callback → a look at the task, if it is watched |
//! | [`intake`] | a verified body → stored and queued |
//! | `results` | a result → published and announced |
//! | [`archive`] | S3: bodies and results, by conditional writes |
//! | [`queue`] | SQS |
//! | `key_ring` | Secrets Manager: the keys of a secret, also while they are rotated |
//! | `account` | the account at the provider: its API key, and the client that uses it |
//! | `push` | one signed push over HTTPS |
//! | `webhooks` | its signature |
//! | `provider` | the provider's API over HTTPS |
//! | [`clients`], [`call_error`] | what all AWS clients share: connections, time-outs, errors |
//! | [`watch`] | a watched task: its object, and its messages |
//! | [`announcement`], [`jobs`] | the messages |
//! | [`precedence`] | which of several bodies decides |
//! | [`objects`] | the names of objects |
//! | [`clock`] | time as a number, and ages |
//!
//! The feature `functions` (on by default) adds the four Lambdas and what only they need. The command line uses this
//! crate without it, but with the feature `provider`, which is the room of that name.

#![cfg_attr(test, allow(clippy::panic))]

#[cfg(feature = "functions")]
pub mod account;
pub mod announcement;
pub mod archive;
#[cfg(feature = "functions")]
pub mod batch;
pub mod call_error;
pub mod clients;
pub mod clock;
pub mod intake;
pub mod jobs;
#[cfg(feature = "functions")]
pub mod key_ring;
pub mod objects;
pub mod precedence;
#[cfg(feature = "provider")]
pub mod provider;
#[cfg(feature = "functions")]
pub mod push;
#[cfg(feature = "functions")]
pub mod pusher;
pub mod queue;
#[cfg(feature = "functions")]
pub mod receiver;
#[cfg(feature = "functions")]
pub mod reconciler;
#[cfg(feature = "functions")]
pub mod renderer;
#[cfg(feature = "functions")]
pub mod results;
#[cfg(feature = "functions")]
pub mod settings;
#[cfg(feature = "functions")]
pub mod telemetry;
#[cfg(feature = "functions")]
pub mod tips;
pub mod watch;
#[cfg(feature = "functions")]
pub mod webhooks;
