//! Reads JSON in one pass, without building its values.
//!
//! A callback is nearly all notes, so their brackets, names and numbers decide how long reading takes. [`Reader`] reads
//! these plain forms itself and leaves all others to serde_json, so that both accept the same texts.

use std::{borrow::Cow, fmt};

use serde::de::{Deserializer, IgnoredAny, Visitor};

/// The text is not JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// A place in a text.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is no white space; `None` at the end.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                next => return next.copied(),
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Broken> {
        if self.peek() != Some(byte) {
            return Err(Broken);
        }
        self.at += 1;
        Ok(())
    }

    /// Reads an object. `each` reads the value of one member.
    pub(super) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.members(|reader, name| each(reader, text_of(name).ok_or(Broken)?))
    }

    /// Reads an object without decoding its names: they are as they were sent, with their quotes.
    pub(super) fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, &'a str) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.items(b'{', b'}', |reader| {
            if reader.peek() != Some(b'"') {
                return Err(Broken);
            }
            let name = reader.value()?;
            reader.expect(b':')?;
            each(reader, name)
        })
    }

    /// Reads a list. `each` reads one value.
    pub(super) fn list(&mut self, each: impl FnMut(&mut Self) -> Result<(), Broken>) -> Result<(), Broken> {
        self.items(b'[', b']', each)
    }

    fn items(
        &mut self,
        open: u8,
        close: u8,
        mut each: impl FnMut(&mut Self) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.expect(open)?;
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            each(self)?;
            let next = self.peek();
            self.at += 1;
            if next == Some(close) {
                return Ok(());
            }
            if next != Some(b',') {
                return Err(Broken);
            }
        }
    }

    /// Reads any value: its text.
    pub(super) fn value(&mut self) -> Result<&'a str, Broken> {
        match self.peek() {
            Some(b'"') => self.plain_string().map_or_else(|| self.other(), Ok),
            Some(b'0'..=b'9') => self.number(),
            _ => self.other(),
        }
    }

    /// Skips an object or a list. Unlike [`Reader::value`], it needs no memory for their depth, and does not check that
    /// they are JSON.
    pub(super) fn skip_nested(&mut self) -> Result<(), Broken> {
        let mut depth = 0_usize;
        loop {
            match self.peek().ok_or(Broken)? {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1).ok_or(Broken)?,
                b'"' => {
                    self.value()?;
                    continue;
                }
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Reads any value with `read`, which may return something more than its text.
    pub(super) fn with_text<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Broken>,
    ) -> Result<(&'a str, T), Broken> {
        self.peek();
        let from = self.at;
        let value = read(self)?;
        Ok((&self.text[from..self.at], value))
    }

    /// Checks that nothing follows.
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        self.peek().map_or(Ok(()), |_| Err(Broken))
    }

    /// A string without escapes, with its quotes.
    fn plain_string(&mut self) -> Option<&'a str> {
        let content = &self.text.as_bytes()[self.at + 1..];
        let end = content
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
        (content[end] == b'"').then(|| self.take(end + 2))
    }

    fn number(&mut self) -> Result<&'a str, Broken> {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = digits(0);
        let mut length = whole;
        if rest.get(whole) == Some(&b'.') {
            length += 1 + digits(whole + 1);
        }
        let leads_with_zero = rest[0] == b'0' && whole > 1;
        let goes_on = matches!(rest.get(length), Some(b'e' | b'E'));
        if leads_with_zero || goes_on || rest[length - 1] == b'.' {
            return self.other();
        }
        Ok(self.take(length))
    }

    /// Reads what serde_json makes of the rest. It does not recurse, so any nesting is fine.
    fn other(&mut self) -> Result<&'a str, Broken> {
        let mut values = serde_json::Deserializer::from_str(&self.text[self.at..]).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => Ok(self.take(values.byte_offset())),
            _ => Err(Broken),
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let from = self.at;
        self.at += length;
        &self.text[from..self.at]
    }
}

/// Decodes a JSON string; `None` if the value is not a string. Replaces a lone surrogate, which JSON can escape but UTF-8
/// cannot encode.
pub(super) fn text_of(value: &str) -> Option<Cow<'_, str>> {
    match plain_text_of(value)? {
        Some(text) => Some(Cow::Borrowed(text)),
        None => decoded(value, str::to_owned).map(Cow::Owned),
    }
}

