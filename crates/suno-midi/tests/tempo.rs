//! How often the inferred beats are right, on synthetic songs whose beats are known.
//!
//! `cargo test -p suno-midi --test tempo -- --nocapture` prints the figures of the table in docs/music.md.
#![allow(clippy::unwrap_used)]

mod songs;

use songs::{BARS, Kind, Random, Song, song};
use suno_midi::{
    RenderOptions,
    instruments::Voice,
    music::tempo::Tempo,
    rhythm::{self, Onsets},
};

const SONGS: usize = 100;

#[derive(Debug, Default)]
struct Tally {
    /// The beats are right.
    right: usize,
    /// They are every second beat, or two or three times as many.
    multiple: usize,
    /// They are as far apart as right ones or an octave of it, but a half or a quarter of the way between them.
    between: usize,
    /// Neither.
    wrong: usize,
    withheld: usize,
    /// How many of the right ones also have the right bars.
    bars: usize,
    /// The tempo events of the right ones.
    events: usize,
}

/// The share of beats that are right: the F-measure within 70 ms.
fn agreement(truth: &[f64], found: &[f64]) -> f64 {
    let (mut t, mut f, mut hits) = (0, 0, 0);
    while t < truth.len() && f < found.len() {
        let away = found[f] - truth[t];
        hits += usize::from(away.abs() <= 0.07);
        t += usize::from(away >= -0.07);
        f += usize::from(away <= 0.07);
    }
    2.0 * hits as f64 / (truth.len() + found.len()) as f64
}

fn agrees(truth: &[f64], found: &[f64]) -> bool {
    agreement(truth, found) > 0.85
}

fn half_way(beats: &[f64]) -> Vec<f64> {
    beats.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect()
}

fn divided(beats: &[f64], parts: u8) -> Vec<f64> {
    let part = |pair: &[f64], part| pair[0] + (pair[1] - pair[0]) * f64::from(part) / f64::from(parts);
    beats
        .windows(2)
        .flat_map(|pair| (0..parts).map(|index| part(pair, index)).collect::<Vec<_>>())
        .collect()
}

fn every_nth(beats: &[f64], n: usize) -> Vec<Vec<f64>> {
    (0..n)
        .map(|skip| beats.iter().skip(skip).step_by(n).copied().collect())
        .collect()
}

fn tempo(song: &Song) -> Tempo {
    Tempo::choose(&song.score, &Voice::all(&song.score), &RenderOptions::default())
}

fn judge(song: &Song, tempo: &Tempo, tally: &mut Tally) {
    if !tempo.inferred {
        tally.withheld += 1;
        return;
    }
    let truth = &song.beats;
    let grid: Vec<_> = tempo
        .grid
        .beats_until(truth[truth.len() - 1] + 0.07)
        .filter(|beat| beat.seconds > truth[0] - 0.07)
        .collect();
    let found: Vec<f64> = grid.iter().map(|beat| beat.seconds).collect();
    let double = divided(truth, 2);
    let off_beats = half_way(truth);
    let sixteenths = half_way(&double);
    let any = |list: &[Vec<f64>]| list.iter().any(|beats| agrees(beats, &found));
    if agrees(truth, &found) {
        tally.right += 1;
        tally.events += tempo.grid.tempi().len();
        let bars: Vec<f64> = grid
            .iter()
            .filter(|beat| beat.bar.is_some())
            .map(|beat| beat.seconds)
            .collect();
        tally.bars += usize::from(agrees(&song.downbeats, &bars));
    } else if any(&every_nth(truth, 2)) || any(&[double, divided(truth, 3)]) {
        tally.multiple += 1;
    } else if any(&every_nth(&off_beats, 2)) || any(&every_nth(&sixteenths, 4)) || any(&[off_beats, sixteenths]) {
        tally.between += 1;
    } else {
        tally.wrong += 1;
    }
}

