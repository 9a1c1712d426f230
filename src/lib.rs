//! The callback target for KIE.ai's Suno MIDI tasks.
//!
//! The provider turns the stems of a song into notes and hands them over once, as JSON, in a
//! webhook. midihook answers that webhook: it verifies the signature, keeps the exact bytes in S3,
//! queues their rendering, and renders them to a Standard MIDI File and a picture of it.
//!
//! ```text
//! provider ──POST /callback──▶ API Gateway ──▶ receiver λ   verify ▸ put ▸ send ▸ 200
//!                                               │        │
//!                          raw/<task>/<sha256>.json   render queue ──▶ dead-letter queue ▸ alarm
//!                                               │        │
//!                                               └──▶ renderer λ   callback ▸ score ▸ file
//!                                                        │
//!                                          midi/<task>.mid .svg .json ──▶ results queue, EventBridge
//! ```
//!
//! # The house
//!
//! Arrows run one way. The pure rooms know no AWS type and no clock:
//! `suno-midi`.
//!
//! At the edges, small structs over the SDK's clients:
//! - [`archive`] — S3, by conditional writes
//! - [`jobs`] — SQS
//! - [`key_ring`] — Secrets Manager
//!
//! In between, one room for each Lambda: [`receiver`] and [`renderer`]. `src/bin` holds what starts
//! them, and the command line `midihook`, which renders without AWS.

#![cfg_attr(test, allow(clippy::panic))]

pub mod archive;
pub mod clients;
pub mod jobs;
#[cfg(feature = "functions")]
pub mod key_ring;
#[cfg(feature = "functions")]
pub mod receiver;
#[cfg(feature = "functions")]
pub mod renderer;
#[cfg(feature = "functions")]
pub mod settings;
#[cfg(feature = "functions")]
pub mod telemetry;
