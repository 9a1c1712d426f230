//! Progress on the terminal. Nothing is shown if standard error is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for a known number of things.
pub fn bar(length: u64, doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {eta}");
    let bar = ProgressBar::new(length).with_message(doing);
    bar.set_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> "),
    );
    bar
}

/// A growing count of these things, for when the total is not known.
pub fn counter(doing: String, things: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{msg}} {{human_pos}} {things} {{elapsed}}"));
    ProgressBar::no_length()
        .with_message(doing)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// What a command waits for, and for how long it has waited.
pub fn waiting() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
    let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
