"""mido, pretty_midi and symusic each read the file of a random callback and agree with the model."""

import hashlib
import json
import os
import warnings
from collections import defaultdict

import mido
import pretty_midi
import pytest
import symusic

from tests.music import songs
from tests.readers.callbacks import callback
from tests.readers.model import TICKS_PER_QUARTER, Note, TempoMap, Track, expected

# MIDIHOOK_SEED is the first seed. A failure names its seed.
FIRST = int(os.environ.get("MIDIHOOK_SEED", 1))
CALLBACKS = int(os.environ.get("MIDIHOOK_CALLBACKS", 1000))
PER_TEST = 50


def render(midihook, directory, sent, *options):
    path = directory / "song.mid"
    done = midihook("render", "-", "-o", path, *options, input=json.dumps(sent).encode())
    assert done.returncode == 0, done.stderr.decode()
    return path


def by_mido(path):
    """The tempo map, and the name, program, port, channel and notes of each track.

    A note off ends the oldest note of its pitch.

    Fails for a note that never ends, and for a note off without a note on."""
    file = mido.MidiFile(path, charset="utf-8")
    assert (file.type, file.ticks_per_beat) == (1, TICKS_PER_QUARTER)
    tracks = []
    for track in file.tracks[1:]:
        now, sounding, notes, programs, channels, port = 0, defaultdict(list), [], [], set(), 0
        for message in track:
            now += message.time
            if message.type == "note_on":
                assert not sounding[message.note], "a note on while a note of the same pitch sounds"
                sounding[message.note].append((now, message.velocity))
            elif message.type == "note_off":
                on, velocity = sounding[message.note].pop(0)
                notes.append(Note(message.note, on, now, velocity))
            elif message.type == "program_change":
                programs.append((now, message.program))
            elif message.type == "midi_port":
                port = message.port
            if hasattr(message, "channel"):
                channels.add(message.channel)
        assert not any(sounding.values()), "a note never ends"
        assert track[-1].type == "end_of_track"
        assert len(programs) == 1 and programs[0][0] == 0 and len(channels) == 1
        tracks.append((track.name, programs[0][1], port, channels.pop(), sorted(notes)))
    return by_mido_tempo(file.tracks[0]), tracks


def by_mido_tempo(conductor):
    """The tempo map. The key comes first, and each time signature must begin a whole bar."""
    assert [message.type for message in conductor[:2]] == ["track_name", "sequencer_specific"] and conductor[-1].type == "end_of_track"
    now, tempos, bar, begun = 0, [], None, 0
    for index, message in enumerate(conductor[2:-1]):
        now += message.time
        if message.type == "set_tempo":
            tempos.append((now, message.tempo))
        elif message.type == "key_signature":
            assert (index, now) == (0, 0)
        else:
            assert message.type == "time_signature" and message.denominator in (4, 8)
            assert bar is None or (now - begun) % bar == 0
            bar, begun = message.numerator * 4 * TICKS_PER_QUARTER // message.denominator, now
    assert bar and tempos[0][0] == 0
    return TempoMap(tempos)


def check(midihook, directory, seed):
    sent = callback(seed)
    # A third of the songs get a fixed tempo: their files have a lead-in bar more often.
    path = render(midihook, directory, sent, *([] if seed % 3 else ["--bpm", str(60 + seed % 140)]))
    compare(path, sent, f"seed {seed}")


