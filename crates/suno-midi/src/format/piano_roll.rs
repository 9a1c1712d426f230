//! A song → a picture of it: a piano roll as SVG.
//!
//! Time runs from left to right, pitch from bottom to top, and drums have a lane of their own. The picture is one file
//! without scripts, fonts or links, and follows the viewer's light or dark mode. All notes of an instrument with about
//! the same velocity are strokes of one path, so that ten thousand notes take some 200 kB. Notes of one pitch that
//! begin within about a pixel of each other become one stroke.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use svg::{
    Document, Node,
    node::{
        Blob,
        element::{Description, Group, Line, Rectangle, Style, Text, Title},
    },
};

use super::Label;
use crate::{
    instruments::Sound,
    music::{Song, grid::Grid},
    score::{Instrument, Note},
};

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 16.0;
const ROLL: f64 = WIDTH - LEFT - RIGHT;
/// The height of the melodic lane, before the height of a row is rounded to whole pixels.
const MELODIC_HEIGHT: f64 = 400.0;
const DRUM_ROW: f64 = 7.0;
/// Velocities are shown as this many levels of opacity.
const SHADES: usize = 4;
/// The shortest stroke, and the widest gap between strokes that is not visible, in pixels.
const SHORTEST: f64 = 1.2;
const INVISIBLE_GAP: f64 = 0.25;

/// The least distance of two beat lines, of two bar lines, and of two numbers of bars, in pixels.
const NARROWEST_BEAT: f64 = 6.0;
const NARROWEST_BAR: f64 = 12.0;
const NARROWEST_NUMBER: f64 = 36.0;

/// Colours that are told apart on white and on black (Tableau 10).
const COLOURS: [&str; 10] = [
    "#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#8f8f8f",
];

const STYLE: &str = "\
    .paper{fill:#fff}.black{fill:#eef1f5}.octave{stroke:#c9d1da}.bar{stroke:#aab4bf}.beat{stroke:#e3e7ec}\
    text{fill:#27313b;font:12px system-ui,sans-serif}.title{font-size:16px;font-weight:600}.faint{fill:#66727f;font-size:11px}\
    @media(prefers-color-scheme:dark){.paper{fill:#14181d}.black{fill:#1d232a}.octave{stroke:#3a444f}.bar{stroke:#4d5966}\
    .beat{stroke:#262e37}text{fill:#e3e8ee}.faint{fill:#98a5b3}}";

/// Draws the song.
pub fn draw(label: Label<'_>, song: &Song) -> String {
    let title = label.title;
    let canvas = Canvas::new(song);
    let legend = legend(song);
    let top = 44.0 + 20.0 * legend.rows as f64 + 18.0;
    let height = top + canvas.height() + 26.0;

    let mut picture = Document::new()
        .set("viewBox", (0, 0, WIDTH, height.ceil()))
        .set("role", "img")
        .set("aria-labelledby", "title description")
        .add(Title::new(title).set("id", "title"))
        .add(
            Description::new()
                .set("id", "description")
                .add(svg::node::Text::new(describe(song))),
        )
        .add(Style::new(STYLE))
        .add(
            Rectangle::new()
                .set("class", "paper")
                .set("width", "100%")
                .set("height", "100%"),
        )
        .add(Text::new(title).set("class", "title").set("x", 16).set("y", 28))
        .add(legend.group);
    let mut roll = Group::new().set("transform", format!("translate({LEFT} {top})"));
    canvas.draw_rows(&mut roll);
    canvas.draw_bars(&mut roll, &song.tempo.grid);
    canvas.draw_notes(&mut roll, song);
    if song.score.note_count() == 0 {
        roll.append(
            Text::new("no notes")
                .set("x", ROLL / 2.0)
                .set("y", canvas.height() / 2.0)
                .set("text-anchor", "middle"),
        );
    }
    picture.append(roll);
    let mut text = picture.to_string();
    // Writing to a string cannot fail.
    let _ = write!(text, "\n<!-- made of the body with the SHA-256 {}", label.body);
    if let Some(at) = label.requested_at {
        let _ = write!(text, ", as asked for at {at} (Unix ms)");
    }
    text.push_str(" -->\n");
    text
}

