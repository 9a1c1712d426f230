//! The edges: both handlers over a fake account, asserting what goes over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chaos;
mod fake;
mod receiver;
mod renderer;
