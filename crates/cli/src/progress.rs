//! Progress on the terminal. Nothing is shown if standard error is not a terminal.

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

/// A growing count of callbacks, for when the total is not known.
pub fn counter(doing: String) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {human_pos} callbacks {elapsed}");
    ProgressBar::no_length()
        .with_message(doing)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}
