//! Text that every reader accepts.

/// Puts a text on one line, at most `longest` characters of it. Control characters and the two noncharacters that XML
/// and SQS refuse become spaces; runs of white space become one space.
pub(crate) fn plain(text: &str, longest: usize) -> String {
    let refused = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    let spaced: String = text.chars().map(|c| if refused(c) { ' ' } else { c }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.join(" ").chars().take(longest).collect()
}

/// The words of a text as part of a file name: their ASCII letters in lower case and their digits, with hyphens between
/// the words, at most `longest` characters. Empty if the text has none of these.
pub(crate) fn slug(text: &str, longest: usize) -> String {
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let mut slug = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    slug.truncate(longest);
    slug.truncate(slug.trim_end_matches('-').len());
    slug
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
    fn a_slug_has_only_lower_case_letters_digits_and_single_hyphens() {
        for (text, expected) in [
            ("Electric Bass (finger)", "electric-bass-finger"),
            ("--Lead 1__(square)!", "lead-1-square"),
            ("../../etc/passwd", "etc-passwd"),
            ("Ünïcode 鼓", "n-code"),
            ("鼓", ""),
            ("", ""),
        ] {
            assert_eq!(slug(text, 40), expected, "{text:?}");
        }
        assert_eq!(slug(&"x".repeat(100), 40), "x".repeat(40));
        assert_eq!(slug("bass guitar", 5), "bass");
    }

    #[test]
    fn length_counts_characters_not_bytes() {
        assert_eq!(plain(&"é".repeat(500), 120), "é".repeat(120));
    }
}
