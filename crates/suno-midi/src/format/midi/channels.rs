//! Which channel an instrument plays on.
//!
//! MIDI has 16 channels, and General MIDI reserves the tenth for drums. Up to 15 melodic instruments get one channel
//! each, in order; all drums share the tenth. Further melodic instruments start over with the first channel of the next
//! *port*, which their tracks name in a MIDI port event (FF 21), as notation programs do. A reader that ignores ports
//! still sees a track for each instrument, with its own program and all its notes.

use crate::{instruments::Sound, score::MAX_INSTRUMENTS};

/// The channel of drums in General MIDI, counted from 0: a musician's channel 10.
pub const DRUMS: u8 = 9;

/// How many instruments other than drums have a channel of their own on one port.
const MELODIC_PER_PORT: u8 = 15;

/// How many ports a MIDI port event can name.
const PORTS: usize = 128;

// There is a channel for every instrument of a score.
const _: () = assert!(MAX_INSTRUMENTS == PORTS * MELODIC_PER_PORT as usize);

/// A channel of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel {
    /// The port, from 0 to 127.
    pub port: u8,
    /// The channel, from 0 to 15. Musicians count from 1.
    pub number: u8,
}

/// The channels for the instruments of a score with these sounds, in the same order.
pub fn assign(sounds: impl IntoIterator<Item = Sound>) -> Vec<Channel> {
    let (mut port, mut next) = (0, 0);
    let mut assign_one = |sound| {
        if sound == Sound::Drums {
            return Channel { port: 0, number: DRUMS };
        }
        if next == MELODIC_PER_PORT {
            (port, next) = (port + 1, 0);
        }
        let number = if next < DRUMS { next } else { next + 1 };
        next += 1;
        Channel { port, number }
    };
    sounds.into_iter().map(&mut assign_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn melodic_instruments_have_channels_of_their_own_and_skip_the_tenth() {
        let channels = assign((0..45).map(|_| Sound::DEFAULT));
        let mut distinct = channels.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct, channels, "in order and each once");
        assert!(
            channels
                .iter()
                .all(|channel| channel.number != DRUMS && channel.number < 16)
        );
        assert_eq!(channels[9], Channel { port: 0, number: 10 });
        assert_eq!(channels[14], Channel { port: 0, number: 15 });
        assert_eq!(channels[15], Channel { port: 1, number: 0 });
        assert_eq!(channels[44].port, 2);
    }

    #[test]
    fn drums_share_the_tenth_channel_and_take_none_from_the_others() {
        let channels = assign([Sound::Drums, Sound::DEFAULT, Sound::Drums, Sound::DEFAULT]);
        assert_eq!(
            channels.iter().map(|channel| channel.number).collect::<Vec<_>>(),
            [9, 0, 9, 1]
        );
    }

    #[test]
    fn the_last_instrument_is_on_the_last_channel_of_the_last_port() {
        let channels = assign((0..MAX_INSTRUMENTS).map(|_| Sound::DEFAULT));
        assert_eq!(channels.last(), Some(&Channel { port: 127, number: 15 }));
    }
}
