//! A handful of MIDI files in words, with their documents and pictures, which a person has checked; and inferred beats.
//!
//! `UPDATE_GOLDEN=1 cargo test -p suno-midi --test golden` rewrites them. Read the diff before you commit it.
#![allow(clippy::unwrap_used)]

use std::{fmt::Write as _, fs, path::Path};

mod songs;

use midly::{MetaMessage, MidiMessage, Smf, TrackEventKind};
use songs::{Kind, Random, song};
use suno_midi::{
    Options, RenderOptions, convert, format,
    instruments::Voice,
    music::tempo::Tempo,
    options::Meter,
    rhythm::{self, Onsets},
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

/// A MIDI file in words. Times are in ticks. Channels are counted from 1, as musicians do.
fn dump(midi: &[u8]) -> String {
    let smf = Smf::parse(midi).unwrap();
    let mut text = format!("{:?}, {:?}\n", smf.header.format, smf.header.timing);
    for (index, track) in smf.tracks.iter().enumerate() {
        writeln!(text, "track {index}").unwrap();
        let mut tick = 0;
        for event in track {
            tick += event.delta.as_int();
            let words = match event.kind {
                TrackEventKind::Meta(MetaMessage::TrackName(name)) => {
                    format!("name {:?}", String::from_utf8_lossy(name))
                }
                TrackEventKind::Meta(MetaMessage::Tempo(micros)) => {
                    format!("tempo {} us ({:.2} BPM)", micros, 60e6 / f64::from(micros.as_int()))
                }
                TrackEventKind::Meta(MetaMessage::TimeSignature(beats, power, ..)) => {
                    format!("time signature {beats}/{}", 1 << power)
                }
                TrackEventKind::Meta(MetaMessage::KeySignature(sharps, minor)) => {
                    format!("key signature {sharps}, {}", if minor { "minor" } else { "major" })
                }
                TrackEventKind::Meta(MetaMessage::SequencerSpecific(bytes)) => {
                    format!("sequencer-specific, {} bytes from {:02x}", bytes.len(), bytes[0])
                }
                TrackEventKind::Meta(MetaMessage::MidiPort(port)) => format!("port {port}"),
                TrackEventKind::Meta(MetaMessage::EndOfTrack) => "end of track".to_owned(),
                TrackEventKind::Midi { channel, message } => {
                    let channel = channel.as_int() + 1;
                    match message {
                        MidiMessage::ProgramChange { program } => format!("channel {channel} program {program}"),
                        MidiMessage::NoteOn { key, vel } => format!("channel {channel} on  {key} velocity {vel}"),
                        MidiMessage::NoteOff { key, .. } => format!("channel {channel} off {key}"),
                        other => format!("{other:?}"),
                    }
                }
                other => format!("{other:?}"),
            };
            writeln!(text, "{tick:8}  {words}").unwrap();
        }
    }
    text
}

#[test]
fn files_are_as_a_person_approved_them() {
    let mut seen = 0;
    for entry in fs::read_dir(GOLDEN).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        seen += 1;
        let body = fs::read(&path).unwrap();
        let outcome = convert(&"golden".parse().unwrap(), &body, &Options::default());
        let document = String::from_utf8(outcome.document.to_json()).unwrap();
        let file = |format| outcome.file(format).unwrap().bytes.clone();
        check(
            &path.with_extension("txt"),
            &format!("{}\n{document}", dump(&file(format::MIDI))),
        );
        check(
            &path.with_extension("svg"),
            &String::from_utf8(file(format::PIANO_ROLL)).unwrap(),
        );
    }
    assert_eq!(seen, 7);
}

/// Checks the inferred beats of three songs of each kind. They need not be right, but each change of the inference must
/// show in the diff.
#[test]
fn beats_are_as_before() {
    let mut found = String::new();
    for kind in Kind::ALL {
        let mut r = Random(kind as u64);
        for _ in 0..3 {
            let song = song(kind, &mut r);
            let voices = Voice::all(&song.score);
            let onsets = Onsets::new(&song.score, &voices);
            let track = rhythm::infer(&onsets, &RenderOptions::default()).unwrap();
            let tempo = Tempo::choose(&song.score, &voices, &RenderOptions::default());
            writeln!(
                found,
                "{kind:?} at {:.3} BPM from {:.3} s: {:.3} BPM, downbeat {:.3} s, {}, {} tempi, confidence {:.3}; told the tempo {:.3} s",
                song.bpm,
                song.downbeat,
                tempo.bpm(),
                tempo.downbeat(),
                track.bars.meter,
                tempo.grid.tempi().len(),
                track.confidence.beats,
                rhythm::downbeat_at(&onsets, 60.0 / song.bpm, Meter::COMMON),
            )
            .unwrap();
        }
    }
    check(&Path::new(GOLDEN).join("beats.txt"), &found);
}

fn check(path: &Path, found: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, found).unwrap();
    }
    let good = fs::read_to_string(path).unwrap_or_default();
    assert!(good == found, "{} differs; now it is\n{found}", path.display());
}
