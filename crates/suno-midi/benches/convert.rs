//! `make bench`: what the conversion of callbacks costs in a program, for tests/bench, which compares it with others.
//!
//! For each file that is named it prints the median times as a line of JSON, in milliseconds.
#![allow(clippy::expect_used)] // a benchmark that fails should say where

mod timing;

use std::{fs, hint::black_box};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};
use suno_midi::{
    Options, convert,
    options::{RenderOptions, TempoChoice},
};
use timing::median;

/// The callback as plain structs: the least that reading it costs with serde_json.
#[derive(Deserialize)]
struct Plain {
    data: PlainData,
}

#[derive(Deserialize)]
struct PlainData {
    instruments: Vec<PlainInstrument>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only read")]
struct PlainInstrument {
    name: String,
    notes: Vec<PlainNote>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only read")]
struct PlainNote {
    pitch: Number,
    start: Number,
    end: Number,
    velocity: Number,
}

/// A number, or a string that holds one.
#[expect(dead_code, reason = "only read")]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Number;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number or a string")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                let number = text.parse().map(Number);
                number.map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

fn main() {
    let task = "5c79".parse().expect("a task id");
    let off = RenderOptions {
        tempo: Some(TempoChoice::Off),
        ..RenderOptions::default()
    };
    for path in std::env::args().skip(1).filter(|argument| argument != "--bench") {
        let body = fs::read(&path).expect("a file");
        let runs = (20_000_000 / body.len()).clamp(3, 51);
        let converted = |render: RenderOptions, piano_roll| {
            let options = Options {
                piano_roll,
                ..render.into()
            };
            median(runs, || drop(black_box(convert(&task, &body, &options))))
        };
        let plain = median(runs, || {
            let plain: Plain = serde_json::from_slice(&body).expect("a callback");
            black_box(plain.data.instruments);
        });
        println!(
            r#"{{"plain": {plain}, "off": {}, "drawn": {}, "auto": {}}}"#,
            converted(off, false),
            converted(off, true),
            converted(RenderOptions::default(), false),
        );
    }
}
