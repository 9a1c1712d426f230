"""How fast callbacks become MIDI files, against Python's libraries in the same run; and what the receiver costs.

    python -m tests.bench PROGRAM FUNCTIONS

PROGRAM is the command line in release mode, FUNCTIONS a directory with the built receiver and its peers. The machine and
its other work decide the times: read the ratios, and let the machine do nothing else."""

import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

from tests.bench import receiver
from tests.bench.callbacks import callback
from tests.bench.peers import PEERS
from tests.local_stack.stack import ROOT

ROUNDS = 5
GROWTH = [1_000, 10_000, 100_000, 1_000_000]
SONG, LARGE = 10_000, 100_000


def in_process(path):
    """The times of the core with this callback, in milliseconds (benches/convert.rs)."""
    command = ["cargo", "bench", "--quiet", "--locked", "--package", "suno-midi", "--bench", "convert", "--", path]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def timed(function, *arguments):
    began = time.perf_counter()
    function(*arguments)
    return 1e3 * (time.perf_counter() - began)


# Runs a command, and prints how many seconds it took and its peak memory in kB.
RUN = """import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def whole_process(program, path, tempo):
    """How long the command line takes, in milliseconds, and its peak memory in MB."""
    # A child of its own, because a process begins with the peak memory of its parent.
    command = [program, "render", path, "--bpm", tempo, "-o", path.with_suffix(".mid")]
    said = subprocess.run([sys.executable, "-c", RUN, *command], check=True, capture_output=True).stdout
    seconds, kilobytes = map(float, said.split())
    return 1e3 * seconds, kilobytes / 1e3


def measured(program, paths):
    """The times of each round, by name. Within a round all are measured one after the other."""
    times = {}

    def note(name, time):
        times.setdefault(name, []).append(time)

    texts = {size: paths[size].read_text() for size in (SONG, LARGE)}
    for peer in PEERS.values():
        peer(texts[SONG])  # what a library does only once
    for _ in range(ROUNDS):
        for name, time in in_process(paths[SONG]).items():
            note(name, time)
        for name, peer in PEERS.items():
            # The fast one as often as the core.
            runs = 11 if name == "symusic" else 1
            note(name, statistics.median(timed(peer, texts[SONG]) for _ in range(runs)))
        note("large symusic", timed(PEERS["symusic"], texts[LARGE]))
        for tempo in ("off", "auto"):
            note(f"large {tempo}", whole_process(program, paths[LARGE], tempo)[0])
    return times


def main(program, functions):
    with tempfile.TemporaryDirectory() as directory:
        paths = {size: pathlib.Path(directory) / f"{size}.json" for size in GROWTH}
        for size, path in paths.items():
            path.write_text(callback(size))
        times = measured(program, paths)
        growth = {size: in_process(path)["off"] for size, path in paths.items()}
        memory = {size: whole_process(program, path, "off")[1] for size, path in paths.items()}

    print(f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} processors; medians of {ROUNDS} rounds\n")
    print(f"{'':<58} {'core':>10} {'peer':>10} {'ratio':>9}")

    def row(what, own, peer, faster=True):
        ratios = [b / a if faster else a / b for a, b in zip(times[own], times[peer])]
        ratio = f"{statistics.median(ratios):.1f} ×"
        print(f"{what:<58} {statistics.median(times[own]):>7.1f} ms {statistics.median(times[peer]):>7.1f} ms {ratio:>9}")

    row(f"{LARGE:,} notes, the whole process, off: json + symusic", "large off", "large symusic")
    row(f"{LARGE:,} notes, the whole process, inferred: json + symusic", "large auto", "large symusic")
    for peer in PEERS:
        row(f"{SONG:,} notes, off: json + {peer}", "off", peer)
    row(f"{SONG:,} notes, off, with a picture: json + symusic", "drawn", "symusic")
    row(f"{SONG:,} notes, inferred: json + symusic", "auto", "symusic")
    row(f"{SONG:,} notes, off, as a part of: serde_json", "off", "plain", faster=False)

    print(f"\n{'':<58} {'receiver':>10} {'peer':>10} {'ratio':>9}")
    for what, pairs, unit in receiver.rows(pathlib.Path(functions)):
        own, peer = (statistics.median(side) for side in zip(*pairs))
        ratio = f"{statistics.median(a / b for a, b in pairs):.2f} ×"
        print(f"{what:<58} {own:>7.1f} {unit} {peer:>7.1f} {unit} {ratio:>9}")

    print(f"\n{'notes':>10} {'off':>20} {'a note':>12} {'peak memory':>14}")
    for size in GROWTH:
        nanoseconds = 1e6 * growth[size] / size
        print(f"{size:>10,} {growth[size]:>17.1f} ms {nanoseconds:>9.0f} ns {memory[size]:>11.0f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
