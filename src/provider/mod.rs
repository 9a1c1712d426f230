//! All that is peculiar to KIE.ai: what it sends, and how it signs it.
//!
//! The facts are from the provider's pages "MIDI Generation Callbacks", "Get MIDI Generation
//! Details" and "Webhook Security Verification". Where those pages disagree, every form is
//! accepted: a callback refused for its shape is a lost song.

pub mod callback;
pub mod signature;
pub mod task_ids;
