"""Beats, bars and keys of rendered songs, read from their files as a DAW does, against the truth.

    python -m tests.music.measure PROGRAM [SONGS.jsonl.gz]

README.md explains the figures."""

import bisect
import concurrent.futures
import functools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from typing import NamedTuple

import mido
import pretty_midi

from tests.music import songs

# All songs, beside the repository: not all of their licenses fit into it.
ALL_SONGS = pathlib.Path(__file__).resolve().parents[3] / "shared" / "music" / "songs.jsonl.gz"

NEAR = 0.07  # seconds from a true beat to one that is right
SAME_TEMPO = 0.04
OCTAVES = [1, 2, 1 / 2, 3, 1 / 3]
FRACTIONS = [3 / 2, 2 / 3, 4 / 3, 3 / 4]
GOOD = 0.8  # the beat F of a song whose beats are right


class Row(NamedTuple):
    """What was measured of one song."""

    name: str
    half: str  # "chosen" if the song was used to choose constants, else "held"
    in_three: bool
    left_at_120: bool  # the program was not sure of a tempo
    ratio: float  # of the file's tempo to the true one
    beat_f: float
    downbeat_f: float
    beat_f_octaves: float  # the best beat F of those with the true beats, their double and both their halves
    confidence: float  # the program's own, of the tempo
    key_known: bool
    key_given: bool
    key_right: bool

    @property
    def acc1(self):
        return is_near(self.ratio, [1])

    @property
    def acc2(self):
        return is_near(self.ratio, OCTAVES)

    @property
    def wrong(self):
        """The file claims a tempo that nobody would tap."""
        return not self.left_at_120 and not is_near(self.ratio, OCTAVES + FRACTIONS)


def is_near(ratio, factors):
    return any(abs(ratio / factor - 1) <= SAME_TEMPO for factor in factors)


def f_measure(truth, found):
    """The F-measure of found beats. Both lists are sorted, so that taking the first pair that is near gives most pairs."""
    right = t = f = 0
    while t < len(truth) and f < len(found):
        if truth[t] - NEAR <= found[f] <= truth[t] + NEAR:
            right, t, f = right + 1, t + 1, f + 1
        elif found[f] < truth[t]:
            f += 1
        else:
            t += 1
    return 2 * right / (len(truth) + len(found)) if right else 0.0


def songs_at_hand(arguments):
    """The file of songs that the command line names; else all songs, or those of the repository."""
    return pathlib.Path(arguments[0]) if arguments else ALL_SONGS if ALL_SONGS.exists() else songs.SUBSET


def half(song):
    return "held" if song["place"] % 2 else "chosen"


def within_notes(song):
    """A function that leaves of a list those times at which notes begin."""
    onsets = [float(note["start"]) for instrument in song["callback"]["data"]["instruments"] for note in instrument["notes"]]
    first, last = min(onsets) - NEAR, max(onsets) + NEAR
    return lambda times: times[bisect.bisect_left(times, first) : bisect.bisect_right(times, last)]


def doubled(beats):
    return sorted([*beats, *((a + b) / 2 for a, b in zip(beats, beats[1:]))])


def signature(key):
    """The pitch class of the relative major's tonic, of a key such as "Gb:maj", "Bb:min", "F#m" or "C"."""
    name = key.removesuffix(":maj")
    tonic = name.removesuffix(":min").removesuffix("m")
    pitch_class = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[tonic[0]]
    return (pitch_class + tonic.count("#") - tonic.count("b") + (0 if name == tonic else 3)) % 12


class Grid(NamedTuple):
    """What a DAW's grid shows of a file."""

    beats: list
    downbeats: list
    bpm: float  # the median over time
    key: str | None


def grid(path):
    with warnings.catch_warnings():
        # It warns of key signatures in instrument tracks, where MuseScore wants them, but reads the file.
        warnings.simplefilter("ignore", RuntimeWarning)
        read = pretty_midi.PrettyMIDI(str(path))
    times, bpms = read.get_tempo_changes()
    spans = [end - begin for begin, end in zip(times, [*times[1:], max(read.get_end_time(), times[-1] + 1e-6)])]
    slower = 0
    for bpm, span in sorted(zip(bpms, spans)):
        slower += span
        if slower >= sum(spans) / 2:
            break
    keys = [message.key for track in mido.MidiFile(path).tracks for message in track if message.type == "key_signature"]
    return Grid(list(read.get_beats()), list(read.get_downbeats()), float(bpm), next(iter(keys), None))


