#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the report of a run, or the page about a trace: one HTML file with plots, that needs nothing beside itself.

usage: report.py --data FILE --out FILE      the report of a run
       report.py --info FILE --out FILE      the page about a trace, from kvsink info --json

The data file is what scripts/run.py writes: {"info": kvsink info --json, "setup": {...}, "runs": [{"label", "status",
"replay": kvsink replay --json, "diff": kvsink diff --json}, ...]}. It is embedded in the page. Mass (a share of the
attention) and bytes are never drawn on one scale.
"""

from __future__ import annotations

import argparse
import html
import json
import math
import sys
from pathlib import Path
from typing import Any

Data = dict[str, Any]

STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfa; --card: #ffffff; --ink: #1c2230; --soft: #5d6678; --line: #d9dde5;
  --a: #1f6feb; --b: #c2571a; --c: #2e8b57; --d: #8250df; --e: #b8860b; --good: #1a7f37; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171d; --card: #1b1f27; --ink: #e6e9ef; --soft: #9aa4b5;
  --line: #343b47; --a: #6cb0ff; --b: #f0935a; --c: #5fcf92; --d: #c39bff; --e: #e3b341; --good: #4ac26b;
  --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 0 0 .5rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1.1rem 1.25rem;
  margin-top: 1.25rem; }
.verdict { font-weight: 600; } .good { color: var(--good); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { padding: .22rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
td:first-child, th:first-child { text-align: left; padding-left: 0; } tr.group th { padding-top: .8rem; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg text.soft { fill: var(--soft); } .axis { stroke: var(--line); stroke-width: 1; }
.a { fill: var(--a); } .b { fill: var(--b); } .c { fill: var(--c); } .d { fill: var(--d); } .e { fill: var(--e); }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .92rem; margin-top: .5rem; }
.key { display: inline-block; width: .75em; height: .75em; border-radius: 2px; margin: 0 .35em 0 .9em; }
code { font-size: .92em; }
"""

WIDTH = 860
LEFT = 120  # room for labels
RIGHT = 20


# Pages of other targets that stand beside the report.
PAGES = {
    "merge.html": "error of the merge against exact arithmetic, beside software merges (make bench-merge)",
    "movement.html": "utilisation of the memory, plain and banked (make bench-movement)",
    "score.html": "what each way of feeding the scorer loses (make bench-score)",
}


# ---- words and numbers ---------------------------------------------------------------------------------------------
def esc(text: Any) -> str:
    return html.escape(str(text))


def count(value: float) -> str:
    return f"{value:,.0f}"


def percent(fraction: float, digits: int = 2) -> str:
    return f"{100 * fraction:.{digits}f} %"


def small(value: float) -> str:
    return "0" if value == 0 else f"{value:.3g}"


def differences(check: Data) -> int:
    """Everything a replay found to differ from the golden model.

    A replay may count more than its columns name (order, protocol): then its own total is the larger one.
    """
    kinds = ("_wrong", "_missing", "_repeated", "_misordered", "_false_miss", "_false_hit")
    return max(sum(check[k] for k in check if k.endswith(kinds)), check.get("differences", 0))


def sinks_text(sinks: list[Data]) -> str:
    if not sinks:
        return "0"
    places = ", ".join(str(s["position"]) for s in sinks[:4]) + (", ..." if len(sinks) > 4 else "")
    return f"{len(sinks)} (at {places})"


def moved(replay: Data) -> int:
    """Bytes that went over the memory bus and out of SRAM."""
    return sum(replay["bytes"][k] for k in ("hbm_bulk", "hbm_promotion", "hbm_dropped", "hbm_table", "sram"))


