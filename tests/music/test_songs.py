"""The beats, bars and keys of the songs here are right as often as they were, and the measure itself is right."""

import pytest

from tests.music import measure, songs

# A little below what was measured on 2026-11-25, so that one song less is noticed. If a figure gets better, raise its
# floor.
FLOORS = {
    "pop909": {"Acc1 %": 76, "Acc2 %": 99, "beat F": 0.89, "downbeat F": 0.73, "key given %": 92, "key right %": 92},
    "gm": {"Acc1 %": 99, "Acc2 %": 99, "beat F": 0.99, "downbeat F": 0.95},
    "gm-transcribed": {"Acc1 %": 99, "Acc2 %": 99, "beat F": 0.99, "downbeat F": 0.95},
    "in three": {"Acc1 %": 99, "Acc2 %": 99, "beat F": 0.99, "downbeat F": 0.96, "key given %": 99, "key right %": 99},
}
CEILINGS = {"120 %": 0, "wrong %": 0}


def test_the_songs_do_as_well_as_they_did(midihook):
    rows = measure.measured(midihook.program, songs.SUBSET)
    print(measure.report(rows))  # shown if it fails
    worse = []
    for name, group in measure.groups(rows).items():
        found = measure.figures(group)
        worse += [f"{name}: {figure} is below {floor}" for figure, floor in FLOORS[name].items() if found[figure] < floor]
        worse += [f"{name}: {figure} is above {most}" for figure, most in CEILINGS.items() if found[figure] > most]
    assert not worse


@pytest.mark.parametrize(
    "truth, found, expected",
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1),
        ([1, 2, 3, 4], [1.069, 1.931, 3.071, 4], 3 / 4),
        ([1, 2, 3, 4], [1, 3], 2 / 3),
        # Each beat may be met once.
        ([1, 2], [0.99, 1, 1.01, 2], 2 / 3),
        # 1.06 is for 1.12, so that 1 can have 0.95.
        ([1, 1.12], [0.95, 1.06], 1),
        ([1, 2], [], 0),
        ([], [], 0),
    ],
)
def test_f_measure(truth, found, expected):
    assert measure.f_measure(truth, found) == pytest.approx(expected)


def test_keys_with_one_signature():
    same = [["C", "Am", "A:min"], ["Gb:maj", "F#", "D#m", "Eb:min"], ["Cb", "B:maj", "G#m"], ["F", "Dm", "F:maj"]]
    signatures = [{measure.signature(key) for key in keys} for keys in same]
    assert [len(of_keys) for of_keys in signatures] == [1, 1, 1, 1] and len(set.union(*signatures)) == 4


def test_a_song_is_the_same_after_packing_and_follows_the_rule():
    for song in songs.read(songs.SUBSET):
        assert songs.unpacked(songs.packed(song["callback"])) == song["callback"]
        assert songs.is_in_subset(song), song["id"]
