//! The callback target for KIE.ai's Suno MIDI tasks, on AWS Lambda.
//!
//! ```text
//! provider ──POST /callback──▶ API Gateway ──▶ receiver λ   verify ▸ put ▸ send ▸ 200
//!                                               │        │
//!                          raw/<task>/<sha256>.json   render queue ──▶ dead-letter queue ▸ alarm
//!                                               │        │
//!                                               └──▶ renderer λ   body ▸ score ▸ files
//!                                                        │
//!                                          midi/<task>.mid .svg .json ──▶ results queue, EventBridge
//! ```
//!
//! This crate is all that touches AWS. What the provider sends and how a song is written is [`suno_midi`], which knows no
//! AWS. `docs/architecture.md` is the map of the whole.
//!
//! # Rooms
//!
//! A room imports only from rooms below it.
//!
//! | | |
//! | --- | --- |
#![cfg_attr(feature = "functions", doc = "| [`receiver`] | the first Lambda: request → answer |")]
#![cfg_attr(
    feature = "functions",
    doc = "| [`renderer`] | the second Lambda: messages → results |"
)]
//! | [`intake`] | a verified body → stored and queued |
//! | [`archive`] | S3: bodies and results, by conditional writes |
//! | [`queue`] | SQS |
#![cfg_attr(feature = "functions", doc = "| [`key_ring`] | Secrets Manager: the signing keys |")]
//! | [`clients`] | what all AWS clients share: connections, time-outs, errors |
//! | [`announcement`], [`jobs`] | the messages |
//! | [`precedence`] | which of several bodies decides |
//! | [`objects`] | the names of objects |
#![cfg_attr(
    feature = "functions",
    doc = "| [`settings`], [`telemetry`] | the environment of a function |"
)]
//! | [`clock`] | time as a number |
//!
//! The feature `functions` (on by default) has the two Lambdas. The command line uses this crate without it.

#![cfg_attr(test, allow(clippy::panic))]

pub mod announcement;
pub mod archive;
pub mod clients;
pub mod clock;
pub mod intake;
pub mod jobs;
#[cfg(feature = "functions")]
pub mod key_ring;
pub mod objects;
pub mod precedence;
pub mod queue;
#[cfg(feature = "functions")]
pub mod receiver;
#[cfg(feature = "functions")]
pub mod renderer;
#[cfg(feature = "functions")]
pub mod settings;
#[cfg(feature = "functions")]
pub mod telemetry;