/// Calls `read` with a decoded JSON string; `None` if the value is not a string. The decoded copy is freed on return.
pub(super) fn with_text_of<T>(value: &str, read: impl FnOnce(&str) -> T) -> Option<T> {
    match plain_text_of(value)? {
        Some(text) => Some(read(text)),
        None => decoded(value, read),
    }
}

/// Outer `None`: this is not a JSON string. Inner `None`: it has escapes.
fn plain_text_of(value: &str) -> Option<Option<&str>> {
    let content = value.strip_prefix('"')?.strip_suffix('"')?;
    Some((!content.contains('\\')).then_some(content))
}

fn decoded<T>(value: &str, read: impl FnOnce(&str) -> T) -> Option<T> {
    /// Reads the string in serde_json's own buffer.
    struct Within<F>(F);
    impl<F: FnOnce(&str) -> T, T> Visitor<'_> for Within<F> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<T, E> {
            Ok((self.0)(&String::from_utf8_lossy(bytes)))
        }
    }
    serde_json::Deserializer::from_str(value)
        .deserialize_bytes(Within(read))
        .ok()
}

/// A number, or a string that holds one; infinite if it is too large for an `f64`.
pub(super) fn number_of(value: &str) -> Option<f64> {
    if value.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return value.parse().ok();
    }
    let content = value.strip_prefix('"')?.strip_suffix('"')?;
    // Escapes and white space are rare.
    content.parse().ok().or_else(|| text_of(value)?.trim().parse().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Reads a value, and each value in it.
    fn walk(reader: &mut Reader<'_>) -> Result<(), Broken> {
        match reader.peek() {
            Some(b'{') => reader.object(|reader, _| walk(reader)),
            Some(b'[') => reader.list(walk),
            _ => reader.value().map(drop),
        }
    }

    #[test]
    fn a_text_is_read_if_serde_json_reads_it() {
        let values = [
            "0",
            "-0",
            "7",
            "12.50",
            "1e3",
            "1E+2",
            "1.5e-7",
            "1e999",
            "01",
            "00",
            "1.",
            ".5",
            "-",
            "-01",
            "+1",
            "1e",
            "1.e5",
            "1..2",
            "0x1",
            "null",
            "nul",
            "nulll",
            "true",
            "false",
            "NaN",
            r#""""#,
            r#""a""#,
            r#""\n""#,
            r#""\ud800""#,
            r#""\u12""#,
            r#""\x""#,
            "\"\n\"",
            "\"",
            "\"é\"",
            "'a'",
            "{}",
            "[]",
            "",
            "1 2",
            "[1,]",
            "[,1]",
            "[1 2]",
            r#"{"a":1,}"#,
            r#"{"a"}"#,
            r#"{"a" 1}"#,
            r#"{a:1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"\u0061":1}"#,
            r#"{"\q":1}"#,
            "{\"\\n\n\":1}",
            r#"{"\ud800":1}"#,
            "{1:1}",
        ];
        for value in values {
            for text in [
                value.to_owned(),
                format!(" [ {value} ,\r\n\t{value}]"),
                format!(r#"{{"a":{value}, "b" :{value} }} "#),
                format!("[{value}"),
                format!("{value}]"),
                format!("\u{a0}{value}"),
            ] {
                let mut reader = Reader::new(&text);
                let read = walk(&mut reader).and_then(|()| reader.end());
                assert_eq!(
                    read.is_ok(),
                    serde_json::from_str::<IgnoredAny>(&text).is_ok(),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_value_is_read_as_it_was_sent() {
        let mut reader = Reader::new(r#" [ 1.50,"a" , "\n",{"x": [1]}, -2e3 ,null]"#);
        let mut values = Vec::new();
        let (text, ()) = reader
            .with_text(|reader| {
                reader.list(|reader| {
                    values.push(reader.value()?);
                    Ok(())
                })
            })
            .unwrap();
        assert_eq!(values, ["1.50", r#""a""#, r#""\n""#, r#"{"x": [1]}"#, "-2e3", "null"]);
        assert!(text.starts_with("[ 1.50") && text.ends_with("null]"));
        assert_eq!(reader.end(), Ok(()));
    }
}