/// The picture in words, for screen readers.
fn describe(song: &Song) -> String {
    let names: Vec<String> = song
        .score
        .instruments
        .iter()
        .map(|instrument| format!("{} ({})", shown(instrument), instrument.notes.len()))
        .collect();
    format!(
        "Piano roll of {} notes in {:.1} seconds at {:.1} BPM. Instruments: {}.",
        song.score.note_count(),
        song.score.seconds(),
        song.tempo.bpm(),
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        },
    )
}

fn shown(instrument: &Instrument) -> String {
    let name: String = instrument.name.chars().take(32).collect();
    if name.is_empty() { "(no name)".to_owned() } else { name }
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

struct Legend {
    group: Group,
    rows: usize,
}

/// Names the instruments that fit into four rows, and counts the rest.
fn legend(song: &Song) -> Legend {
    let score = &song.score;
    let mut group = Group::new();
    let (mut x, mut row) = (16.0, 0);
    for (index, instrument) in score.instruments.iter().enumerate() {
        let label = format!("{}  {}", shown(instrument), instrument.notes.len());
        let width = 28.0 + 7.2 * label.chars().count() as f64;
        if x + width > WIDTH - RIGHT {
            (x, row) = (16.0, row + 1);
        }
        let y = 44.0 + 20.0 * row as f64;
        if row == 3 && x + width > WIDTH - 120.0 {
            let rest = score.instruments.len() - index;
            group.append(
                Text::new(format!("and {rest} more"))
                    .set("class", "faint")
                    .set("x", x)
                    .set("y", y + 10.0),
            );
            break;
        }
        group.append(
            Rectangle::new()
                .set("x", x)
                .set("y", y)
                .set("width", 12)
                .set("height", 12)
                .set("rx", 2)
                .set("fill", colour(index)),
        );
        group.append(Text::new(label).set("x", x + 17.0).set("y", y + 10.5));
        x += width;
    }
    let tempo = &song.tempo;
    let how = if tempo.inferred { "inferred" } else { "not inferred" };
    let mut words = format!("{:.1} s   {}   ", score.seconds(), tempo.meter);
    if let Some(found) = song.key {
        words += &format!("{}   ", found.key);
    }
    words += &format!("{:.1} BPM ({how})", tempo.bpm());
    group.append(
        Text::new(words)
            .set("class", "faint")
            .set("x", WIDTH - RIGHT)
            .set("y", 28)
            .set("text-anchor", "end"),
    );
    Legend { group, rows: row + 1 }
}

/// Where things are on the roll.
struct Canvas {
    seconds: f64,
    low: u8,
    high: u8,
    /// The height of a melodic row.
    row: f64,
    /// The row of each drum pitch that occurs, from the top.
    drums: BTreeMap<u8, usize>,
}

impl Canvas {
    fn new(song: &Song) -> Self {
        let pitches = |drums: bool| {
            song.parts()
                .filter(move |(_, voice)| (voice.sound == Sound::Drums) == drums)
                .flat_map(|(instrument, _)| &instrument.notes)
                .map(|note| note.pitch)
        };
        let (lowest, highest) = (pitches(false).min().unwrap_or(60), pitches(false).max().unwrap_or(60));
        // Whole octaves from C to C, at least two.
        let low = (lowest / 12).min(8) * 12;
        let high = ((highest / 12 + 1) * 12).max(low + 24).min(127);
        let row = (MELODIC_HEIGHT / f64::from(high - low + 1)).floor().clamp(4.0, 12.0);
        let drums: BTreeSet<u8> = pitches(true).collect();
        let drums = drums
            .into_iter()
            .rev()
            .enumerate()
            .map(|(row, pitch)| (pitch, row))
            .collect();
        Self {
            seconds: song.score.seconds().max(1.0),
            low,
            high,
            row,
            drums,
        }
    }

    fn melodic_height(&self) -> f64 {
        f64::from(self.high - self.low + 1) * self.row
    }

    fn drums_height(&self) -> f64 {
        self.drums.len() as f64 * DRUM_ROW
    }

    fn height(&self) -> f64 {
        self.melodic_height()
            + if self.drums.is_empty() {
                0.0
            } else {
                12.0 + self.drums_height()
            }
    }

    fn x(&self, seconds: f64) -> f64 {
        seconds / self.seconds * ROLL
    }

    /// The middle of a pitch's row.
    fn y(&self, pitch: u8) -> f64 {
        (f64::from(self.high - pitch) + 0.5) * self.row
    }

    fn drum_y(&self, pitch: u8) -> f64 {
        let row = self.drums.get(&pitch).copied().unwrap_or(0);
        self.melodic_height() + 12.0 + (row as f64 + 0.5) * DRUM_ROW
    }

    fn draw_rows(&self, roll: &mut Group) {
        let band = |y: f64, height: f64, class: &str| {
            Rectangle::new()
                .set("class", class)
                .set("y", y)
                .set("width", ROLL)
                .set("height", height)
        };
        for pitch in self.low..=self.high {
            let y = self.y(pitch);
            if matches!(pitch % 12, 1 | 3 | 6 | 8 | 10) {
                roll.append(band(y - self.row / 2.0, self.row, "black"));
            }
            if pitch % 12 == 0 {
                let edge = y + self.row / 2.0;
                roll.append(
                    Line::new()
                        .set("class", "octave")
                        .set("x2", ROLL)
                        .set("y1", edge)
                        .set("y2", edge),
                );
                // Middle C, note 60, is C4.
                let label = format!("C{}", i32::from(pitch) / 12 - 1);
                roll.append(
                    Text::new(label)
                        .set("class", "faint")
                        .set("x", -8)
                        .set("y", y + 4.0)
                        .set("text-anchor", "end"),
                );
            }
        }
        if !self.drums.is_empty() {
            let y = self.melodic_height() + 12.0;
            roll.append(band(y, self.drums_height(), "black"));
            let label = Text::new("drums")
                .set("class", "faint")
                .set("x", -8)
                .set("text-anchor", "end");
            roll.append(label.set("y", y + self.drums_height() / 2.0 + 4.0));
        }
    }

    fn draw_bars(&self, roll: &mut Group, grid: &Grid) {
        let line = |x: f64, class: &str| {
            Line::new()
                .set("class", class)
                .set("x1", round(x))
                .set("x2", round(x))
                .set("y2", self.height())
        };
        // Lines that are too close to be told apart are left out.
        let (mut last_beat, mut last_bar, mut last_number) = (f64::MIN, f64::MIN, f64::MIN);
        for beat in grid.beats_until(self.seconds) {
            let x = self.x(beat.seconds);
            if beat.bar.is_none() && x - last_beat >= NARROWEST_BEAT {
                roll.append(line(x, "beat"));
            }
            last_beat = x;
            // Numbered as a DAW numbers them: a lead-in is bar 1.
            let Some(bar) = beat.bar.filter(|_| x - last_bar >= NARROWEST_BAR) else {
                continue;
            };
            roll.append(line(x, "bar"));
            last_bar = x;
            if x - last_number >= NARROWEST_NUMBER {
                roll.append(
                    Text::new(bar.to_string())
                        .set("class", "faint")
                        .set("x", round(x + 2.0))
                        .set("y", -5),
                );
                last_number = x;
            }
        }
        roll.append(
            Text::new("bar")
                .set("class", "faint")
                .set("x", -8)
                .set("y", -5)
                .set("text-anchor", "end"),
        );

        let step = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0]
            .into_iter()
            .find(|&step| self.x(step) >= 60.0)
            .unwrap_or(3600.0);
        for index in 0..=(self.seconds / step) as usize {
            let seconds = index as f64 * step;
            let label = format!("{}:{:02}", seconds as u64 / 60, seconds as u64 % 60);
            let x = round(self.x(seconds));
            roll.append(
                Text::new(label)
                    .set("class", "faint")
                    .set("x", x)
                    .set("y", self.height() + 16.0),
            );
        }
    }

    fn draw_notes(&self, roll: &mut Group, song: &Song) {
        for (index, (instrument, voice)) in song.parts().enumerate() {
            let drums = voice.sound == Sound::Drums;
            let mut shades: [Vec<&Note>; SHADES] = Default::default();
            for note in &instrument.notes {
                shades[usize::from(note.velocity) * SHADES / 128].push(note);
            }
            let mut group = Group::new()
                .set("stroke", colour(index))
                .set("stroke-width", if drums { DRUM_ROW - 2.0 } else { self.row - 0.5 });
            for (shade, notes) in (1u8..).zip(&shades).filter(|(_, notes)| !notes.is_empty()) {
                let opacity = 0.25 + 0.7 * f64::from(shade) / SHADES as f64;
                let (d, opacity) = (self.strokes(notes, drums), round(opacity * 10.0) / 10.0);
                // Nothing in it needs to be escaped; as an attribute, each of its characters would be looked at.
                group.append(Blob::new(format!(r#"<path d="{d}" opacity="{opacity}"/>"#)));
            }
            roll.append(group);
        }
    }

    /// The strokes of notes. Notes too close to be told apart become one stroke.
    fn strokes(&self, notes: &[&Note], drums: bool) -> String {
        let mut rows: [Vec<(f64, f64)>; 128] = [const { Vec::new() }; 128];
        for note in notes {
            let (from, to) = (self.x(note.start), self.x(note.end));
            let row = &mut rows[usize::from(note.pitch)];
            match row.last_mut() {
                // Notes come in the order of their onsets. Longer notes that touch keep the gap between them.
                Some((begin, end)) if from <= *end + INVISIBLE_GAP && from < *begin + SHORTEST => *end = end.max(to),
                _ => row.push((from, to.max(from + SHORTEST))),
            }
        }
        let mut path = String::new();
        for (pitch, row) in (0..).zip(rows).filter(|(_, row)| !row.is_empty()) {
            let y = if drums { self.drum_y(pitch) } else { self.y(pitch) };
            for (from, to) in row {
                let length = (to - from - INVISIBLE_GAP).max(SHORTEST);
                for (command, pixels) in [('M', from), (' ', y), ('h', length)] {
                    path.push(command);
                    push_rounded(&mut path, pixels);
                }
            }
        }
        path
    }
}

/// Writes a length as [`round`] gives it, without the cost of a floating point number.
fn push_rounded(path: &mut String, pixels: f64) {
    let tenths = (pixels * 10.0).round() as u32;
    path.push_str(itoa::Buffer::new().format(tenths / 10));
    if !tenths.is_multiple_of(10) {
        path.push('.');
        path.push_str(itoa::Buffer::new().format(tenths % 10));
    }
}

fn round(pixels: f64) -> f64 {
    (pixels * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Digest,
        options::RenderOptions,
        score::{PartOf, Score},
    };

    fn picture(parts: &[PartOf<'_>]) -> String {
        let label = Label {
            title: "task",
            body: Digest::of(b"body"),
            requested_at: None,
        };
        draw(label, &Song::new(Score::of(parts), &RenderOptions::default()))
    }

    #[test]
    fn ten_thousand_notes_are_less_than_a_megabyte() {
        let notes = |instrument: u32| -> Vec<_> {
            let note = |n: u32| {
                let onset = f64::from(n) * 0.237;
                (f64::from(instrument * 7 + n % 60), onset, onset + 0.21)
            };
            (0..1000).map(note).collect()
        };
        let parts: Vec<_> = (0..10).map(notes).collect();
        let parts: Vec<PartOf<'_>> = parts.iter().map(|notes| ("Piano", notes.as_slice())).collect();
        let svg = picture(&parts);
        assert!(svg.len() < 400_000, "{}", svg.len());
        assert!(svg.matches('M').count() > 9_000);
    }

    #[test]
    fn names_are_escaped() {
        let svg = picture(&[("</text><script>alert(1)</script>&\"", &[(60.0, 0.0, 1.0)])]);
        assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"), "{svg}");
    }

    #[test]
    fn empty_and_extreme_songs_can_be_drawn() {
        assert!(picture(&[]).contains("no notes"));
        let svg = picture(&[
            ("Piano", &[(0.0, 0.0, 1.0), (127.0, 21_600.0, 22_200.0)]),
            ("Drums", &[(0.0, 0.0, 0.0), (127.0, 1.0, 2.0)]),
        ]);
        assert!(!svg.contains("NaN") && !svg.contains("\"inf") && svg.len() < 100_000);
    }

    #[test]
    fn the_picture_is_described_in_words() {
        let svg = picture(&[("Violin", &[(60.0, 0.0, 1.5)]), ("Drums", &[])]);
        assert!(svg.contains("Piano roll of 1 notes in 1.5 seconds at 120.0 BPM. Instruments: Violin (1), Drums (0)."));
    }
}
