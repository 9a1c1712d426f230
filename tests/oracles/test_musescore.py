"""MuseScore, which writes the files as notes on paper, has the bars and the key that we wrote."""

import json
import os
import subprocess
import xml.etree.ElementTree as ElementTree
from fractions import Fraction

import mido
import pytest

from tests.music import songs

SONGS = list(songs.read(songs.SUBSET))
FIFTHS = "Fb Cb Gb Db Ab Eb Bb F C G D A E B F# C# G# D# A#".split()


def fifths(key):
    """How many sharps the signature of a key such as "F#m" has; flats count negative."""
    return FIFTHS.index(key.removesuffix("m")) - FIFTHS.index("A" if key.endswith("m") else "C")


def written(path):
    """The lengths in quarters of the file's bars up to its last note, and its key."""
    file = mido.MidiFile(path)
    metres, key, last = [], None, 0
    for track in file.tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type == "time_signature":
                metres.append((now, Fraction(4 * message.numerator, message.denominator)))
            elif message.type == "key_signature":
                key = message.key
            elif message.type == "note_off":
                last = max(last, now)
    bars = []
    for (begin, length), (end, _) in zip(metres, [*metres[1:], (last, None)]):
        bars += [length] * -(-(end - begin) // int(length * file.ticks_per_beat))
    return bars, key


def read(path):
    """The lengths in quarters of MuseScore's bars, which must be those of each part, and the signatures of all parts but drums."""
    out = path.with_suffix(".musicxml")
    # It writes into its home directory, and needs no screen.
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(path.parent), "XDG_RUNTIME_DIR": str(path.parent)}
    subprocess.run(["mscore3", "-o", out, path], env=environment, capture_output=True, timeout=120, check=True)
    bars, signatures = [], set()
    parts = ElementTree.parse(out).getroot().findall("part")
    for part in parts:
        bars.append([])
        for measure in part.findall("measure"):
            if divisions := measure.findtext("attributes/divisions"):
                quarter = int(divisions)
            if beats := measure.findtext("attributes/time/beats"):
                length = Fraction(4 * int(beats), int(measure.findtext("attributes/time/beat-type")))
            if measure.get("implicit"):
                # A pick-up has the metre of the next bar, and the length of its notes and rests.
                voice = [note for note in measure.findall("note") if note.findtext("voice") == "1" and note.find("chord") is None]
                bars[-1].append(Fraction(sum(int(note.findtext("duration")) for note in voice), quarter))
            else:
                bars[-1].append(length)
        if part.findtext("measure/attributes/clef/sign") != "percussion":
            signatures.add(int(part.findtext("measure/attributes/key/fifths")))
    assert all(of_part == bars[0] for of_part in bars)
    return bars[0], signatures


@pytest.fixture(scope="module", params=SONGS, ids=lambda song: f"{song['set']}-{song['place']}")
def song(midihook, request, tmp_path_factory):
    """The path of a song's file."""
    path = tmp_path_factory.mktemp("song") / "song.mid"
    assert midihook("render", "-", "-o", path, input=json.dumps(request.param["callback"]).encode()).returncode == 0
    return path


def test_musescore_has_our_bars(song):
    """If the notes do not fit the grid of a file, MuseScore makes a grid of its own: with `--bpm 97` for all these songs."""
    bars, _ = written(song)
    assert read(song)[0] == bars


def test_musescore_has_our_key(song):
    _, key = written(song)
    if key is None:
        pytest.skip("a song without a key signature; MuseScore guesses one")
    assert read(song)[1] == {fifths(key)}


def test_the_songs_have_what_is_difficult(midihook, tmp_path):
    """Bars of three, pick-ups, bars of another length amid the song, and tempos that change."""
    found = set()
    for song in SONGS:
        path = tmp_path / "song.mid"
        assert midihook("render", "-", "-o", path, input=json.dumps(song["callback"]).encode()).returncode == 0
        bars, _ = written(path)
        found |= {"three"} if bars.count(3) > len(bars) / 2 else set()
        found |= {"pick-up"} if bars[0] < bars[1] else set()
        found |= {"odd bar"} if len(set(bars[1:])) > 1 else set()
        found |= {"drift"} if sum(message.type == "set_tempo" for message in mido.MidiFile(path).tracks[0]) > 2 else set()
    assert found == {"three", "pick-up", "odd bar", "drift"}
