//! How often the inferred tempo is right, on synthetic songs whose tempo is known.
//!
//! `cargo test -p suno-midi --test tempo -- --nocapture` prints the figures of the table in docs/music.md.
#![allow(clippy::unwrap_used)]

mod songs;

use songs::{BARS, Kind, Random, Song, song};
use suno_midi::music::beat::{self, Beat, MIN_CONFIDENCE};

#[derive(Debug, Default)]
struct Tally {
    right: usize,
    half: usize,
    double: usize,
    wrong: usize,
    withheld: usize,
    /// How many of the right ones also have the right bar lines.
    bars: usize,
}

fn judge(song: &Song, beat: Option<Beat>, tally: &mut Tally) {
    let Some(beat) = beat.filter(|beat| beat.confidence >= MIN_CONFIDENCE) else {
        tally.withheld += 1;
        return;
    };
    let ratio = 60.0 / beat.period / song.bpm;
    let is = |times: f64| (ratio / times - 1.0).abs() < 0.005;
    match () {
        () if is(1.0) => {
            tally.right += 1;
            let bar = 4.0 * beat.period;
            let off = (beat.downbeat - song.downbeat).rem_euclid(bar);
            tally.bars += usize::from(off.min(bar - off) < 0.03);
        }
        () if is(0.5) => tally.half += 1,
        () if is(2.0) => tally.double += 1,
        () => tally.wrong += 1,
    }
}

#[test]
fn a_confident_tempo_is_a_tempo_of_the_song() {
    use Kind::*;
    const SONGS: usize = 200;
    println!(
        "| 200 songs each | right | half | double | withheld | wrong | bars right |\n| --- | --- | --- | --- | --- | --- | --- |"
    );
    for kind in Kind::ALL {
        let mut r = Random(kind as u64);
        let mut tally = Tally::default();
        for _ in 0..SONGS {
            let song = song(kind, &mut r);
            judge(&song, beat::infer(&song.score), &mut tally);
        }
        let Tally {
            right,
            half,
            double,
            wrong,
            withheld,
            bars,
        } = tally;
        println!("| {kind:?} | {right} | {half} | {double} | {withheld} | {wrong} | {bars} of {right} |");
        assert_eq!(wrong, 0, "{kind:?}: wrong and confident is the worst");
        match kind {
            Drift | Rubato | NoBeat => assert_eq!(withheld, SONGS, "{kind:?}: there is no one tempo"),
            Swing => assert!(right > SONGS / 6, "{kind:?}"),
            _ => assert!(withheld < SONGS / 5 && right > SONGS / 2, "{kind:?}"),
        }
    }
}

#[test]
fn the_refined_tempo_holds_to_the_end_of_the_song() {
    let mut r = Random(7);
    for _ in 0..50 {
        let song = song(Kind::Played, &mut r);
        let Some(beat) = beat::infer(&song.score).filter(|beat| (60.0 / beat.period / song.bpm - 1.0).abs() < 0.005)
        else {
            continue;
        };
        let beats = f64::from(4 * BARS);
        assert!(
            ((beat.period - 60.0 / song.bpm) * beats).abs() < 0.01,
            "{} is {} off at the end",
            song.bpm,
            beat.period
        );
    }
}
