"""A second implementation of midihook's rules: the tracks that a callback's file must have.

It was written from the documentation, not from the product's code. All arithmetic is exact."""

import math
from collections import defaultdict
from fractions import Fraction
from typing import NamedTuple

import pretty_midi

TICKS_PER_QUARTER = 480
MAX_NOTE, MAX_START = 600, 21_600


class Note(NamedTuple):
    pitch: int
    on: int  # ticks
    off: int  # ticks
    velocity: int


class Track(NamedTuple):
    name: str
    program: int
    port: int
    channel: int  # 0 to 15
    notes: list


def number(value):
    """A value as a float: NaN if it is not a number, None if it is missing."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan


def half_up(value):
    return math.floor(value + Fraction(1, 2))


class TempoMap:
    """Converts between seconds and ticks. `events` are pairs (tick, microseconds per quarter); the first is at tick 0."""

    def __init__(self, events):
        self.segments = []  # (second, tick, ticks per second)
        second = Fraction(0)
        for (tick, micros), (following, _) in zip(events, [*events[1:], (None, None)]):
            rate = Fraction(1_000_000 * TICKS_PER_QUARTER, micros)
            self.segments.append((second, tick, rate))
            if following is not None:
                second += (following - tick) / rate

    def tick(self, seconds):
        """The tick nearest to a time in seconds."""
        begin, tick, rate = [segment for segment in self.segments if segment[0] <= seconds][-1]
        return tick + half_up((seconds - begin) * rate)

    def seconds(self, tick):
        begin, first, rate = [segment for segment in self.segments if segment[1] <= tick][-1]
        return float(begin + (tick - first) / rate)


def playable(sent, tempo):
    """A sent note as a MIDI note, or None if it cannot be one."""
    pitch, start, end, velocity = (number(sent.get(member)) for member in ("pitch", "start", "end", "velocity"))
    if pitch is None or not math.isfinite(pitch) or not 0 <= half_up(Fraction(pitch)) <= 127:
        return None
    if start is None or end is None or not math.isfinite(start) or not math.isfinite(end):
        return None
    start, end = sorted((Fraction(start), Fraction(end)))
    if start > MAX_START or (start < 0 and end <= 0):
        return None
    start = max(start, Fraction(0))
    end = min(end, start + MAX_NOTE)
    on = tempo.tick(start)
    off = max(tempo.tick(end), on + 1)
    if velocity is None or math.isnan(velocity):
        velocity = 64
    else:
        velocity = max(1, half_up(Fraction(min(max(velocity, 0.0), 1.0)) * 127))
    return Note(half_up(Fraction(pitch)), on, off, velocity)


def program(name):
    """The program of an instrument's name, from pretty_midi's table, which has a later General MIDI name for program 54."""
    try:
        return pretty_midi.instrument_name_to_program({"Synth Voice": "Synth Choir"}.get(name, name))
    except ValueError:
        return 0


def expected(callback, tempo):
    """The tracks that a callback's file must have with this tempo map."""
    tracks, melodic = [], 0
    for instrument in callback["data"].get("instruments") or []:
        drums = instrument["name"] == "Drums"
        port, channel = (0, 9) if drums else (melodic // 15, melodic % 15 + (melodic % 15 >= 9))
        melodic += not drums
        notes = [playable(sent, tempo) for sent in instrument.get("notes") or []]
        struck = defaultdict(list)
        for note in filter(None, notes):
            struck[note.on, note.pitch].append(note)
        # Notes of one pitch that start together on one track become one note, with the longest duration and the highest
        # velocity.
        notes = [
            Note(pitch, on, max(note.off for note in same), max(note.velocity for note in same))
            for (on, pitch), same in struck.items()
        ]
        tracks.append(Track(instrument["name"], 0 if drums else program(instrument["name"]), port, channel, notes))

    # A note ends where the next note of its pitch on its channel begins. If notes of one pitch start together on
    # different tracks of a channel, they also end together.
    onsets, ends = defaultdict(set), defaultdict(int)
    for track in tracks:
        for note in track.notes:
            onsets[track.port, track.channel, note.pitch].add(note.on)
            key = (track.port, track.channel, note.pitch, note.on)
            ends[key] = max(ends[key], note.off)
    resolved = []
    for track in tracks:
        notes = []
        for note in track.notes:
            key = (track.port, track.channel, note.pitch)
            following = min((on for on in onsets[key] if on > note.on), default=math.inf)
            notes.append(note._replace(off=min(ends[*key, note.on], following)))
        resolved.append(track._replace(notes=sorted(notes)))
    return resolved