#[test]
fn no_tempo_that_is_written_is_wrong() {
    use Kind::*;
    println!(
        "| {SONGS} songs each | right | half, double, triple | between | wrong | withheld | bars right | tempo events |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut failures = Vec::new();
    for kind in Kind::ALL {
        let mut r = Random(kind as u64);
        let mut tally = Tally::default();
        for _ in 0..SONGS {
            let song = song(kind, &mut r);
            judge(&song, &tempo(&song), &mut tally);
        }
        let Tally {
            right,
            multiple,
            between,
            wrong,
            withheld,
            bars,
            events,
        } = tally;
        let events = events as f64 / right.max(1) as f64;
        println!(
            "| {kind:?} | {right} | {multiple} | {between} | {wrong} | {withheld} | {bars} of {right} | {events:.1} |"
        );
        let enough = match kind {
            NoBeat => withheld == SONGS,
            // A melody of random sixteenths says too little.
            MelodyOnly => true,
            Sparse => 100 * (right + multiple) >= 90 * SONGS,
            _ => 100 * right >= 80 * SONGS && 100 * (right + multiple) >= 90 * SONGS,
        };
        if wrong > 0 || 100 * between > 3 * SONGS || !enough {
            failures.push(kind);
        }
    }
    assert!(failures.is_empty(), "wrong, or withheld: {failures:?}");
}

#[test]
fn each_beat_of_the_file_is_within_10_ms_of_its_beat_of_the_track() {
    for kind in Kind::ALL {
        let mut r = Random(100 + kind as u64);
        for _ in 0..10 {
            let song = song(kind, &mut r);
            let voices = Voice::all(&song.score);
            let Some(track) = rhythm::infer(&Onsets::new(&song.score, &voices), &RenderOptions::default()) else {
                continue;
            };
            let tempo = Tempo::choose(&song.score, &voices, &RenderOptions::default());
            if !tempo.inferred {
                continue;
            }
            let found: Vec<f64> = tempo.grid.beats_until(1e3).map(|beat| beat.seconds).collect();
            // What begins just after the audio begins with it: a tempo cannot be faster than 999 BPM.
            for &beat in track.beats.iter().filter(|beat| **beat >= 0.061) {
                let after = found.partition_point(|other| *other < beat);
                let away = (found[after] - beat).min(beat - found[after.max(1) - 1]);
                assert!(away <= 0.01, "{kind:?}: {beat} s is {away} s off");
            }
        }
    }
}

#[test]
fn swing_is_recognised_and_straight_songs_are_not_swung() {
    let mut r = Random(11);
    let (mut recognised, mut songs) = (0, 0);
    for _ in 0..60 {
        let song = song(Kind::Swing, &mut r);
        let tempo = tempo(&song);
        if (tempo.bpm() / song.bpm - 1.0).abs() < 0.01 {
            songs += 1;
            recognised += usize::from(tempo.swing.is_some_and(|swing| (swing - song.swing).abs() < 0.03));
        }
    }
    println!("swing is recognised in {recognised} of {songs} songs");
    assert!(recognised * 10 >= songs * 9);
    for kind in [Kind::Straight, Kind::Played, Kind::Loose, Kind::Three] {
        for _ in 0..20 {
            assert_eq!(tempo(&song(kind, &mut r)).swing, None, "{kind:?}");
        }
    }
}

#[test]
fn the_refined_tempo_holds_to_the_end_of_the_song() {
    let mut r = Random(7);
    for _ in 0..50 {
        let song = song(Kind::Played, &mut r);
        let tempo = tempo(&song);
        let beat = 60.0 / tempo.bpm();
        if (60.0 / beat / song.bpm - 1.0).abs() > 0.005 {
            continue;
        }
        let beats = f64::from(4 * BARS);
        assert!(
            ((beat - 60.0 / song.bpm) * beats).abs() < 0.01,
            "{} is {} off at the end",
            song.bpm,
            beat
        );
    }
}
