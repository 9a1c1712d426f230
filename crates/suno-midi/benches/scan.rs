//! `make bench`: the scan for task ids, compared with other passes over the same 5.9 MB in the same run.

mod timing;

use std::hint::black_box;

use serde::de::IgnoredAny;
use serde_json::Value;
use sha2::{Digest, Sha256};
use suno_midi::provider::task_ids::find_task_ids;

const SIZE: usize = 5_900_000;

fn main() {
    let filled = |unit: &str| unit.repeat(SIZE / unit.len());
    let notes = filled(r#"{"pitch":60,"start":"12.34375","end":12.5,"velocity":0.8},"#);
    let levels = SIZE / 2;
    let bodies = [
        (
            "notes",
            format!(r#"{{"data":{{"instruments":[{{"notes":[{notes}0]}}]}},"taskId":"a"}}"#),
        ),
        (
            "2,950,000 levels",
            format!(r#"{{"x":{}{},"taskId":"a"}}"#, "[".repeat(levels), "]".repeat(levels)),
        ),
        ("short names", format!(r#"{{{}"taskId":"a"}}"#, filled(r#""x":0,"#))),
        ("escaped names", format!(r#"{{{}"taskId":"a"}}"#, filled(r#""\n":0,"#))),
        (
            "names that are almost one",
            format!(r#"{{{}"taskId":"a"}}"#, filled(r#""\u0074askI":0,"#)),
        ),
        (
            "ids without end",
            format!(r#"{{{}"taskId":"a"}}"#, filled(r#""taskId":"\n","#)),
        ),
        (
            "one string of escapes",
            format!(r#"{{"x":"{}","taskId":"a"}}"#, filled(r"\n")),
        ),
        ("empty strings", format!(r#"{{"x":{}"taskId":"a"}}"#, filled(r#""""#))),
        ("an id of digits", format!(r#"{{"taskId":{}}}"#, filled("1"))),
        ("one id", format!(r#"{{"taskId":"{}"}}"#, filled("x"))),
    ];
    for (name, body) in &bodies {
        let body = body.as_bytes();
        println!("{name}: {} bytes", body.len());
        median("the scan for ids", || find_task_ids(black_box(body)).len());
        median("SHA-256", || Sha256::digest(black_box(body)).len());
        median("serde_json, all ignored", || {
            serde_json::from_slice::<IgnoredAny>(black_box(body)).is_ok().into()
        });
    }
    let notes = bodies[0].1.as_bytes();
    println!("{}:", bodies[0].0);
    median("serde_json, all read", || {
        serde_json::from_slice::<Value>(black_box(notes)).is_ok().into()
    });
}

/// Prints the median of 31 runs.
fn median(name: &str, run: impl Fn() -> usize) {
    let time = timing::median(31, || {
        black_box(run());
    });
    println!("  {name:<24} {time:>8.2} ms");
}
