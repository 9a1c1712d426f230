"""The tables of docs/cost.md, computed from prices.json and measured.json.

    python -m tests.cost            # print them
    python -m tests.cost measure    # measure again what one callback takes, and write it to measured.json
"""

import json
import sys

from tests.cost.measure import measured
from tests.cost.model import FIGURES, FIGURES_FILE
from tests.cost.tables import TABLES

if sys.argv[1:] == ["measure"]:
    FIGURES_FILE.write_text(json.dumps(FIGURES | {"measured": measured()}, indent=2, ensure_ascii=False) + "\n")
else:
    for title, table in TABLES.items():
        print(f"## {title}\n\n{table()}")
