//! Tracks → the bytes of a Standard MIDI File.
//!
//! Standard MIDI File 1.0 (RP-001), format 1: a conductor track with the tempo and the time signature, then a track for
//! each instrument.
//!
//! The conductor track also embeds the SHA-256 of the body, in an event that players ignore ([`Label::body`]).

use midly::{
    Format, Header, MetaMessage, MidiMessage, Smf, Timing, Track as Events, TrackEvent, TrackEventKind,
    num::{u4, u7, u15, u24, u28},
};

use super::{
    Track,
    ticks::{TICKS_PER_QUARTER, Ticks, micros_per_quarter},
};
use crate::{
    format::Label,
    music::{Song, Voice, tempo::Tempo},
    score::Instrument,
};

/// The release velocity that MIDI 1.0 specifies for instruments without one.
const RELEASE_VELOCITY: u8 = 64;

/// The manufacturer id for non-commercial use (MIDI 1.0, "Manufacturer SysEx ID Numbers"): we have no id of our own.
const NO_MANUFACTURER: u8 = 0x7d;

/// Writes the file. `tracks` are those of [`super::tracks`] for the same song. The title becomes the name of the
/// conductor track, which readers show as the name of the song.
pub fn write(label: Label<'_>, song: &Song, tracks: &[Track]) -> Vec<u8> {
    let with_ports = tracks.iter().any(|track| track.channel.port > 0);
    let mut smf = Smf::new(Header::new(
        Format::Parallel,
        Timing::Metrical(u15::new(TICKS_PER_QUARTER)),
    ));
    let origin = [&[NO_MANUFACTURER], label.body.as_bytes().as_slice()].concat();
    smf.tracks.push(conductor(label.title, &origin, &song.tempo));
    for ((instrument, voice), track) in song.parts().zip(tracks) {
        smf.tracks.push(events(instrument, voice, track, with_ports));
    }

    let mut bytes = Vec::with_capacity(64 + 8 * song.score.note_count());
    // Writing to memory fails only if there are too many tracks for the format, or if a track has 4 GiB. A score limits
    // the instruments, and the notes of such a track do not fit in a request.
    let _ = smf.write(&mut bytes);
    bytes
}

fn conductor<'a>(title: &'a str, origin: &'a [u8], song_tempo: &Tempo) -> Events<'a> {
    let tempo = |beat| MetaMessage::Tempo(u24::from_int_lossy(micros_per_quarter(beat)));
    // Quarters (2 is the exponent of 4), a metronome click every 24 MIDI clocks (one quarter), and eight thirty-second
    // notes in a quarter.
    let time_signature = |beats| MetaMessage::TimeSignature(beats, 2, 24, 8);

    let mut events: Events<'_> = vec![
        at_once(MetaMessage::TrackName(title.as_bytes())),
        at_once(MetaMessage::SequencerSpecific(origin)),
    ];
    if let Some(lead_in) = song_tempo.lead_in() {
        events.extend([at_once(tempo(lead_in.beat)), at_once(time_signature(lead_in.beats))]);
    }
    let begin = TrackEvent {
        delta: u28::from_int_lossy(Ticks::new(song_tempo).bars_begin()),
        ..at_once(tempo(song_tempo.beat()))
    };
    events.extend([begin, at_once(time_signature(4)), at_once(MetaMessage::EndOfTrack)]);
    events
}

fn events<'a>(instrument: &'a Instrument, voice: Voice, track: &Track, with_ports: bool) -> Events<'a> {
    let channel = u4::from_int_lossy(track.channel.number);
    let midi = |message| TrackEventKind::Midi { channel, message };

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
    let program = u7::from_int_lossy(voice.sound.program());
    events.push(TrackEvent {
        delta: u28::new(0),
        kind: midi(MidiMessage::ProgramChange { program }),
    });

    // At one tick, note offs come before note ons. Otherwise a note off would end the next note of the same pitch.
    let offs = track.notes.iter().map(|note| (note.off, false, note));
    let ons = track.notes.iter().map(|note| (note.on, true, note));
    let mut strikes: Vec<_> = offs.chain(ons).collect();
    strikes.sort_by_key(|&(tick, on, note)| (tick, on, note.pitch));

    let mut now = 0;
    for (tick, on, note) in strikes {
        let key = u7::from_int_lossy(note.pitch);
        let message = if on {
            MidiMessage::NoteOn {
                key,
                vel: u7::from_int_lossy(note.velocity),
            }
        } else {
            MidiMessage::NoteOff {
                key,
                vel: u7::from_int_lossy(RELEASE_VELOCITY),
            }
        };
        events.push(TrackEvent {
            delta: u28::from_int_lossy(tick - now),
            kind: midi(message),
        });
        now = tick;
    }
    events.push(at_once(MetaMessage::EndOfTrack));
    events
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
        music::tempo::TempoChoice,
        score::{PartOf, Score},
    };

    fn file(score: Score) -> Vec<u8> {
        let label = Label {
            title: "song",
            body: Digest::of(b""),
        };
        let song = Song::new(score, TempoChoice::Off);
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