def measure(program, song):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "song.mid"
        command = [program, "render", "-", "-o", path, "--json"]
        done = subprocess.run(command, input=json.dumps(song["callback"]).encode(), capture_output=True, check=True, timeout=120)
        file = grid(path)
    tempo = json.loads(done.stdout)["song"]["tempo"]
    inside = within_notes(song)
    f = lambda truth, found: f_measure(inside(truth), inside(found))
    true = song["beats"]
    key = song["key"]
    return Row(
        name=song["set"],
        half=half(song),
        in_three=song["meter"] == "3/4",
        # The file does not tell: a song may be at 120 BPM.
        left_at_120=not tempo["inferred"],
        ratio=file.bpm / (60 / statistics.median(b - a for a, b in zip(true, true[1:]))),
        beat_f=f(true, file.beats),
        downbeat_f=f(song["downbeats"], file.downbeats),
        beat_f_octaves=max(f(beats, file.beats) for beats in (true, doubled(true), true[::2], true[1::2])),
        confidence=tempo["confidence"],
        key_known=bool(key),
        key_given=bool(key and file.key),
        key_right=bool(key and file.key and signature(key) == signature(file.key)),
    )


def measured(program, path):
    """The rows of all songs of a file."""
    rows, said = [], time.monotonic()
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for row in pool.map(functools.partial(measure, program), songs.read(path)):
            rows.append(row)
            if time.monotonic() > said + 5:
                said = time.monotonic()
                print(f"    {len(rows)} songs", file=sys.stderr)
    return rows


def figures(rows):
    """Each figure by its name. Those that are None need songs with a known key."""
    mean = lambda values: statistics.fmean(values) if values else None
    percent = lambda figure, of: None if not of else 100 * mean([getattr(row, figure) for row in of])
    keyed = [row for row in rows if row.key_known]
    return {
        "120 %": percent("left_at_120", rows),
        "Acc1 %": percent("acc1", rows),
        "Acc2 %": percent("acc2", rows),
        "wrong %": percent("wrong", rows),
        "beat F": mean([row.beat_f for row in rows]),
        "downbeat F": mean([row.downbeat_f for row in rows]),
        "key given %": percent("key_given", keyed),
        "key right %": percent("key_right", keyed),
    }


def groups(rows):
    """The rows of each set, and those of the songs in three."""
    sets = {name: [row for row in rows if row.name == name] for name in dict.fromkeys(row.name for row in rows)}
    return {**sets, "in three": [row for row in rows if row.in_three]}


def halves(rows):
    return {"all": rows, **{half: [row for row in rows if row.half == half] for half in ("chosen", "held")}}


def table(lines):
    """A Markdown table; the first line has the heads."""
    cells = [["" if cell is None else str(cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells)]
    rows = ["| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)) + " |" for line in cells]
    return "\n".join([rows[0], "| " + " | ".join("-" * width for width in widths) + " |", *rows[1:]])


def shown(name, figure):
    return None if figure is None else f"{figure:.0f}" if name.endswith("%") else f"{figure:.2f}"


def figures_table(rows):
    lines = [["set", "half", "songs", *figures(rows)]]
    for name, group in groups(rows).items():
        for half, part in halves(group).items():
            if part:
                lines.append([name, half, len(part), *(shown(*figure) for figure in figures(part).items())])
    return table(lines)


def calibration_table(rows):
    """How often the beats are right, give or take an octave, for each tenth of the confidence."""
    lines = [["confidence", *(f"{half}: {what}" for half in halves(rows) for what in ("songs", "right %"))]]
    for tenth in range(10):
        line = [f"{tenth / 10:.1f} to {(tenth + 1) / 10:.1f}"]
        for part in halves(rows).values():
            chosen = [row for row in part if min(int(row.confidence * 10 + 1e-9), 9) == tenth]
            right = [row for row in chosen if row.beat_f_octaves > GOOD]
            line += [len(chosen), f"{100 * len(right) / len(chosen):.0f}" if chosen else None]
        lines.append(line)
    return table(lines)


def report(rows):
    return f"{figures_table(rows)}\n\n{calibration_table(rows)}"


def main():
    program, *path = sys.argv[1:]
    path = songs_at_hand(path)
    print(f"==> Measuring the songs of {path}", file=sys.stderr)
    print(report(measured(program, path)))


if __name__ == "__main__":
    main()
