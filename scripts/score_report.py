#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the page on the ways of feeding the scorer: what each costs, and what the tokens it chooses are worth later.

usage: score_report.py --data FILE --out FILE

The data file is what `bench_score --json` writes. The page needs nothing beside itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
# reason: the path is set above
from html_page import Data, bars, count, esc, figure, key, main, page, percent  # noqa: E402


def trace_section(trace: Data, budgets: list[int]) -> str:
    head = "<tr><th></th><th>weights</th><th>cycles</th><th>at T_sink 3.0</th>"
    head += "".join(f"<th>top {k}</th>" for k in budgets) + "</tr>"
    rows = ["<tr><td>best in hindsight</td><td></td><td></td><td></td>"
            + "".join(f"<td>{percent(m)}</td>" for m in trace["hindsight"]) + "</tr>"]  # fmt: skip
    for w in trace["ways"]:
        cells = "".join(
            f'<td>{percent(m)}<br><span class="soft">{percent(m / h if h else 0, 0)}</span></td>'
            for m, h in zip(w["mass"], trace["hindsight"])
        )
        rows.append(f"<tr><td>{esc(w['way'])}</td><td>{count(w['weights'])}</td>"
                    f"<td>{count(w['cycles'])}</td><td>{w['sinks']}: {percent(w['sink_mass'])}</td>{cells}</tr>")  # fmt: skip
    at = budgets.index(8)
    drawing = key([("b", "best in hindsight"), ("a", "chosen")])
    drawing += bars(
        [("best in hindsight", [("b", trace["hindsight"][at], percent(trace["hindsight"][at]))])]
        + [(w["way"], [("a", w["mass"][at], percent(w["mass"][at]))]) for w in trace["ways"]],
        trace["hindsight"][at],
        percent,
    )
    caption = (
        f"{esc(trace['trace'])}: prefill of {count(trace['prefill'])} tokens, {trace['layers']} layers, {trace['heads']} query "
        "heads. Share of the decode steps' attention mass that the 8 strongest tokens have, chosen by the Verilated scorer "
        "from the prefill; mass is not bytes. In the table, below each share: how much of the best in hindsight that is."
    )
    return (
        figure(f"{trace['model']}: the 8 strongest tokens", drawing, caption)
        + f'<section><div class="scroll"><table>{head}{"".join(rows)}</table></div></section>'
    )


def reference_section(lanes: str, rows: list[Data]) -> str:
    contexts = [k for k in rows[0] if k != "way"]
    out = "<tr><th></th>" + "".join(f"<th>{count(int(n))} tokens</th>" for n in contexts) + "</tr>"
    for r in rows:
        cells = "".join(f"<td>{r[n]['weights']:.3g} / {r[n]['cycles']:.3g}</td>" for n in contexts)
        out += f"<tr><td>{esc(r['way'])}</td>{cells}</tr>"
    title = f"Reference model, {lanes} weights a beat: weights / cycles"
    return f'<section><h2>{title}</h2><div class="scroll"><table>{out}</table></div></section>'


def render(data: Data) -> str:
    good = all(w["equal"] for t in data["traces"] for w in t["ways"])
    text = "Every choice is that of the bit-exact model" if good else "A choice differs from the bit-exact model"
    body = [
        "<h1>Feeding the scorer</h1>",
        '<p class="soft">The scorer may see every query of a prefill, some of them, sums that software made, or scores. '
        "Each way's chosen tokens are held against the attention of the decode steps that follow.</p>",
        f'<p class="verdict {"good" if good else "bad"}">{text}</p>',
        *[trace_section(t, data["budgets"]) for t in data["traces"]],
        *[reference_section(lanes, rows) for lanes, rows in data["reference"].items()],
    ]
    return page("feeding the scorer", body)


if __name__ == "__main__":
    sys.exit(main(__doc__, render, "bench_score"))
