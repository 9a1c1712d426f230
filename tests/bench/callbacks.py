"""Made-up callbacks of any size."""

import json
import random

INSTRUMENTS = [
    "Drums",
    "Electric Bass (finger)",
    "Acoustic Grand Piano",
    "Synth Voice",
    "String Ensemble 1",
    "Electric Guitar (clean)",
    "Lead 1 (square)",
    "Pad 2 (warm)",
]


def callback(notes, seed=1):
    """A callback with so many notes: times on the provider's grid, half of them strings, and velocities k/127."""
    draw = random.Random(seed)

    def time(steps):
        return draw.choice([repr, float])(steps / 192)

    def part():
        now = 0
        for _ in range(notes // len(INSTRUMENTS)):
            now += draw.choice([0, 0, 6, 12, 24, 48])
            length = draw.choice([5, 11, 23, 47, 95, 191])
            velocity = 1 if draw.random() < 0.3 else draw.randint(20, 127) / 127
            yield {"pitch": draw.randint(28, 90), "start": time(now), "end": time(now + length), "velocity": velocity}

    instruments = [{"name": name, "notes": list(part())} for name in INSTRUMENTS]
    data = {"taskId": "5c79be8e", "state": "complete", "instruments": instruments}
    return json.dumps({"code": 200, "msg": "success", "data": data})
