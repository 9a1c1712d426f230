"""Random callbacks, each made from a seed. Most values are like the provider's; some are wrong on purpose."""

import random

NAMES = [
    "Acoustic Grand Piano", "Electric Bass (finger)", "Synth Voice", "String Ensemble 1", "Electric Guitar (clean)",
    "Lead 1 (square)", "Pad 2 (warm)", "Church Organ", "Alto Sax", "Steel Drums", "Nobody's Instrument", "Ünïcode 鼓",
]  # fmt: skip


def seconds(r, steps):
    value = steps / 192
    return r.choice([value, repr(value)])


def odd_note(r):
    """A note with one wrong member, and sometimes one missing."""
    note = {"pitch": r.randint(0, 127), "start": r.uniform(0, 30), "end": r.uniform(0, 30), "velocity": r.random()}
    member = r.choice(list(note))
    odd = {
        "pitch": [-1, 128, 60.4, "61", None, "C4", 1e30],
        "start": [-1.5, -0.0, "0", "nan", "inf", None, 1e9, [], 25_000],
        "end": [0, "0.0", -3, 1e6, None, True, {}],
        "velocity": [0, -1, 2, 127, None, "0.5", "loud", "NaN"],
    }[member]
    note[member] = r.choice(odd)
    if r.random() < 0.3:
        del note[r.choice(list(note))]
    return note


def notes(r, count):
    cursor, pitches, sent = 0, [r.randint(0, 127) for _ in range(r.randint(1, 12))], []
    for _ in range(count):
        cursor += r.choice([0, 0, 0, 1, 6, 12, 24, 48])
        length = r.choice([0, 1, 5, 11, 12, 23, 24, 47, 95, 191])
        sent.append({
            "pitch": r.choice(pitches),
            "start": seconds(r, cursor),
            "end": seconds(r, cursor + length),
            "velocity": 1 if r.random() < 0.3 else r.randint(1, 127) / 127,
        })  # fmt: skip
        if r.random() < 0.05:
            sent.append(odd_note(r))
    r.shuffle(sent)
    return sent


def callback(seed):
    """The callback made from a seed."""
    r = random.Random(seed)
    instruments = []
    for _ in range(r.choice([0, 1, 2, 3, 5, 8, 20])):
        name = "Drums" if r.random() < 0.25 else r.choice(NAMES)
        instrument = {"name": name, "notes": notes(r, r.choice([0, 1, 5, 40]))}
        if not instrument["notes"] and r.random() < 0.5:
            instrument["notes"] = None
        instruments.append(instrument)
    return {"code": 200, "msg": "success", "data": {"taskId": f"seed-{seed}", "state": "complete", "instruments": instruments}}
