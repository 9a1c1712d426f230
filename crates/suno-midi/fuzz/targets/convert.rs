//! Any body has a result. A song has every file, and in its MIDI files each note on has its note off.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use suno_midi::{
    Options, convert,
    format::{self, MAX_PARTS},
    options::{Quantize, RenderOptions},
};
use midly::{MidiMessage, Smf, TrackEventKind};

fuzz_target!(|body: &[u8]| {
    let task = "task".parse().expect("a task id");
    let options: Options = RenderOptions {
        split: Some(true),
        quantize: Some(Quantize::Sixteenths),
        ..RenderOptions::default()
    }
    .into();
    let outcome = convert(&task, body, &options);
    let has_song = outcome.document.state.has_song();
    for format in [format::MIDI, format::PIANO_ROLL, format::QUANTIZED] {
        assert_eq!(outcome.file(format).is_some(), has_song);
        assert_eq!(outcome.document.object(format).is_some(), has_song);
    }
    serde_json::from_slice::<serde_json::Value>(&outcome.document.to_json()).expect("JSON");
    let Some(midi) = outcome.file(format::MIDI) else { return };
    let song = outcome.document.song.as_ref().expect("a song");
    assert_eq!(notes(&midi.bytes), song.notes);
    assert!(notes(&outcome.file(format::QUANTIZED).expect("a quantized file").bytes) <= song.notes);
    if song.instruments.len() <= MAX_PARTS {
        let parts = outcome.files.iter().filter(|file| file.format == format::PART);
        assert_eq!(parts.map(|part| notes(&part.bytes)).sum::<usize>(), song.notes);
    }
});

fn notes(midi: &[u8]) -> usize {
    let smf = Smf::parse(midi).expect("a MIDI file");
    let mut notes = 0;
    for track in &smf.tracks {
        let mut sounding = BTreeMap::new();
        for event in track {
            match event.kind {
                TrackEventKind::Midi { message: MidiMessage::NoteOn { key, vel }, channel } if vel > 0 => {
                    notes += 1;
                    assert_eq!(sounding.insert((channel, key), ()), None, "a note on while the note sounds");
                }
                TrackEventKind::Midi { message: MidiMessage::NoteOff { key, .. } | MidiMessage::NoteOn { key, .. }, channel } => {
                    assert_eq!(sounding.remove(&(channel, key)), Some(()), "a note off while the note is silent");
                }
                _ => {}
            }
        }
        assert!(sounding.is_empty(), "a note is left sounding");
    }
    notes
}
