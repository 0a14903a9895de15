#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the page on memory movement: utilisation over the limit of reads in flight, the figures, banked memory.

usage: movement_report.py --data FILE --out FILE

The data file is what `bench_movement --json` writes. The page needs nothing beside itself.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
# reason: the path is set above
from html_page import LEFT, RIGHT, WIDTH, Data, count, esc, figure, label, line, main, page, svg  # noqa: E402

MORE_STYLE = """
path { fill: none; stroke-width: 1.8; } .dash { stroke-dasharray: 2 4; stroke-width: 1.2; }
.la { stroke: var(--a); } .lb { stroke: var(--b); } .lc { stroke: var(--c); } .ld { stroke: var(--d); }
"""
COLOURS = "abcd"


def curves(points: list[Data], beats: int) -> str:
    """Utilisation over the limit (logarithmic), a colour a latency: bulk solid, promotion dashed, dotted what N reads can give."""
    height, top, bottom = 300.0, 14.0, 252.0
    latencies = sorted({p["latency"] for p in points})
    largest = max(p["limit"] for p in points)

    def x(n: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log2(n) / math.log2(largest)

    def y(u: float) -> float:
        return bottom - (bottom - top) * u

    body = []
    for tenth in range(0, 11, 2):
        body += [line(LEFT, y(tenth / 10), WIDTH - RIGHT, y(tenth / 10)), label(LEFT - 8, y(tenth / 10) + 4, f"{tenth / 10:.1f}", "end")]  # fmt: skip
    for power in range(int(math.log2(largest)) + 1):
        body.append(label(x(2**power), bottom + 18, str(2**power), "middle"))
    body.append(label((LEFT + WIDTH - RIGHT) / 2, bottom + 38, "reads in flight at most", "middle", True))
    for i, latency in enumerate(latencies):
        css = "l" + COLOURS[i % len(COLOURS)]
        mine = sorted((p for p in points if p["latency"] == latency), key=lambda p: p["limit"])
        for what, style in (("bulk", ""), ("promotion", ' stroke-dasharray="7 4"')):
            path = " ".join(
                f"{'M' if j == 0 else 'L'}{x(p['limit']):.1f} {y(p[what]):.1f}" for j, p in enumerate(mine)
            )
            body.append(f'<path class="{css}"{style} d="{path}"/>')
        ideal = " ".join(
            f"{'M' if j == 0 else 'L'}{x(2 ** (j / 8)):.1f} {y(min(1.0, 2 ** (j / 8) * beats / (latency + beats - 1))):.1f}"
            for j in range(int(8 * math.log2(largest)) + 1)
        )
        body.append(f'<path class="{css} dash" d="{ideal}"/>')
    return svg(height, body, f"utilisation over reads in flight, {beats} beats a row")


def key(latencies: list[int]) -> str:
    return "<p>" + "".join(
        f'<span class="key" style="background:var(--{COLOURS[i % len(COLOURS)]})"></span>latency {latency}'
        for i, latency in enumerate(latencies)
    ) + "</p>"


def plot(data: Data) -> list[str]:
    out = []
    points = data.get("in_flight", [])
    beat = data["bus_bits"] // 8
    for row in sorted({p["row_bytes"] for p in points}):
        mine = [p for p in points if p["row_bytes"] == row]
        full = []
        for latency in sorted({p["latency"] for p in mine}):
            enough = [p["limit"] for p in mine if p["latency"] == latency and p["bulk"] >= 0.98]
            full.append(f"{min(enough)} at latency {latency}" if enough else f"never at latency {latency}")
        drawing = key(sorted({p["latency"] for p in mine})) + curves(mine, row // beat)
        out.append(
            figure(
                f"Rows of {row} bytes: utilisation over the limit of reads in flight",
                drawing,
                "Solid: scattered bulk rows, translations held; dashed: promotion; dotted: what N reads in flight can give at "
                f"most, N * beats / (latency + beats - 1). Bulk reaches 0.98 with {', '.join(full)}.",
            )
        )
    return out


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{esc(h)}</th>" for h in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{esc(c)}</td>" for c in row) + "</tr>" for row in rows]
    return '<div class="scroll"><table>' + "".join(lines) + "</table></div>"


def figures(data: Data) -> str:
    rows = []
    for c in data["cases"]:
        wanted = f"≥ {c['at_least']:.4g}" if "at_least" in c else f"≤ {c['at_most']:.4g}"
        rows.append([f"{c['name']}, {c['memory']}", f"{c['value']:.4f}", wanted if c["asked"] else "–",
                     "" if c["reached"] or not c["asked"] else "not reached", c["unit"], count(c["useful_beats"]),
                     count(c["table_beats"]), count(c["dropped_beats"])])  # fmt: skip
    head = ["case", "figure", "asked", "", "unit", "useful beats", "table", "dropped"]
    return f"<section><h2>Figures</h2>{table(head, rows)}</section>"


def banked(data: Data) -> str:
    d = data["dram"]
    rows = [
        [f"{b['name']}, latency {b['latency']}", count(b["cycles"]), count(b["oracle"]), count(b["bound"]), b["bound_by"],
         f"{b['relative_to_oracle']:.4f}", f"≥ {b['at_least']:.2f}", "" if b["reached"] else "not reached",
         f"{b['utilisation']:.3f}", count(b["activations"]), count(b["oracle_activations"])]
        for b in data["banked"]
    ]  # fmt: skip
    head = ["case", "cycles", "oracle", "bound", "set by", "to the oracle", "asked", "", "utilisation", "activates", "oracle's"]
    return (
        f'<section><h2>Banked memory</h2><p class="soft">{d["banks"]} banks, rows of {d["row_bytes"]} bytes; tRCD {d["trcd"]}, '
        f"tRP {d['trp']}, tRAS {d['tras']}, tRTP {d['trtp']}, tFAW {d['tfaw']}, tCL {d['tcl']}, refresh of {d['trfc']} every "
        f"{d['trefi']} cycles; the controller sees {d['queue']} pieces of reads. The oracle knows all reads at once and may take "
        f"them in any order; no scheduler is faster than the bound.</p>{table(head, rows)}</section>"
    )


def render(data: Data) -> str:
    asked = [c for c in data["cases"] if c["asked"]] + data["banked"]
    missed = sum(not c["reached"] for c in asked)
    wrong = sum(c["rows_wrong"] for c in data["cases"]) + sum(b["wrong"] for b in data["banked"])
    text = f"{len(asked)} figures asked for, {missed} not reached; {wrong} rows wrong"
    body = [
        "<h1>Memory movement</h1>",
        f'<p class="soft">Simulation cycles, steady state, {data["bus_bits"]}-bit bus, configuration {esc(data["config"])}; '
        f"{esc(data['memory'])}. Utilisation counts useful beats only.</p>",
        f'<p class="verdict {"good" if missed == 0 and wrong == 0 else "bad"}">{esc(text)}</p>',
        *plot(data),
        figures(data),
        banked(data),
    ]
    return page("memory movement", body, MORE_STYLE)


if __name__ == "__main__":
    sys.exit(main(__doc__, render, "bench_movement"))
