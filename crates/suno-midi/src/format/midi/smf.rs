//! The file: a plan and its score → bytes.
//!
//! Standard MIDI File 1.0 (RP-001), format 1: a conductor track with the tempo and the time
//! signature, then a track for each instrument.
//!
//! The conductor track also says of which body the file was made, in an event that players pass over.
//! So no two bodies give the same bytes, and S3's ETag, a hash of the bytes, tells whose file it is that a
//! conditional write is about to replace.

use midly::{
    Format, Header, MetaMessage, MidiMessage, Smf, Timing, Track as Events, TrackEvent, TrackEventKind,
    num::{u4, u7, u15, u24, u28},
};

use super::{
    Plan, Track,
    overlaps::{self, Resolved, Span},
};
use crate::music::tempo::TICKS_PER_QUARTER;
use crate::score::{Instrument, Note, Score};

/// The release velocity of instruments that have none (MIDI 1.0).
const RELEASE_VELOCITY: u8 = 64;

/// The manufacturer's id of those who have none (MIDI 1.0, "Manufacturer SysEx ID Numbers": non-commercial).
const NO_MANUFACTURER: u8 = 0x7d;

/// A finished file, and what its tracks' notes lost to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The Standard MIDI File.
    pub bytes: Vec<u8>,
    /// For each instrument of the score.
    pub resolved: Vec<Resolved>,
}

/// Writes the score as planned. The same arguments give the same bytes.
///
/// `title` becomes the name of the conductor track, which is the name of the sequence; `body` is the
/// SHA-256 of the body that the score was read from.
pub fn write(title: &str, body: &[u8; 32], score: &Score, plan: &Plan) -> File {
    let mut spans: Vec<Vec<Span>> = score
        .instruments
        .iter()
        .map(|instrument| instrument.notes.iter().map(|note| span(note, plan)).collect())
        .collect();
    let channels: Vec<_> = plan.tracks.iter().map(|track| track.channel).collect();
    let resolved = overlaps::resolve(&channels, &mut spans);

    let with_ports = channels.iter().any(|channel| channel.port > 0);
    let mut smf = Smf::new(Header::new(
        Format::Parallel,
        Timing::Metrical(u15::new(TICKS_PER_QUARTER)),
    ));
    let origin = [&[NO_MANUFACTURER], body.as_slice()].concat();
    smf.tracks.push(conductor(title, &origin, plan));
    for ((instrument, track), notes) in score.instruments.iter().zip(&plan.tracks).zip(&spans) {
        smf.tracks.push(events(instrument, *track, notes, with_ports));
    }

    let mut bytes = Vec::with_capacity(64 + 8 * score.note_count());
    // Writing to memory fails only for a count or a length that the format cannot hold. The
    // callback reader bounds the instruments, and a track of 4 GiB does not fit in a request.
    let _ = smf.write(&mut bytes);
    File { bytes, resolved }
}

fn span(note: &Note, plan: &Plan) -> Span {
    let on = plan.tempo.ticks(note.start);
    let off = plan.tempo.ticks(note.end).max(on + 1);
    Span {
        on,
        off,
        pitch: note.pitch,
        velocity: note.velocity,
    }
}

fn conductor<'a>(title: &'a str, origin: &'a [u8], plan: &Plan) -> Events<'a> {
    let tempo = |micros| MetaMessage::Tempo(u24::from_int_lossy(micros));
    // Quarters; a metronome click at each (24 MIDI clocks), 8 thirty-seconds to each.
    let time_signature = |beats| MetaMessage::TimeSignature(beats, 2, 24, 8);

    let mut events: Events<'_> = vec![
        at_once(MetaMessage::TrackName(title.as_bytes())),
        at_once(MetaMessage::SequencerSpecific(origin)),
    ];
    let mut bars_begin = 0;
    if let Some(lead_in) = plan.tempo.lead_in() {
        events.extend([
            at_once(tempo(lead_in.micros_per_quarter)),
            at_once(time_signature(lead_in.beats)),
        ]);
        bars_begin = lead_in.ticks();
    }
    let begin = TrackEvent {
        delta: u28::from_int_lossy(bars_begin),
        ..at_once(tempo(plan.tempo.micros_per_quarter()))
    };
    events.extend([begin, at_once(time_signature(4)), at_once(MetaMessage::EndOfTrack)]);
    events
}

fn events<'a>(instrument: &'a Instrument, track: Track, notes: &[Span], with_ports: bool) -> Events<'a> {
    let channel = u4::from_int_lossy(track.channel.number);
    let midi = |message| TrackEventKind::Midi { channel, message };

    let mut events = Events::with_capacity(4 + 2 * notes.len());
    if with_ports {
        events.push(at_once(MetaMessage::MidiPort(u7::from_int_lossy(track.channel.port))));
    }
    let name = if instrument.name.is_empty() {
        track.sound.name()
    } else {
        &instrument.name
    };
    events.push(at_once(MetaMessage::TrackName(name.as_bytes())));
    let program = u7::from_int_lossy(track.sound.program());
    events.push(TrackEvent {
        delta: u28::new(0),
        kind: midi(MidiMessage::ProgramChange { program }),
    });

    // At one tick notes end before others begin: no note on is ever met by the off of the note before it.
    let offs = notes.iter().map(|note| (note.off, false, note));
    let ons = notes.iter().map(|note| (note.on, true, note));
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
        music::tempo::Tempo,
        provider::callback::{Part, SentNote},
    };

    /// A name, and for each note its pitch, start and end.
    type Sent<'a> = (&'a str, &'a [(f64, f64, f64)]);

    fn score(parts: &[Sent<'_>]) -> Score {
        let parts: Vec<Part> = parts
            .iter()
            .map(|(name, notes)| Part {
                name: (*name).to_owned(),
                notes: notes
                    .iter()
                    .map(|&(pitch, start, end)| SentNote {
                        pitch: Some(pitch),
                        start: Some(start),
                        end: Some(end),
                        velocity: Some(1.0),
                    })
                    .collect(),
            })
            .collect();
        Score::new(&parts)
    }

    fn file(score: &Score) -> Vec<u8> {
        write("song", &[0; 32], score, &Plan::new(score, Tempo::DEFAULT)).bytes
    }

    #[test]
    fn each_track_has_its_name_program_and_end() {
        let bytes = file(&score(&[
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
        let bytes = file(&score(&[("Piano", &[(60.0, 0.0, 1.0), (60.0, 1.0, 2.0)])]));
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
        let bytes = file(&score(&[("Piano", &[(60.0, 1.0, 1.0), (61.0, 1.0, 1.000_1)])]));
        let smf = Smf::parse(&bytes).unwrap();
        let deltas: Vec<u32> = smf.tracks[1].iter().map(|event| event.delta.as_int()).collect();
        assert_eq!(deltas, [0, 0, 960, 0, 1, 0, 0]);
    }

    #[test]
    fn ports_are_named_only_where_there_is_a_second() {
        let names = ["Piano"; 16];
        let parts: Vec<Sent<'_>> = names.iter().map(|&name| (name, &[(60.0, 0.0, 1.0)][..])).collect();
        let ports = |count: usize| {
            let bytes = file(&score(&parts[..count]));
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
