//! Tracks → the bytes of a Standard MIDI File.
//!
//! Standard MIDI File 1.0 (RP-001), format 1: a conductor track with the key, the tempo and the time signature, then a
//! track for each instrument, which has the key again: MuseScore, for one, takes it from there only.
//!
//! The conductor track also embeds the SHA-256 of the body and the time of a request, in an event that players ignore
//! ([`Label::body`]).

use std::{iter, ops::Range};

use midly::{
    Format, Header, MetaMessage, MidiMessage, Smf, Timing, Track as Events, TrackEvent, TrackEventKind,
    num::{u4, u7, u15, u24, u28},
};

use super::{
    Track,
    overlaps::Span,
    ticks::{TICKS_PER_QUARTER, Ticks},
};
use crate::{
    format::Label,
    instruments::{Sound, Voice},
    music::{Song, key::KeyEstimate},
    score::Instrument,
};

/// The release velocity that MIDI 1.0 specifies for instruments without one.
const RELEASE_VELOCITY: u8 = 64;

/// The manufacturer id for non-commercial use (MIDI 1.0, "Manufacturer SysEx ID Numbers"): we have no id of our own.
const NO_MANUFACTURER: u8 = 0x7d;

/// Writes the file. `tracks` are those of [`super::tracks`] for the same song. The title becomes the name of the
/// conductor track, which readers show as the name of the song.
pub fn write(label: Label<'_>, song: &Song, tracks: &[Track]) -> Vec<u8> {
    write_tracks(label, song, tracks, 0..tracks.len())
}

/// Writes a file with one instrument of the song. Both of its tracks, the conductor and the instrument, are byte for byte
/// those of the whole file, so the files of a song fit together again.
pub fn write_part(label: Label<'_>, song: &Song, tracks: &[Track], index: usize) -> Vec<u8> {
    write_tracks(label, song, tracks, index..index + 1)
}

fn write_tracks(label: Label<'_>, song: &Song, tracks: &[Track], of: Range<usize>) -> Vec<u8> {
    let with_ports = tracks.iter().any(|track| track.channel.port > 0);
    let mut origin = [&[NO_MANUFACTURER], label.body.as_bytes().as_slice()].concat();
    origin.extend(label.requested_at.iter().flat_map(|at| at.to_be_bytes()));

    let notes: usize = tracks[of.clone()].iter().map(|track| track.notes.len()).sum();
    let parts = song.parts().zip(tracks).take(of.end).skip(of.start);
    let parts = parts.map(|((instrument, voice), track)| events(instrument, voice, song.key, track, with_ports));
    let smf = Smf {
        header: Header::new(Format::Parallel, Timing::Metrical(u15::new(TICKS_PER_QUARTER))),
        tracks: iter::once(conductor(label.title, &origin, song)).chain(parts).collect(),
    };
    let mut bytes = Vec::with_capacity(64 + 8 * notes);
    // Writing to memory fails only if a track has 4 GiB, whose notes do not fit in a request.
    let _ = smf.write(&mut bytes);
    bytes
}

fn conductor<'a>(title: &'a str, origin: &'a [u8], song: &Song) -> Events<'a> {
    let grid = &song.tempo.grid;
    let tempi = grid.tempi().iter().map(|change| {
        let event = MetaMessage::Tempo(u24::from_int_lossy(change.quarter));
        (change.at, event)
    });
    let meters = grid.meters().iter().map(|change| {
        let (upper, lower) = change.meter.signature();
        // 24 MIDI clocks to a quarter: a metronome click on each beat. Eight thirty-second notes to a quarter.
        let click = 12 * change.meter.eighths() as u8;
        let event = MetaMessage::TimeSignature(upper, lower.trailing_zeros() as u8, click, 8);
        (change.at, event)
    });
    let mut changes: Vec<_> = tempi.chain(meters).collect();
    changes.sort_by_key(|change| change.0);

    let mut events: Events<'_> = vec![
        at_once(MetaMessage::TrackName(title.as_bytes())),
        at_once(MetaMessage::SequencerSpecific(origin)),
    ];
    // Before the time signature, as notation programs write them.
    events.extend(key_signature(song.key));
    let mut now = 0;
    for (at, event) in changes {
        let tick = Ticks::of_eighth(at);
        events.push(TrackEvent {
            delta: u28::from_int_lossy(tick - now),
            ..at_once(event)
        });
        now = tick;
    }
    events.push(at_once(MetaMessage::EndOfTrack));
    events
}