# The summary: group, then rows of (what, value from one replay). Used by the terminal's table as well.
SUMMARY: list[tuple[str, list[tuple[str, Any]]]] = [
    (
        "Attention (mass, not bytes)",
        [
            ("tokens promoted", lambda r: sinks_text(r["sinks"])),
            ("share of the mass from SRAM (RTL counters)", lambda r: percent(r["mass"]["sram_fraction"])),
        ],
    ),
    (
        "What moved",
        [
            ("rows from SRAM", lambda r: count(r["rows"]["sram"])),
            ("rows from HBM", lambda r: count(r["rows"]["hbm"])),
            ("bytes from SRAM", lambda r: count(r["bytes"]["sram"])),
            ("bytes from HBM, rows", lambda r: count(r["bytes"]["hbm_bulk"])),
            ("bytes from HBM, promotion", lambda r: count(r["bytes"]["hbm_promotion"])),
            ("bytes from HBM, fetched and dropped", lambda r: count(r["bytes"]["hbm_dropped"])),
            ("bytes from HBM, block table", lambda r: count(r["bytes"]["hbm_table"])),
            ("bytes needed, each row once a step", lambda r: count(r["bytes"]["kv_needed"])),
            ("bytes a token", lambda r: count(r["bytes"]["per_token"])),
            ("amplification (all bytes / bytes needed)", lambda r: f"{r['bytes']['amplification']:.4f}"),
        ],
    ),
    (
        "Time",
        [
            ("cycles", lambda r: count(r["cycles"]["total"])),
            ("cycles, prefill and promotion", lambda r: count(r["cycles"]["prefill"])),
            ("cycles, decode", lambda r: count(r["cycles"]["decode"])),
            ("bus utilisation in decode", lambda r: percent(r["bus"]["decode_utilisation"], 1)),
        ],
    ),
    (
        "Compared with the golden model",
        [
            ("rows checked", lambda r: count(r["check"]["rows_checked"])),
            ("outputs checked", lambda r: count(r["check"]["outputs_checked"])),
            ("log records checked", lambda r: count(r["check"]["events_checked"])),
            ("differences", lambda r: count(differences(r["check"]))),
            ("largest error, ulp of fp32", lambda r: small(r["check"]["max_error_ulp"])),
            ("largest error against the trace", lambda r: small(r["check"]["max_abs_error"])),
        ],
    ),
]


