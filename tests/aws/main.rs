//! The handlers and the intake over an AWS account in memory: what goes over the wire, and what survives faults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chaos;
mod client;
mod fake;
mod hint;
mod intake;
mod provider;
mod pusher;
mod queue;
mod receiver;
mod reconciler;
mod renderer;
mod server;
mod ten_thousand;
mod trace;