/// A key never has more than seven accidentals, the most that readers accept.
fn key_signature(key: Option<KeyEstimate>) -> Option<TrackEvent<'static>> {
    let KeyEstimate { key, .. } = key?;
    Some(at_once(MetaMessage::KeySignature(key.fifths(), key.is_minor())))
}

fn events<'a>(
    instrument: &'a Instrument,
    voice: Voice,
    key: Option<KeyEstimate>,
    track: &Track,
    with_ports: bool,
) -> Events<'a> {
    let channel = u4::from_int_lossy(track.channel.number);
    let mut events = Events::with_capacity(4 + 2 * track.notes.len());
    if with_ports {
        events.push(at_once(MetaMessage::MidiPort(u7::from_int_lossy(track.channel.port))));
    }
    let name = if instrument.name.is_empty() {
        voice.sound.name()
    } else {
        &instrument.name
    };
    events.push(at_once(MetaMessage::TrackName(name.as_bytes())));
    if voice.sound != Sound::Drums {
        events.extend(key_signature(key));
    }
    let program = u7::from_int_lossy(voice.sound.program());
    events.push(TrackEvent {
        delta: u28::new(0),
        kind: TrackEventKind::Midi {
            channel,
            message: MidiMessage::ProgramChange { program },
        },
    });

    events.extend(note_events(channel, &track.notes));
    events.push(at_once(MetaMessage::EndOfTrack));
    events
}

/// The note ons and note offs of a track.
fn note_events<'a>(channel: u4, notes: &[Span]) -> impl Iterator<Item = TrackEvent<'a>> + use<'a> {
    // At one tick, note offs come before note ons. Otherwise a note off would end the next note of the same pitch. The
    // numbers are in that order, from the tick to the velocity.
    let strike = |tick: u32, on: bool, pitch: u8, velocity: u8| {
        u64::from(tick) << 24 | u64::from(on) << 16 | u64::from(pitch) << 8 | u64::from(velocity)
    };
    let offs = notes.iter();
    let offs = offs.map(|note| strike(note.off, false, note.pitch, RELEASE_VELOCITY));
    let ons = notes.iter();
    let ons = ons.map(|note| strike(note.on, true, note.pitch, note.velocity));
    let mut strikes: Vec<u64> = offs.chain(ons).collect();
    // A stable sort is fast where there is order: the note ons have it, the note offs nearly.
    strikes.sort();

    let mut now = 0;
    strikes.into_iter().map(move |strike| {
        let [velocity, pitch, on, ..] = strike.to_le_bytes();
        let tick = (strike >> 24) as u32;
        let (key, vel) = (u7::from_int_lossy(pitch), u7::from_int_lossy(velocity));
        let message = if on > 0 {
            MidiMessage::NoteOn { key, vel }
        } else {
            MidiMessage::NoteOff { key, vel }
        };
        let delta = u28::from_int_lossy(tick - now);
        now = tick;
        TrackEvent {
            delta,
            kind: TrackEventKind::Midi { channel, message },
        }
    })
}

