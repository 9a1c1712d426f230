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
//! [`suno_midi`], which knows nothing of AWS. `docs/architecture.md` has the walkthroughs.
//!
//! # Rooms
//!
//! A room (module) imports only from rooms further down this table.
//!
//! | room | |
//! | --- | --- |
//! | `receiver` | the first Lambda: request → answer |
//! | `renderer` | the second Lambda: jobs → results |
//! | `reconciler` | the third Lambda: checks each watched task until it has a result; `decide` is its pure decision |
//! | `pusher` | the fourth Lambda: pushes each result to a URL, if there is one |
//! | `batch` | a batch of messages, one after the other |
//! | `hint` | a callback → a check of its task now |
//! | `intake` | a body → stored and queued |
//! | `publish` | a result → published and announced |
//! | [`provider`] | the provider's API over HTTPS; `account` has its key |
//! | [`messages`] | the messages of the queues |
//! | [`bucket`] | S3: keys, bodies, results and their precedence, watched tasks |
//! | [`aws`] | what all calls to AWS share: clients, errors, queues, secrets |
//! | `env`, `telemetry` | the environment of a function, its logs and metrics |
//! | [`time`] | time as a number, and ages |
//!
//! The feature `functions` (on by default) adds the four Lambdas and what only they need. The command line uses this
//! crate without it, but with the feature `provider`, which is the room of that name.

#![cfg_attr(test, allow(clippy::panic))]

pub mod aws;
pub mod bucket;
pub mod env;
pub mod messages;
#[cfg(feature = "provider")]
pub mod provider;
pub mod time;

#[cfg(feature = "functions")]
pub mod batch;
#[cfg(feature = "functions")]
pub mod hint;
#[cfg(feature = "functions")]
pub mod intake;
#[cfg(feature = "functions")]
pub mod publish;
#[cfg(feature = "functions")]
pub mod pusher;
#[cfg(feature = "functions")]
pub mod receiver;
#[cfg(feature = "functions")]
pub mod reconciler;
#[cfg(feature = "functions")]
pub mod renderer;
#[cfg(feature = "functions")]
pub mod telemetry;
