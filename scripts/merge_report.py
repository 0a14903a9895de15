#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the page on the merge's error: curves over the distance of the partials, and the whole table.

usage: merge_report.py --data FILE --out FILE

The data file is what `bench_merge --json` writes. The page needs nothing beside itself.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
# reason: the path is set above
from html_page import LEFT, RIGHT, WIDTH, Data, count, esc, figure, key, label, line, main, page, svg  # noqa: E402

MORE_STYLE = """
path { fill: none; stroke-width: 1.6; } .la { stroke: var(--a); } .lb { stroke: var(--b); } .dash { stroke-dasharray: 5 4; }
"""
BASES = [("base_e", "nats", "base e; software: natural log, chain of (O, lse)"),
         ("base_2", "powers of two", "base 2; software: streaming (O, maximum, sum)")]  # fmt: skip
LOW, HIGH = 1e-2, 1e8  # of the error axis


def value(x: Any) -> float:
    return math.inf if x == "inf" else float(x)


def number(x: Any) -> str:
    v = value(x)
    return "overflow" if math.isinf(v) else "0" if v == 0 else f"{v:.3g}"


def curves(points: list[Data], base: str, what: str) -> str:
    """Largest (solid) and mean (dashed) error over the distance; the error axis is logarithmic."""
    height, top, bottom = 300.0, 12.0, 262.0
    last = points[-1]["distance"] + 0.5

    def x(d: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * d / last

    def y(e: float) -> float:
        place = (math.log10(min(max(e, LOW), HIGH)) - math.log10(LOW)) / (math.log10(HIGH) - math.log10(LOW))
        return bottom - (bottom - top) * place

    body = []
    for power in range(-2, 9, 2):
        body += [line(LEFT, y(10.0**power), WIDTH - RIGHT, y(10.0**power)),
                 label(LEFT - 8, y(10.0**power) + 4, f"1e{power}" if power else "1 (the bound)", "end")]  # fmt: skip
    for d in range(0, int(last) + 1, 40):
        body.append(label(x(d), bottom + 18, str(d), "middle"))
    for who, css in (("software", "lb"), ("rtl", "la")):
        for figure_, style in (("max", ""), ("mean", " dash")):
            path = " ".join(
                f"{'M' if i == 0 else 'L'}{x(p['distance']):.1f} {y(value(p[base][what][who][figure_])):.1f}"
                for i, p in enumerate(points)
            )
            body.append(f'<path class="{css}{style}" d="{path}"/>')
    return svg(height, body, f"error of {what} over the distance, {base}")


def plot(curve: Data) -> str:
    large = curve["light_is_large"]
    out = []
    for base, unit, name in BASES:
        for what, of in (("o", "O, in ulp of M"), ("lse", "lse, in ulp of max(1, |lse|)")):
            if large and what == "lse":
                continue
            out.append(f'<p class="soft">Error of {of}; {esc(name)}; distance in {unit}</p>')
            out.append(curves(curve["points"], base, what))
    drawing = key([("b", "software"), ("a", "RTL")]) + "".join(out)
    n = curve["partials"]
    caption = "Solid: the largest error seen; dashed: the mean. "
    if large:
        title = f"{n} partials, the lighter the larger its O"
        caption += "O grows as the weight falls, so that every partial shows in the result however light it is."
    else:
        title = f"{n} partials, O of one size"
        caption += "All O are drawn from N(0, 1): a light partial soon vanishes beside the others."
    return figure(title, drawing, caption)


def table(rows: list[Data]) -> str:
    head = "<tr><th></th><th>partials</th><th></th>"
    for _, _, name in BASES:
        head += f"<th>{esc(name.split(';')[1].strip().removeprefix('software: '))}</th><th>RTL, {name.split(';')[0]}</th>"
    out = [head + "</tr>"]
    group = None
    for r in rows:
        if (r["data"], r["format"]) != group:
            group = (r["data"], r["format"])
            out.append(f'<tr class="group"><th colspan="7">{esc(r["data"])}, {r["format"]}</th></tr>')
        for what in ("o", "lse"):
            cells = "".join(
                f"<td>{' / '.join(number(r[base][what][who][k]) for k in ('mean', 'p999', 'max'))}</td>"
                for base, _, _ in BASES
                for who in ("software", "rtl")
            )
            out.append(f"<tr><td></td><td>{r['partials']}</td><td>{'O' if what == 'o' else 'lse'}</td>{cells}</tr>")
    return '<div class="scroll"><table>' + "".join(out) + "</table></div>"


def render(data: Data) -> str:
    v = data["verdict"]
    good = data["equal_to_model"] and v["worse"] == 0 and max(data["largest"].values()) <= 1
    text = (
        f"Of {count(v['better'] + v['equal'] + v['worse'])} figures of the table, the RTL is better in {count(v['better'])}, "
        f"equal in {count(v['equal'])}, worse in {count(v['worse'])}; its largest errors are {data['largest']['o']:.3f} (O) "
        f"and {data['largest']['lse']:.3f} (lse) of bounds of 1"
    )
    body = [
        "<h1>Error of the merge</h1>",
        f'<p class="soft">{count(data["merges"])} merges through the Verilated unit, each equal to its bit-exact model, '
        "and through the two usual fp32 software merges (IEEE arithmetic, libm), against 400-bit arithmetic. The same "
        f"bits are read as base e and as base 2. Seed {data['seed']}.</p>",
        f'<p class="verdict {"good" if good else "bad"}">{esc(text)}</p>',
        *[plot(c) for c in data["sweep"]],
        "<section><h2>All classes of data</h2><p class=\"soft\">Mean / 99.9th percentile / largest error. O of fp32 in "
        "ulp(fp32) of M = sum w|O|; O of 16 bits in units of 1 ulp of the format + 1 ulp(fp32) of M; lse in ulp(fp32) of "
        f"max(1, |lse|).</p>{table(data['table'])}</section>",
    ]
    return page("error of the merge", body, MORE_STYLE)


if __name__ == "__main__":
    sys.exit(main(__doc__, render, "bench_merge"))