fn at_once(message: MetaMessage<'_>) -> TrackEvent<'_> {
    TrackEvent {
        delta: u28::new(0),
        kind: TrackEventKind::Meta(message),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        Digest,
        format::midi,
        options::{RenderOptions, TempoChoice},
        score::{PartOf, Score},
    };

    fn file(score: Score) -> Vec<u8> {
        let label = Label {
            title: "song",
            body: Digest::of(b""),
            requested_at: None,
        };
        let song = Song::new(
            score,
            &RenderOptions {
                tempo: Some(TempoChoice::Off),
                ..RenderOptions::default()
            },
        );
        write(label, &song, &midi::tracks(&song))
    }

    #[test]
    fn each_track_has_its_name_program_and_end() {
        let bytes = file(Score::of(&[
            ("Drums", &[(38.0, 0.0, 0.5)]),
            ("Violin", &[]),
            ("", &[(60.0, 1.0, 2.0)]),
        ]));
        let smf = Smf::parse(&bytes).unwrap();
        assert_eq!(smf.header, Header::new(Format::Parallel, Timing::Metrical(480.into())));
        assert_eq!(smf.tracks.len(), 4);
        for (track, name, channel, program) in [
            (1, "Drums", 9, 0),
            (2, "Violin", 0, 40),
            (3, "Acoustic Grand Piano", 1, 0),
        ] {
            let track = &smf.tracks[track];
            assert_eq!(
                track[0].kind,
                TrackEventKind::Meta(MetaMessage::TrackName(name.as_bytes()))
            );
            let message = MidiMessage::ProgramChange {
                program: program.into(),
            };
            assert_eq!(
                track[1].kind,
                TrackEventKind::Midi {
                    channel: channel.into(),
                    message
                }
            );
            assert_eq!(
                track.last().unwrap().kind,
                TrackEventKind::Meta(MetaMessage::EndOfTrack)
            );
        }
    }

    #[test]
    fn the_conductor_has_the_key_at_the_beginning_if_there_is_one() {
        let signatures = |key| {
            let song = Song::new(
                Score::default(),
                &RenderOptions {
                    key,
                    ..RenderOptions::default()
                },
            );
            let label = Label {
                title: "song",
                body: Digest::of(b""),
                requested_at: None,
            };
            let bytes = write(label, &song, &midi::tracks(&song));
            let smf = Smf::parse(&bytes).unwrap();
            let mut tick = 0;
            let mut found = Vec::new();
            for event in &smf.tracks[0] {
                tick += event.delta.as_int();
                if let TrackEventKind::Meta(MetaMessage::KeySignature(fifths, minor)) = event.kind {
                    found.push((tick, fifths, minor));
                }
            }
            found
        };
        assert_eq!(signatures(None), []);
        assert_eq!(signatures(Some("Ebm".parse().unwrap())), [(0, -6, true)]);
        assert_eq!(signatures(Some("C#".parse().unwrap())), [(0, 7, false)]);
    }

    #[test]
    fn a_repeated_note_ends_before_it_begins_again() {
        let bytes = file(Score::of(&[("Piano", &[(60.0, 0.0, 1.0), (60.0, 1.0, 2.0)])]));
        let smf = Smf::parse(&bytes).unwrap();
        let strike = |event: &TrackEvent<'_>| match event.kind {
            TrackEventKind::Midi {
                message: MidiMessage::NoteOn { .. },
                ..
            } => Some((event.delta.as_int(), "on")),
            TrackEventKind::Midi {
                message: MidiMessage::NoteOff { .. },
                ..
            } => Some((event.delta.as_int(), "off")),
            _ => None,
        };
        let notes: Vec<_> = smf.tracks[1].iter().filter_map(strike).collect();
        assert_eq!(notes, [(0, "on"), (960, "off"), (0, "on"), (960, "off")]);
    }

    #[test]
    fn a_note_shorter_than_a_tick_gets_one() {
        let bytes = file(Score::of(&[("Piano", &[(60.0, 1.0, 1.0), (61.0, 1.0, 1.000_1)])]));
        let smf = Smf::parse(&bytes).unwrap();
        let deltas: Vec<u32> = smf.tracks[1].iter().map(|event| event.delta.as_int()).collect();
        assert_eq!(deltas, [0, 0, 960, 0, 1, 0, 0]);
    }

    #[test]
    fn port_events_are_written_only_if_there_are_two_ports() {
        let names = ["Piano"; 16];
        let parts: Vec<PartOf<'_>> = names.iter().map(|&name| (name, &[(60.0, 0.0, 1.0)][..])).collect();
        let ports = |count: usize| {
            let bytes = file(Score::of(&parts[..count]));
            let smf = Smf::parse(&bytes).unwrap();
            let port = |track: &Events<'_>| match track[0].kind {
                TrackEventKind::Meta(MetaMessage::MidiPort(port)) => Some(port.as_int()),
                _ => None,
            };
            smf.tracks[1..].iter().map(port).collect::<Vec<_>>()
        };
        assert_eq!(ports(15), [None; 15]);
        assert_eq!(ports(16)[14..], [Some(0), Some(1)]);
    }
}