# ---- drawing -------------------------------------------------------------------------------------------------------
def svg(height: float, body: list[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{esc(title)}">' + "".join(body) + "</svg>"
    )


def label(x: float, y: float, text: str, anchor: str = "start", soft: bool = False) -> str:
    css = ' class="soft"' if soft else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{css}>{esc(text)}</text>'


def box(x: float, y: float, width: float, height: float, css: str, tip: str) -> str:
    return (
        f'<rect class="{css}" x="{x:.2f}" y="{y:.2f}" width="{max(width, 0):.2f}" height="{max(height, 0):.2f}">'
        f"<title>{esc(tip)}</title></rect>"
    )


def line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="axis" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def nice_ticks(top: float, wanted: int = 4) -> list[float]:
    """0 and a few round numbers up to `top`."""
    if not top > 0:
        return [0.0]
    raw = top / wanted
    base = 10 ** math.floor(math.log10(raw))
    step = next(m * base for m in (1, 2, 5, 10) if m * base >= raw * (1 - 1e-9))
    return [i * step for i in range(int(top / step + 1e-9) + 1)]


def columns(values: list[float], css: list[str], tips: list[str], ticks: list[tuple[int, str]], unit: Any) -> str:
    """Columns from 0 up. ticks: (index, text) below the axis; unit: number -> text of the axis at the left."""
    height, base, top = 250.0, 215.0, 12.0
    peak = max(values, default=0) or 1.0
    left = 64
    wide = (WIDTH - left - RIGHT) / max(len(values), 1)
    gap = min(1.0, wide * 0.15)
    body = []
    for t in nice_ticks(peak):
        y = base - (base - top) * t / peak
        body += [line(left, y, WIDTH - RIGHT, y), label(left - 6, y + 4, unit(t), "end", True)]
    for i, value in enumerate(values):
        h = (base - top) * value / peak
        body.append(box(left + i * wide, base - h, wide - gap, h, css[i], tips[i]))
    for i, text in ticks:
        body.append(label(left + (i + 0.5) * wide, base + 16, text, "middle", True))
    return svg(height, body, "column chart")


def bars(rows: list[tuple[str, list[tuple[str, float, str]]]], top: float, unit: Any) -> str:
    """Horizontal stacked bars: (label, [(css, value, tip), ...]), all on the scale 0..top."""
    pitch, thick = 40.0, 22.0
    left = max([LEFT, *(7.0 * len(name) for name, _ in rows)])
    span = WIDTH - left - 110
    top = top or 1.0
    height = pitch * len(rows) + 28
    body = []
    for t in nice_ticks(top):
        x = left + span * t / top
        body += [line(x, 4, x, height - 22), label(x, height - 6, unit(t), "middle", True)]
    for i, (name, parts) in enumerate(rows):
        y = 8 + i * pitch
        body.append(label(left - 8, y + 15, name, "end"))
        x = float(left)
        for css, value, tip in parts:
            width = span * value / top
            body.append(box(x, y, width, thick, css, tip))
            x += width
        body.append(label(x + 6, y + 15, unit(sum(p[1] for p in parts))))
    return svg(height, body, "bar chart")


def key(parts: list[tuple[str, str]]) -> str:
    return "<p>" + "".join(
        f'<span class="key" style="background:var(--{css})"></span>{esc(name)}' for css, name in parts
    ) + "</p>"


def figure(title: str, drawing: str, caption: str) -> str:
    return f"<section><h2>{esc(title)}</h2><figure>{drawing}<figcaption>{caption}</figcaption></figure></section>"


def megabytes(value: float) -> str:
    return f"{value / 1e6:,.1f} MB"


# ---- the plots -----------------------------------------------------------------------------------------------------
MAX_COLUMNS = 512


def plot_mass(data: Data) -> str:
    mass: list[float] = data["info"]["mass"]["by_position"]
    served = {s["position"] for r in data["runs"] for s in r["replay"]["sinks"]}
    width = -(-len(mass) // MAX_COLUMNS)  # positions in a column
    starts = range(0, len(mass), width)
    values = [sum(mass[s : s + width]) for s in starts]
    css = ["b" if any(p in served for p in range(s, s + width)) else "a" for s in starts]
    names = [f"position {s}" if width == 1 else f"positions {s} to {min(s + width, len(mass)) - 1}" for s in starts]
    tips = [f"{n}: {percent(v)} of the mass" for n, v in zip(names, values)]
    ticks = [(int(t) // width, count(t)) for t in nice_ticks(len(mass) - 1, 8)]
    drawing = key([("b", "a sink whose rows SRAM served"), ("a", "other tokens")])
    drawing += columns(values, css, tips, ticks, lambda v: percent(v, 1))
    top = max(range(len(mass)), key=mass.__getitem__)
    tops = {t["position"]: t for t in data["info"]["mass"]["top"]}
    steps = data["info"]["decode_steps"]
    caption = (
        f"Where the attention of the {count(steps)} decode steps goes: share of the mass by position, the mean over "
        f"steps, layers and query heads, from the trace. The strongest token is position {top} with "
        f"{percent(mass[top])} of the mass; its rows are {percent(tops[top]['bytes_share'])} of the bytes that "
        "decode reads. Mass is not bytes: exact attention reads every row once in each step, however little it weighs."
    )
    if width > 1:
        caption += f" Each column is {width} positions."
    return figure("Attention mass by position", drawing, caption)


PATHS = [
    ("c", "sram", "from SRAM"),
    ("a", "hbm_bulk", "HBM, rows"),
    ("b", "hbm_promotion", "HBM, promotion"),
    ("d", "hbm_table", "HBM, block table"),
    ("e", "hbm_dropped", "HBM, fetched and dropped"),
]


def plot_bytes(data: Data) -> str:
    rows = []
    for run in data["runs"]:
        got = run["replay"]["bytes"]
        rows.append((run["label"], [(css, got[k], f"{name}: {count(got[k])} bytes") for css, k, name in PATHS]))
    top = max(moved(r["replay"]) for r in data["runs"])
    drawing = key([(css, name) for css, _, name in PATHS]) + bars(rows, top, megabytes)
    texts = []
    for run in data["runs"]:
        all_bytes = moved(run["replay"])
        share = run["replay"]["bytes"]["sram"] / all_bytes if all_bytes else 0.0
        texts.append(f"{esc(run['label'])}: {percent(share)} of the bytes from SRAM")
    caption = (
        "Bytes moved, by path, to prefill, promote and decode. " + "; ".join(texts) + ". Exact numbers are in the "
        "table above; hold the pointer over a part to see it."
    )
    return figure("Bytes by path", drawing, caption)


def plot_time(data: Data) -> str:
    rows = []
    for run in data["runs"]:
        got = run["replay"]["cycles"]
        rows.append(
            (
                run["label"],
                [
                    ("d", got["prefill"], f"prefill and promotion: {count(got['prefill'])} cycles"),
                    ("a", got["decode"], f"decode: {count(got['decode'])} cycles"),
                ],
            )
        )
    top = max(sum(p[1] for p in parts) for _, parts in rows)
    drawing = key([("d", "prefill and promotion"), ("a", "decode")]) + bars(rows, top, count)
    used = []
    for run in data["runs"]:
        share = run["replay"]["bus"]["decode_utilisation"]
        used.append((run["label"], [("c", share, percent(share))]))
    drawing += key([("c", "bus utilisation in decode")]) + bars(used, 1.0, lambda v: percent(v, 1))
    caption = (
        "Cycles of the Verilated block, and the share of decode cycles in which the memory bus carried a beat of a row "
        f"that was asked for (table beats and dropped beats do not count). Memory latency "
        f"{count(data['setup']['latency'])} cycles, configuration {esc(data['setup']['config'])}. The compute side is "
        "C++ for now, so these are cycles of the memory side, not the speed of a whole accelerator."
    )
    return figure("Cycles and bus utilisation", drawing, caption)


def plot_error(data: Data) -> str:
    runs = [r for r in data["runs"] if r.get("diff")]
    if not runs:
        return ""
    styles = ["b", "a", "c", "d"]
    values, css, tips, ticks = [], [], [], []
    for i, bin_ in enumerate(runs[0]["diff"]["histogram"]):
        for j, run in enumerate(runs):
            cell = run["diff"]["histogram"][i]
            share = cell["count"] / run["diff"]["outputs"]
            values.append(share)
            css.append(styles[j % len(styles)])
            tips.append(f"{run['label']}, {cell['ulp']} ulp: {count(cell['count'])} outputs")
        ticks.append((len(values) - (len(runs) + 1) // 2, bin_["ulp"]))
        values.append(0.0)  # a gap between groups
        css.append("a")
        tips.append("")
    drawing = key([(styles[j % len(styles)], run["label"]) for j, run in enumerate(runs)])
    drawing += columns(values, css, tips, ticks, lambda v: percent(v, 0))
    caption = (
        "Outputs of the RTL against exact attention in double, one (layer, head, step) each, "
        f"{count(runs[0]['diff']['outputs'])} a policy: the larger of the differences of O (in fp32 ulp of its "
        "largest element) and of lse (in ulp of max(1, |lse|)). The merge itself adds at most 1 ulp; the rest is the "
        "fp32 rounding of what the two paths hand to it. The RTL is also compared bit for bit with its arithmetic "
        "model: outputs that differ there are differences, and none is allowed."
    )
    return figure("Error in ulp", drawing, caption)


# ---- the page about a trace ----------------------------------------------------------------------------------------
MAX_HEAT_ROWS = 64
FAINTEST = 1e-4  # a cell with this share of the mass is just visible; the scale is logarithmic


def heat_map(rows: list[tuple[str, list[float]]], width: int, positions: int) -> str:
    """Rows of shares of the mass over the positions; the stronger, the darker."""
    left, top = 76.0, 6.0
    pitch = max(5.0, min(16.0, 480 / max(len(rows), 1)))
    bins = max((len(values) for _, values in rows), default=1)
    cell = (WIDTH - left - RIGHT) / bins
    height = top + pitch * len(rows) + 26
    body = []
    every = max(1, math.ceil(12 / pitch))
    for i, (name, values) in enumerate(rows):
        y = top + i * pitch
        if i % every == 0:
            body.append(label(left - 6, y + pitch / 2 + 4, name, "end", True))
        for j, value in enumerate(values):
            if value < FAINTEST:
                continue
            shade = 0.06 + 0.94 * min(1.0, math.log(value / FAINTEST) / -math.log(FAINTEST))
            where = f"{j * width}" if width == 1 else f"{j * width} to {min((j + 1) * width, positions) - 1}"
            body.append(
                f'<rect class="a" fill-opacity="{shade:.2f}" x="{left + j * cell:.1f}" y="{y:.1f}" width="{cell:.1f}" '
                f'height="{pitch:.1f}"><title>{esc(name)}, {where}: {percent(value)}</title></rect>'
            )
    for t in nice_ticks(positions - 1, 8):
        body.append(label(left + (t / width + 0.5) * cell, height - 8, count(t), "middle", True))
    return svg(height, body, "heat map")


def info_sections(info: Data) -> list[str]:
    heat, positions = info["heat"], info["tokens"]
    width = heat["positions_per_bin"]
    bins = f" Each column is {width} positions." if width > 1 else ""
    heads = [(h["layer"], h["q_head"], values) for h, values in zip(info["heads"], heat["by_head"])]
    if len(heads) <= MAX_HEAT_ROWS:
        rows = [(f"L{layer} H{head}", values) for layer, head, values in heads]
        what = "a row each layer and query head"
    else:
        each = info["q_heads"]
        rows = [
            (f"L{layer}", [sum(column) / each for column in zip(*(v for at, _, v in heads if at == layer))])
            for layer in range(info["layers"])
        ]
        what = "a row each layer, the mean over its heads"
    scale = (
        f"Darker is stronger, on a logarithmic scale from {percent(FAINTEST)} to 100 % of the mass; hold the pointer over "
        "a cell for its number. This is attention mass: exact attention reads the same bytes of every cell."
    )
    out = [
        figure(
            "Where the mass of each head goes",
            heat_map(rows, width, positions),
            f"Share of the decode steps' mass by position, {what}.{bins} {scale}",
        )
    ]
    persistence = info["persistence"]
    segments = persistence["segments"]
    rows = [(f"{s['first_step']}-{s['last_step']}", values) for s, values in zip(segments, heat["by_segment"])]
    out.append(
        figure(
            "Where it goes over time",
            heat_map(rows, width, positions),
            "The same, the mean over layers and heads, a row each stretch of decode steps: a column that stays dark from top "
            f"to bottom is a sink, a diagonal is recent tokens.{bins}",
        )
    )
    table = ["<tr><th>position</th><th>score in prefill</th><th>score in decode</th><th>mass</th><th>bytes</th></tr>"]
    for sink in info["sinks"][:16]:
        table.append(
            f"<tr><td>{sink['position']}</td><td>{sink['score']:.2f}</td><td>{sink['score_decode']:.2f}</td>"
            f"<td>{percent(sink['mass'])}</td><td>{percent(sink['bytes_share'])}</td></tr>"
        )
    found = f"{count(len(info['sinks']))} sinks" if info["sinks"] else "No sink"
    out.append(
        "<section><h2>Sinks</h2>"
        + (f'<div class="scroll"><table>{"".join(table)}</table></div>' if info["sinks"] else "")
        + f'<p class="soft">{found}: tokens whose prefill score is 3 or more, where 1 is an even spread.</p></section>'
    )
    table = [
        "<tr><th>tokens</th><th>recall</th><th>their mass</th><th>most possible mass</th><th>their bytes</th></tr>"
    ]
    for b in persistence["budgets"]:
        table.append(
            f"<tr><td>{b['tokens']}</td><td>{b['recall']:.2f}</td><td>{percent(b['mass_chosen'])}</td>"
            f"<td>{percent(b['mass_strongest'])}</td><td>{percent(b['bytes_share'])}</td></tr>"
        )
    drawing = columns(
        [s["mass_chosen"] for s in segments],
        ["b"] * len(segments),
        [
            f"steps {s['first_step']} to {s['last_step']}: {percent(s['mass_chosen'])} of the mass, recall {s['recall']:.2f}"
            for s in segments
        ],
        [(i, str(s["first_step"])) for i, s in enumerate(segments) if i % 2 == 0],
        lambda v: percent(v, 1),
    )
    out.append(
        '<section><h2>Does the choice hold?</h2><div class="scroll"><table>' + "".join(table) + "</table></div>"
        '<p class="soft">Tokens chosen by score after prefill, against the strongest of the same tokens by score during '
        "decode. Recall is how many of the latter had been chosen.</p>"
        f"<figure>{drawing}<figcaption>Share of the mass that the {persistence['segment_tokens']} chosen take, by first "
        "step of each stretch of the decode.</figcaption></figure></section>"
    )
    return out


def synthetic_note(info: Data) -> str:
    if not info.get("synthetic"):
        return ""
    return (
        f'<p class="verdict bad">Synthetic: made up by a program, no model ({esc(info.get("synthetic_what", ""))}).</p>'
    )


def page(title: str, body: list[str], data: Data) -> str:
    # In a script element only "</" and "<!--" could end the data; "<" is written as an escape that JSON knows.
    embedded = json.dumps(data).replace("<", "\\u003c")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>kvsink: {esc(title)}</title><style>{STYLE}</style></head><body><main>",
            *body,
            f'<script type="application/json" id="data">{embedded}</script>',
            "</main></body></html>",
            "",
        ]
    )


def sizes_text(info: Data) -> str:
    heads = f"{info['q_heads']} query and {info['kv_heads']} key/value heads, head_dim {info['head_dim']}"
    return (
        f'{esc(info["trace"])}: {count(info["tokens"])} tokens ({count(info["prefill_tokens"])} prefill, '
        f'{count(info["decode_steps"])} decode steps), {info["layers"]} layers, {heads}.'
    )


def origin_text(info: Data) -> str:
    return (
        f'<p class="soft">Trace: {esc(info["source"])}, licence {esc(info["licence"])}. The numbers of this page '
        "are in it as JSON, in the element <code>#data</code>.</p>"
    )


def render_info(info: Data) -> str:
    """The page about a trace."""
    lse = info["lse"]
    body = [
        f"<h1>Attention of {esc(info['model'])}</h1>",
        f'<p class="soft">{sizes_text(info)} lse from {lse["min"]:.2f} to {lse["max"]:.2f}.</p>',
        synthetic_note(info),
        *info_sections(info),
        origin_text(info),
    ]
    return page(info["model"], body, info)


# ---- the page ------------------------------------------------------------------------------------------------------
def verdict(data: Data) -> tuple[bool, str]:
    found = sum(differences(r["replay"]["check"]) for r in data["runs"])
    good = found == 0 and all(r["status"] == 0 for r in data["runs"])
    rows = sum(r["replay"]["check"]["rows_checked"] for r in data["runs"])
    outputs = sum(r["replay"]["check"]["outputs_checked"] for r in data["runs"])
    text = f"{count(rows)} rows and {count(outputs)} outputs compared with the golden model: {count(found)} differences"
    return good, text


def summary_table(data: Data) -> str:
    runs = data["runs"]
    out = ["<tr><th></th>" + "".join(f"<th>{esc(r['label'])}</th>" for r in runs) + "</tr>"]
    for group, rows in SUMMARY:
        out.append(f'<tr class="group"><th colspan="{len(runs) + 1}">{esc(group)}</th></tr>')
        for what, value in rows:
            cells = "".join(f"<td>{esc(value(r['replay']))}</td>" for r in runs)
            out.append(f"<tr><td>{esc(what)}</td>{cells}</tr>")
    return '<div class="scroll"><table>' + "".join(out) + "</table></div>"


def render(data: Data) -> str:
    info = data["info"]
    good, text = verdict(data)
    body = [
        f"<h1>kvsink: {esc(info['model'])}</h1>",
        f'<p class="soft">{sizes_text(info)} Configuration {esc(data["setup"]["config"])}, memory latency '
        f'{count(data["setup"]["latency"])} cycles, seed {esc(data["setup"]["seed"])}.</p>',
        synthetic_note(info),
        f'<p class="verdict {"good" if good else "bad"}">{esc(text)}</p>',
        f"<section><h2>Summary</h2>{summary_table(data)}</section>",
        plot_mass(data),
        plot_bytes(data),
        plot_time(data),
        plot_error(data),
        *[f'<p><a href="{name}">{esc(PAGES[name])}</a></p>' for name in data.get("pages", []) if name in PAGES],
        origin_text(info),
    ]
    return page(info["model"], body, data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path)
    what.add_argument("--info", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    source = args.data or args.info
    try:
        data = json.loads(source.read_text())
        args.out.write_text(render(data) if args.data else render_info(data), encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    except (KeyError, TypeError, IndexError) as error:
        kind = "of a run" if args.data else "about a trace"
        print(f"report: {source}: not the data {kind} ({error!r})", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
