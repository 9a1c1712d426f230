//! `cargo bench`: the scan for ids, beside other passes over the same 5.9 MB in the same run.

use std::{hint::black_box, time::Instant};

use midihook::provider::task_ids::find_task_ids;
use serde::de::IgnoredAny;
use serde_json::Value;
use sha2::{Digest, Sha256};

const SIZE: usize = 5_900_000;

fn main() {
    let note = r#"{"pitch":60,"start":"12.34375","end":12.5,"velocity":0.8},"#;
    let notes = note.repeat(SIZE / note.len());
    let song = format!(r#"{{"data":{{"instruments":[{{"notes":[{notes}0]}}]}},"taskId":"a"}}"#).into_bytes();
    let deep = format!(
        r#"{{"x":{}{},"taskId":"a"}}"#,
        "[".repeat(SIZE / 2),
        "]".repeat(SIZE / 2)
    )
    .into_bytes();
    for (name, body) in [("notes", &song), ("2,950,000 levels", &deep)] {
        println!("{name}: {} bytes", body.len());
        median("the scan for ids", || find_task_ids(black_box(body)).len());
        median("SHA-256", || Sha256::digest(black_box(body)).len());
        median("serde_json, all ignored", || {
            serde_json::from_slice::<IgnoredAny>(black_box(body)).is_ok().into()
        });
        if name == "notes" {
            median("serde_json, all read", || {
                serde_json::from_slice::<Value>(black_box(body)).is_ok().into()
            });
        }
    }
}

/// Prints the median of 31 runs.
fn median(name: &str, run: impl Fn() -> usize) {
    let mut times: Vec<f64> = (0..31)
        .map(|_| {
            let began = Instant::now();
            black_box(run());
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("  {name:<24} {:>8.2} ms", times[times.len() / 2]);
}