def compare(path, sent, name, ties=False):
    """All readers find in the file what the model says of the callback. With `ties`, times may be off by one tick: a time
    amid two ticks can go either way."""
    tempo, tracks = by_mido(path)
    model = expected(sent, tempo)
    for track, of_model in zip(tracks, model, strict=True):
        assert track[:4] == tuple(of_model)[:4], f"mido, {name}"
        if ties:
            rows = [[(note.pitch, note.velocity, note.on, note.off) for note in sorted(notes)] for notes in (track[4], of_model.notes)]
            assert [row[:2] for row in rows[0]] == [row[:2] for row in rows[1]], f"mido, {name}"
            assert all(abs(a - b) <= 1 for one, other in zip(*rows) for a, b in zip(one[2:], other[2:])), f"mido, {name}"
        else:
            assert track[4] == of_model.notes, f"mido, {name}"
    model = [Track(*track) for track in tracks]

    # pretty_midi and symusic do not list tracks without notes.
    model = [track for track in model if track.notes]
    with warnings.catch_warnings():
        # It warns of key signatures in instrument tracks, where MuseScore wants them, but reads the file.
        warnings.simplefilter("ignore", RuntimeWarning)
        read = pretty_midi.PrettyMIDI(str(path))
    utf8 = lambda name: name.encode("latin-1").decode()  # pretty_midi reads every name as Latin-1
    instruments = [
        (utf8(i.name), i.program, i.is_drum, sorted((n.pitch, n.start, n.end, n.velocity) for n in i.notes)) for i in read.instruments
    ]
    assert [i[:3] for i in instruments] == [(t.name, t.program, t.channel == 9) for t in model], f"pretty_midi, {name}"
    for (*_, notes), track in zip(instruments, model):
        for (pitch, start, end, velocity), note in zip(notes, track.notes, strict=True):
            assert (pitch, velocity) == (note.pitch, note.velocity), f"pretty_midi, {name}"
            assert start == pytest.approx(tempo.seconds(note.on), abs=1e-6), f"pretty_midi, {name}"
            assert end == pytest.approx(tempo.seconds(note.off), abs=1e-6), f"pretty_midi, {name}"

    read = symusic.Score(str(path))
    tracks = [
        ((t.name, t.program, t.is_drum), sorted(Note(n.pitch, n.time, n.time + n.duration, n.velocity) for n in t.notes))
        for t in read.tracks
        if len(t.notes)
    ]
    assert sorted(tracks) == sorted(((t.name, t.program, t.channel == 9), t.notes) for t in model), f"symusic, {name}"


@pytest.mark.parametrize("first", range(FIRST, FIRST + CALLBACKS, PER_TEST))
def test_three_readers_agree_with_the_model(midihook, tmp_path, first):
    for seed in range(first, min(first + PER_TEST, FIRST + CALLBACKS)):
        check(midihook, tmp_path, seed)


@pytest.mark.parametrize("song", list(songs.read(songs.SUBSET)), ids=lambda song: f"{song['set']}-{song['place']}")
def test_three_readers_agree_with_the_model_on_real_songs(midihook, tmp_path, song):
    """Their tempo changes, and their bars and keys are of several kinds."""
    compare(render(midihook, tmp_path, song["callback"]), song["callback"], song["id"], ties=True)


@pytest.mark.parametrize("fifths", range(-7, 8))
def test_readers_find_each_key(midihook, tmp_path, fifths):
    tonics = "Fb Cb Gb Db Ab Eb Bb F C G D A E B F# C# G# D# A#".split()
    for key in (tonics[fifths + 8], tonics[fifths + 11] + "m"):
        path = render(midihook, tmp_path, callback(FIRST), "--key", key)
        assert {message.key for track in mido.MidiFile(path).tracks for message in track if message.type == "key_signature"} == {key}
        found, *_ = symusic.Score(str(path)).key_signatures  # one from each track
        assert (found.key, found.tonality) == (fifths, int(key.endswith("m")))


def test_times_are_within_half_a_tick_of_those_sent(midihook, tmp_path):
    """These times are not on the provider's grid. On the grid, times are exact at 120 BPM."""
    sent = callback(FIRST)
    sent["data"]["instruments"] = [
        {"name": "Piano", "notes": [{"pitch": n % 128, "start": n * 0.123456, "end": n * 0.123456 + 0.1, "velocity": 1} for n in range(500)]}
    ]
    for bpm in ["auto", "off", "60", "97.3", "200"]:
        tempo, [(*_, notes)] = by_mido(render(midihook, tmp_path, sent, "--bpm", bpm))
        for index, note in enumerate(sorted(notes, key=lambda note: note.on)):
            for tick, sent_seconds in ((note.on, index * 0.123456), (note.off, index * 0.123456 + 0.1)):
                at, before, after = (tempo.seconds(near) for near in (tick, max(tick - 1, 0), tick + 1))
                assert abs(at - sent_seconds) <= max(at - before, after - at) / 2 + 1e-9


def test_a_callback_always_gives_the_same_bytes_and_its_song_in_other_json_differs_only_in_its_origin(midihook, tmp_path):
    sent = callback(FIRST + 2)
    first = render(midihook, tmp_path, sent).read_bytes()
    assert render(midihook, tmp_path, sent).read_bytes() == first
    other = json.loads(json.dumps(sent))
    for instrument in other["data"]["instruments"]:
        (instrument["notes"] or []).reverse()
    second = render(midihook, tmp_path, other).read_bytes()
    origins = [hashlib.sha256(json.dumps(body).encode()).digest() for body in (sent, other)]
    assert first.count(origins[0]) == 1 and second == first.replace(*origins)
