//! Resolves overlapping notes of one pitch, which MIDI readers treat differently.
//!
//! A note off names only a pitch and a channel. If two notes of one pitch sound at once, some readers end the first,
//! some the last, and some both. So we never write two at once: the earlier note ends where the next one begins.

use std::collections::BTreeMap;

use super::channels::Channel;

/// A note in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The tick of the note on.
    pub on: u32,
    /// The tick of the note off; after `on`.
    pub off: u32,
    /// The MIDI note number.
    pub pitch: u8,
    /// The velocity of the note on.
    pub velocity: u8,
}

/// What the notes of a track lost to other notes of the same pitch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resolved {
    /// How many notes end earlier than sent, because a note of the same pitch begins.
    pub shortened: usize,
    /// How many notes were merged into another note of the same track, pitch and tick.
    pub merged: usize,
}

/// Resolves the overlaps of one file and reports them for each track. Afterwards the notes of a track are ordered by
/// `on`, then `pitch`.
///
/// - Notes of one track with the same onset and pitch become one note, with the length of the longest and the velocity
///   of the loudest.
/// - Notes of different tracks on one channel with the same onset and pitch all stay. All end when the longest does.
pub fn resolve(channels: &[Channel], tracks: &mut [Vec<Span>]) -> Vec<Resolved> {
    let mut resolved = vec![Resolved::default(); tracks.len()];
    let mut tracks_by_channel: BTreeMap<Channel, Vec<usize>> = BTreeMap::new();
    for (track, (&channel, notes)) in channels.iter().zip(tracks.iter_mut()).enumerate() {
        resolved[track].merged = merge(notes);
        tracks_by_channel.entry(channel).or_default().push(track);
    }
    // The tick and the pitch of each note on, its track, and its index in the track.
    let mut strikes: Vec<(u32, u8, usize, usize)> = Vec::new();
    for track_indices in tracks_by_channel.into_values() {
        strikes.clear();
        for track in track_indices {
            let notes = (0..).zip(&tracks[track]);
            strikes.extend(notes.map(|(index, note)| (note.on, note.pitch, track, index)));
        }
        // Nearly always the channel has one track, whose notes are in order already: then this takes no time.
        strikes.sort();
        // When the next note of each pitch begins.
        let mut next_on = [u32::MAX; 1 << u8::BITS];
        for together in strikes.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).rev() {
            let off = together
                .iter()
                .map(|&(.., track, index)| tracks[track][index].off)
                .max()
                .unwrap_or(0);
            let (on, pitch, ..) = together[0];
            let off = off.min(next_on[usize::from(pitch)]);
            next_on[usize::from(pitch)] = on;
            for &(.., track, index) in together {
                let note = &mut tracks[track][index];
                resolved[track].shortened += usize::from(off < note.off);
                note.off = off;
            }
        }
    }
    resolved
}

/// Merges the notes of one track that have the same onset and pitch; returns by how many notes the track has shrunk.
fn merge(notes: &mut Vec<Span>) -> usize {
    let before = notes.len();
    notes.sort_by_key(|note| (note.on, note.pitch));
    notes.dedup_by(|again, first| {
        let same = again.on == first.on && again.pitch == first.pitch;
        if same {
            first.off = first.off.max(again.off);
            first.velocity = first.velocity.max(again.velocity);
        }
        same
    });
    before - notes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIANO: Channel = Channel { port: 0, number: 0 };
    const DRUMS: Channel = Channel { port: 0, number: 9 };

    fn span(on: u32, off: u32, pitch: u8, velocity: u8) -> Span {
        Span {
            on,
            off,
            pitch,
            velocity,
        }
    }

    fn one(notes: &[Span]) -> (Vec<Span>, Resolved) {
        let mut tracks = [notes.to_vec()];
        let resolved = resolve(&[PIANO], &mut tracks);
        (tracks[0].clone(), resolved[0])
    }

    #[test]
    fn a_note_ends_where_the_next_of_its_pitch_begins() {
        let (notes, resolved) = one(&[
            span(0, 10, 60, 1),
            span(5, 8, 60, 2),
            span(8, 9, 60, 3),
            span(5, 20, 61, 4),
        ]);
        assert_eq!(
            notes,
            [
                span(0, 5, 60, 1),
                span(5, 8, 60, 2),
                span(5, 20, 61, 4),
                span(8, 9, 60, 3)
            ]
        );
        assert_eq!(
            resolved,
            Resolved {
                shortened: 1,
                merged: 0
            }
        );
    }

    #[test]
    fn notes_struck_together_become_one() {
        let (notes, resolved) = one(&[span(0, 3, 60, 9), span(0, 10, 60, 1), span(5, 6, 60, 2)]);
        assert_eq!(notes, [span(0, 5, 60, 9), span(5, 6, 60, 2)]);
        assert_eq!(
            resolved,
            Resolved {
                shortened: 1,
                merged: 1
            }
        );
    }

    #[test]
    fn tracks_that_share_a_channel_do_not_end_each_others_notes() {
        let mut tracks = [
            vec![span(0, 10, 38, 1)],
            vec![span(0, 4, 38, 2), span(7, 9, 38, 3)],
            vec![span(0, 10, 38, 4)],
        ];
        let resolved = resolve(&[DRUMS, DRUMS, PIANO], &mut tracks);
        assert_eq!(
            tracks,
            [
                vec![span(0, 7, 38, 1)],
                vec![span(0, 7, 38, 2), span(7, 9, 38, 3)],
                vec![span(0, 10, 38, 4)]
            ]
        );
        assert_eq!(
            resolved.iter().map(|track| track.shortened).collect::<Vec<_>>(),
            [1, 0, 0]
        );
    }
}
