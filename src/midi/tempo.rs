//! Seconds → ticks.

/// Ticks per quarter note. At 120 BPM a tick is 1/960 s, five to the provider's grid of 1/192 s,
/// so that grid is exact.
pub const TICKS_PER_QUARTER: u16 = 480;

/// The length of a quarter note, as a Standard MIDI File states it: in whole microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tempo {
    micros_per_quarter: u32,
}

impl Tempo {
    /// 120 BPM, which is what a file without a tempo plays at.
    pub const DEFAULT: Self = Self {
        micros_per_quarter: 500_000,
    };

    /// Microseconds per quarter note: the value of the file's tempo event.
    pub fn micros_per_quarter(self) -> u32 {
        self.micros_per_quarter
    }

    /// Beats (quarter notes) per minute.
    pub fn bpm(self) -> f64 {
        60e6 / f64::from(self.micros_per_quarter)
    }

    /// The tick nearest to a time in seconds. Times are rounded one by one, never their
    /// differences, so that no error adds up: each is off by half a tick at most.
    pub fn ticks(self, seconds: f64) -> u32 {
        (seconds * 1e6 * f64::from(TICKS_PER_QUARTER) / f64::from(self.micros_per_quarter)).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_providers_grid_is_exact_at_the_default_tempo() {
        for step in 0..200_000u32 {
            assert_eq!(Tempo::DEFAULT.ticks(f64::from(step) / 192.0), step * 5);
        }
    }
}
