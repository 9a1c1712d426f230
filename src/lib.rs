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
//! - [`provider`] — what the provider sends and how it signs it
//! - [`score`] — notes as sent → notes that can be played
//! - [`midi`] — a score → the bytes of a file
//! - [`piano_roll`] — a score → a picture of it
//! - [`rendering`] — an archived body → the result document and the files
//!
//! At the edges, small structs over the SDK's clients:
//! - [`archive`] — S3, by conditional writes
//! - [`jobs`] — SQS
//! - [`keys`] — Secrets Manager
//!
//! In between, one room for each Lambda: [`receiver`] and [`renderer`]. `src/bin` holds what starts
//! them, and the command line `midihook`, which renders without AWS.

#![cfg_attr(test, allow(clippy::panic))]

pub mod archive;
pub mod aws;
pub mod jobs;
pub mod keys;
pub mod midi;
pub mod piano_roll;
pub mod provider;
pub mod receiver;
pub mod renderer;
pub mod rendering;
pub mod score;
pub mod settings;
mod task;
pub mod telemetry;

pub use task::{TaskId, UnfitTaskId};
