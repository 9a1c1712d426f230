"""Songs with known beats: reads them, and makes the compact file of this directory from the large one.

    python -m tests.music.songs LARGE.jsonl.gz

Each line of the large file is a song: `set`, `id`, `meter`, `key`, `beats`, `downbeats`, `callback`. The compact file has
`place`, the song's place in its set in the large file, and `notes` instead of `callback`."""

import gzip
import itertools
import json
import pathlib
import sys

SUBSET = pathlib.Path(__file__).with_name("songs.jsonl.gz")
STEPS = 192  # of the provider's grid, per second


def read(path):
    """The songs of a file, large or compact: each has `place` and `callback`."""
    places = {}
    with gzip.open(path, "rt") as lines:
        for song in map(json.loads, lines):
            place = places.setdefault(song["set"], itertools.count())
            song.setdefault("place", next(place))
            if notes := song.pop("notes", None):
                song["callback"] = unpacked(notes)
            yield song


def packed(callback):
    """Each instrument as its name and the columns of its notes: pitch, start after the last one's, length, velocity."""
    instruments = []
    for instrument in callback["data"]["instruments"]:
        notes = instrument["notes"]
        starts, ends = ([round(float(note[time]) * STEPS) for note in notes] for time in ("start", "end"))
        gaps = [start - last for last, start in zip([0, *starts], starts)]
        lengths = [end - start for start, end in zip(starts, ends)]
        velocities = [round(note["velocity"] * 127) for note in notes]
        instruments.append([instrument["name"], [note["pitch"] for note in notes], gaps, lengths, velocities])
    return instruments


def unpacked(instruments):
    # The provider sends some times as strings. Here those of every second note are strings.
    forms = itertools.cycle([float, str])
    parts = []
    for name, *columns in instruments:
        start, notes = 0, []
        for pitch, gap, length, velocity in zip(*columns):
            start += gap
            form = next(forms)
            times = {"start": form(start / STEPS), "end": form((start + length) / STEPS)}
            notes.append({"pitch": pitch, **times, "velocity": velocity / 127})
        parts.append({"name": name, "notes": notes})
    return {"code": 200, "msg": "success", "data": {"taskId": "x", "state": "complete", "instruments": parts}}


def is_in_subset(song):
    """The rule of README.md."""
    if song["set"] == "pop909":
        return song["place"] % 9 == 5
    return song["id"].startswith("freedoom/") and song["place"] % 7 == 0


def main():
    chosen = filter(is_in_subset, read(sys.argv[1]))
    # Without a time, so that the same songs give the same bytes.
    with gzip.GzipFile(SUBSET, "wb", mtime=0) as file:
        for song in chosen:
            callback = song.pop("callback")
            song["notes"] = packed(callback)
            assert unpacked(song["notes"]) == callback, song["id"]
            file.write(json.dumps(song, separators=(",", ":")).encode() + b"\n")


if __name__ == "__main__":
    main()
