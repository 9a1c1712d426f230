"""How one writes the MIDI file of a callback in Python: a function from the JSON to the bytes for each library."""

import io
import json

import mido
import numpy
import pretty_midi
import symusic

TICKS_PER_QUARTER = 480
# At 120 BPM.
TICKS_PER_SECOND = 2 * TICKS_PER_QUARTER
DRUMS = 9


def with_symusic(text):
    score = symusic.Score(TICKS_PER_QUARTER)
    score.tempos.append(symusic.Tempo(0, 120))
    for instrument in json.loads(text)["data"]["instruments"]:
        notes = instrument["notes"]
        times = [[float(note[name]) for note in notes] for name in ("start", "end")]
        start, end = numpy.rint(numpy.array(times) * TICKS_PER_SECOND).astype(numpy.int32)
        pitch = numpy.array([note["pitch"] for note in notes], dtype=numpy.int8)
        velocity = numpy.rint(numpy.array([note["velocity"] for note in notes]) * 127).astype(numpy.int8)
        track = symusic.Track(name=instrument["name"], program=0, is_drum=instrument["name"] == "Drums")
        track.notes = symusic.Note.from_numpy(start, end - start, pitch, velocity)
        score.tracks.append(track)
    return score.dumps_midi()


def with_mido(text):
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_QUARTER)
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000)]))
    channels = iter(channel for channel in range(16) if channel != DRUMS)
    for instrument in json.loads(text)["data"]["instruments"]:
        channel = DRUMS if instrument["name"] == "Drums" else next(channels)
        events = []
        for note in instrument["notes"]:
            start, end = (round(float(note[name]) * TICKS_PER_SECOND) for name in ("start", "end"))
            events.append((start, 1, note["pitch"], round(note["velocity"] * 127)))
            events.append((end, 0, note["pitch"], 0))
        events.sort()
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=instrument["name"])])
        now = 0
        for tick, on, pitch, velocity in events:
            kind = "note_on" if on else "note_off"
            track.append(mido.Message(kind, note=pitch, velocity=velocity, channel=channel, time=tick - now))
            now = tick
        file.tracks.append(track)
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def with_pretty_midi(text):
    song = pretty_midi.PrettyMIDI(resolution=TICKS_PER_QUARTER, initial_tempo=120)
    for instrument in json.loads(text)["data"]["instruments"]:
        track = pretty_midi.Instrument(0, is_drum=instrument["name"] == "Drums", name=instrument["name"])
        for note in instrument["notes"]:
            start, end = float(note["start"]), float(note["end"])
            track.notes.append(pretty_midi.Note(round(note["velocity"] * 127), note["pitch"], start, end))
        song.instruments.append(track)
    out = io.BytesIO()
    song.write(out)
    return out.getvalue()


PEERS = {"symusic": with_symusic, "mido": with_mido, "pretty_midi": with_pretty_midi}
