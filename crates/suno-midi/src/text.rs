//! Text that every reader accepts.

/// Puts a text on one line, at most `longest` characters of it. Control characters and the two noncharacters that XML
/// and SQS refuse become spaces; runs of white space become one space.
pub(crate) fn plain(text: &str, longest: usize) -> String {
    let refused = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    let spaced: String = text.chars().map(|c| if refused(c) { ' ' } else { c }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.join(" ").chars().take(longest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_without_refused_characters() {
        assert_eq!(
            plain("  Grand\u{0}\tPiano\u{7f}\u{ffff}\u{fffe}x\n", 120),
            "Grand Piano x"
        );
        assert_eq!(plain("Ütter 鼓", 120), "Ütter 鼓");
    }

    #[test]
    fn length_counts_characters_not_bytes() {
        assert_eq!(plain(&"é".repeat(500), 120), "é".repeat(120));
    }
}
