//! `make bench`: what the inference of beats, bars and key costs, up to the largest callback.
#![allow(clippy::expect_used, clippy::panic)] // a benchmark that fails should say where

mod timing;

use std::{fmt::Write as _, hint::black_box};

use suno_midi::{
    Options, RenderOptions, convert,
    music::Song,
    provider::callback::{self, Callback},
    score::Score,
};
use timing::median;

const RUNS: usize = 15;

/// A callback with drums, bass, chords and a melody: ten notes a beat, at 120 BPM on average.
fn song(minutes: u32, breathes: bool) -> String {
    let time = |beats: f64| {
        let warp = if breathes { 0.3 * (beats / 5.0).sin() } else { 0.0 };
        1.0 + 0.5 * (beats + warp)
    };
    let mut parts = vec![
        ("Drums", Vec::new()),
        ("Bass", Vec::new()),
        ("Piano", Vec::new()),
        ("Flute", Vec::new()),
    ];
    for beat in 0..120 * minutes {
        let at = f64::from(beat);
        let chord = 48 + [0, 5, 7, 9][beat as usize / 4 % 4];
        parts[0]
            .1
            .extend([(at, if beat % 2 == 0 { 36 } else { 38 }), (at, 42), (at + 0.5, 42)]);
        parts[1].1.extend([(at, chord - 12), (at + 0.5, chord - 12)]);
        parts[2].1.extend([0, 4, 7].map(|step| (at, chord + step)));
        parts[3].1.extend([(at, chord + 24), (at + 0.75, chord + 26)]);
    }
    body(parts.into_iter().map(|(name, notes)| {
        let timed = notes
            .into_iter()
            .map(move |(beats, pitch)| (pitch, time(beats), time(beats + 0.4)));
        (name, timed.collect())
    }))
}

/// As many notes as a callback of 6 MB holds, over the longest time in which beats are looked for.
fn worst(seconds: f64, length: f64, swaying: bool) -> String {
    const NOTES: u32 = 66_000;
    let notes = (0..NOTES).map(|note| {
        let x = f64::from(note) / f64::from(NOTES);
        // Golden steps sway the onsets away from any grid.
        let sway = if swaying {
            (f64::from(note) * 0.618_034).fract() * 0.2
        } else {
            0.0
        };
        let start = seconds * x + sway;
        (40 + note % 40, start, start + length)
    });
    body([("Piano", notes.collect())])
}

fn body<'a>(parts: impl IntoIterator<Item = (&'a str, Vec<(u32, f64, f64)>)>) -> String {
    let mut instruments = Vec::new();
    for (name, notes) in parts {
        let mut text = format!(r#"{{"name":"{name}","notes":["#);
        for (index, (pitch, start, end)) in notes.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(
                text,
                r#"{comma}{{"pitch":{pitch},"start":"{start:.6}","end":{end:.6},"velocity":0.7874015748031497}}"#
            );
        }
        instruments.push(text + "]}");
    }
    let instruments = instruments.join(",");
    format!(r#"{{"code":200,"data":{{"taskId":"5c79","state":"complete","instruments":[{instruments}]}}}}"#)
}

fn main() {
    let songs = [
        ("steady, 4 minutes", song(4, false)),
        ("steady, 8 minutes", song(8, false)),
        ("breathing, 4 minutes", song(4, true)),
        ("breathing, 8 minutes", song(8, true)),
        ("66,000 notes, 20 minutes, even", worst(1190.0, 0.5, false)),
        ("66,000 notes, 20 minutes, no beat", worst(1190.0, 0.5, true)),
        ("66,000 notes, 20 minutes, long", worst(1190.0, 600.0, true)),
        ("66,000 notes, 5 minutes, no beat", worst(300.0, 0.5, true)),
    ];
    println!("{:<34} {:>8} {:>10} {:>12}", "", "notes", "inference", "conversion");
    for (name, body) in &songs {
        let Ok(Callback::Song(parts)) = callback::read(body.as_bytes()) else {
            panic!("{name}: not a song")
        };
        let score = Score::new(parts).expect("few instruments");
        let notes = score.note_count();
        let inference = median(RUNS, || {
            drop(black_box(Song::new(score.clone(), &RenderOptions::default())))
        });
        let task = "5c79".parse().expect("a task id");
        let conversion = median(RUNS, || {
            drop(black_box(convert(&task, body.as_bytes(), &Options::default())))
        });
        println!("{name:<34} {notes:>8} {inference:>7.1} ms {conversion:>9.1} ms");
    }
}
