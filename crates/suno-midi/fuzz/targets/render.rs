//! Any body: a result, and of a song a file in which each note on has its note off.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use suno_midi::{
    music::tempo::TempoChoice,
    document::{State, render},
};
use midly::{MidiMessage, Smf, TrackEventKind};

fuzz_target!(|body: &[u8]| {
    let task = "task".parse().expect("a task id");
    let rendering = render(&task, None, body, TempoChoice::Auto);
    let has_song = matches!(rendering.document.state, State::Rendered | State::Empty);
    assert_eq!(rendering.midi.is_some(), has_song);
    assert_eq!(rendering.piano_roll.is_some(), has_song);
    serde_json::from_slice::<serde_json::Value>(&rendering.document.to_json()).expect("JSON");
    let Some(midi) = rendering.midi else { return };
    let smf = Smf::parse(&midi).expect("a MIDI file");
    let mut notes = 0;
    for track in &smf.tracks {
        let mut sounding = BTreeMap::new();
        for event in track {
            match event.kind {
                TrackEventKind::Midi { message: MidiMessage::NoteOn { key, vel }, channel } if vel > 0 => {
                    notes += 1;
                    assert_eq!(sounding.insert((channel, key), ()), None, "struck while it sounds");
                }
                TrackEventKind::Midi { message: MidiMessage::NoteOff { key, .. } | MidiMessage::NoteOn { key, .. }, channel } => {
                    assert_eq!(sounding.remove(&(channel, key)), Some(()), "released while silent");
                }
                _ => {}
            }
        }
        assert!(sounding.is_empty(), "left sounding");
    }
    assert_eq!(notes, rendering.document.song.expect("a song").notes);
});
