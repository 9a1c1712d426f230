"""Arrows run one way: a room imports only from rooms further down the table of its crate's page."""

import re

import pytest

from tests.local_stack.stack import ROOT

# What stands in the table under another name.
ROOMS = {"TaskId": "task_id", "Digest": "digest"}


def table(crate):
    """The rooms of a crate in the order of the table in its lib.rs; those of one row have the same number."""
    rows = re.findall(r"^//! \| (\[?`.*?) \|", (crate / "lib.rs").read_text(), re.MULTILINE)
    names = [re.findall(r"(?:mod@)?(\w+)(?:\(\))?`", row) for row in rows]
    return {ROOMS.get(name, name): number for number, row in enumerate(names) for name in row}


def imported(source):
    """The rooms that `use crate::…` lines name."""
    rooms = set()
    for start in (match.end() for match in re.finditer(r"\buse crate::", source)):
        if source[start] != "{":
            rooms.add(re.match(r"\w+", source[start:])[0])
            continue
        depth, previous = 0, ""
        for token in re.findall(r"\w+|[{},]", re.sub(r"//.*", "", source[start:])):
            if depth == 1 and previous in ("{", ",") and token != "}":
                rooms.add(token)
            depth += {"{": 1, "}": -1}.get(token, 0)
            previous = token
            if depth == 0:
                break
    return {ROOMS.get(room, room) for room in rooms}


@pytest.mark.parametrize("crate", [ROOT / "src", ROOT / "crates" / "suno-midi" / "src"], ids=["functions", "core"])
def test_arrows_run_one_way(crate):
    order = table(crate)
    modules = re.findall(r"^(?:pub )?mod (\w+);", (crate / "lib.rs").read_text(), re.MULTILINE)
    assert set(modules) == set(order), "the table has every room"
    seen = 0
    for path in crate.rglob("*.rs"):
        room = path.relative_to(crate).parts[0].removesuffix(".rs")
        if room in ("bin", "lib"):
            continue
        for other in imported(path.read_text()) & set(order) - {room}:
            seen += 1
            assert order[room] <= order[other], f"{path.relative_to(ROOT)} imports {other}, a room above it"
    assert seen > 10


def test_the_reader_of_imports_sees_them():
    assert imported("use crate::{\n    a::{self, b::{c}},\n    d, // x\n    e::F,\n};\nuse crate::g;") == {"a", "d", "e", "g"}
