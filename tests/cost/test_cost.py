"""docs/cost.md has the tables that the script makes, and the script counts what it should."""

import json
import math
import re

import pytest

from tests.cost.measure import measured
from tests.cost.model import FUNCTIONS, MONTH, PRICES, SIMULATED, Options, lines, looked_at, receives, total, total_beyond_free
from tests.cost.tables import TABLES
from tests.local_stack.stack import ROOT

COST = (ROOT / "docs" / "cost.md").read_text()


@pytest.mark.parametrize("title", TABLES)
def test_the_document_has_the_table(title):
    assert TABLES[title]() in COST, f"docs/cost.md differs from `make cost`: {title}"


def test_what_a_thousand_songs_cost_is_the_same_in_all_documents():
    claim = f"${total_beyond_free(1_000):.2f}"
    for name in ("README.md", "docs/cost.md", "docs/deploy.md"):
        assert f"about **{claim}**" in (ROOT / name).read_text(), f"{name} has another sum than {claim}"
    assert f"{1e5 * looked_at(SIMULATED['over a day']):.0f} cents" in COST


def test_each_price_has_a_source_and_is_used():
    used = {name for options in (Options(), Options(arm64=True)) for _, name, _ in lines(1_000, options)}
    assert used == PRICES.keys()
    for name, entry in PRICES.items():
        assert re.fullmatch(r"https://aws\.amazon\.com/[a-z0-9-]+/pricing/(on-demand/)?", entry["source"]), name


def test_long_polls_of_an_empty_queue_are_counted():
    assert math.isclose(receives(1, pollers=5), 5 * MONTH / 20, rel_tol=1e-3)
    assert math.isclose(receives(1e10, pollers=5), 1e10, rel_tol=1e-3), "a busy queue has no empty polls"


def test_a_callback_takes_the_requests_that_were_written_down():
    now = measured(callbacks=20, starts=1)["functions"]
    for function, then in FUNCTIONS.items():
        assert now[function]["s3"] == then["s3"], function
        for kind in ("logs", "metrics"):
            assert now[function][kind]["lines"] == then[kind]["lines"], function
            assert abs(now[function][kind]["bytes"] - then[kind]["bytes"]) < 20, f"{function}: python -m tests.cost measure"


@pytest.mark.parametrize("change", ["picture=False", "warn=True", "arm64=True", "batch=10", "tracing=False", "dashboard=False", "pollers=2"])
def test_each_change_saves_something(change):
    name, value = change.split("=")
    options = Options(**{name: json.loads(value.lower())})
    assert total(1_000_000, options) < total(1_000_000)
