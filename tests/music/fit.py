"""Fits the weights of music/candidate.rs to songs with known beats.

    python -m tests.music.fit [SONGS.jsonl.gz]

Only the chosen half is used: the songs at even places of their set. The weights are those of a conditional logistic
regression: of all beats that may be right, the right ones should be likely. A small penalty keeps weights near 0 that the
songs do not tell. The script prints them beside those of the program, and how often either chooses the right beats, on
both halves."""

import json
import subprocess
import sys

import numpy

from tests.music import measure, songs

PENALTY = 0.003
EXAMPLE = ["cargo", "run", "--quiet", "--release", "-p", "suno-midi", "--example", "candidates"]


def examples(path):
    """The signs' names and weights; then each song's half, the signs of its candidates, and their beat F."""
    known = list(songs.read(path))
    bodies = "".join(json.dumps(song["callback"]) + "\n" for song in known)
    lines = subprocess.run(EXAMPLE, input=bodies, capture_output=True, text=True, check=True).stdout.splitlines()
    names, weights = zip(*json.loads(lines[0]))
    found = []
    for song, line in zip(known, lines[1:]):
        candidates = json.loads(line)
        if not candidates:
            continue
        inside = measure.within_notes(song)
        truth = inside(song["beats"])
        signs = numpy.array([signs for signs, _, _ in candidates])
        f = numpy.array([measure.f_measure(truth, inside(beats)) for _, _, beats in candidates])
        found.append((measure.half(song), signs, f))
    return names, numpy.array(weights), found


def likely(scores):
    odds = numpy.exp(scores - scores.max())
    return odds / odds.sum()


def fit(found, scale):
    """Gradient ascent of the mean log likelihood of the right beats, in units of each sign's standard deviation."""
    teach = [(signs / scale, f > measure.GOOD) for half, signs, f in found if half == "chosen" and (f > measure.GOOD).any()]
    weights = numpy.zeros(len(scale))
    for _ in range(4000):
        gradient = -2 * PENALTY * weights
        for signs, right in teach:
            probable = likely(signs @ weights)
            rightly = probable * right / (probable * right).sum()
            gradient += (rightly - probable) @ signs / len(teach)
        weights += 0.3 * gradient
    return weights / scale


def main():
    names, written, found = examples(measure.songs_at_hand(sys.argv[1:]))
    signs = numpy.concatenate([signs for half, signs, _ in found if half == "chosen"])
    fitted = fit(found, numpy.maximum(signs.std(axis=0), 1e-3))
    print(measure.table([["sign", "fitted", "written"], *([n, f"{a:.2f}", f"{b:.2f}"] for n, a, b in zip(names, fitted, written))]))
    lines = [["half", "songs", "beat F fitted", "beat F written", "beat F of the best candidates"]]
    for half in ("chosen", "held"):
        some = [(signs, f) for name, signs, f in found if name == half]
        mean = lambda weights: numpy.mean([f[(signs @ weights).argmax()] for signs, f in some])
        lines.append([half, len(some), f"{mean(fitted):.3f}", f"{mean(written):.3f}", f"{numpy.mean([f.max() for _, f in some]):.3f}"])
    print(measure.table(lines))


if __name__ == "__main__":
    main()
