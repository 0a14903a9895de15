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
import math
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
# reason: the path is set above
from html_page import (  # noqa: E402
    RIGHT,
    WIDTH,
    Data,
    bars,
    columns,
    count,
    esc,
    figure,
    key,
    label,
    megabytes,
    nice_ticks,
    page,
    percent,
    small,
    svg,
    write,
)

# Pages of other targets that stand beside the report.
PAGES = {
    "merge.html": "error of the merge against exact arithmetic, beside software merges (make bench-merge)",
    "movement.html": "utilisation of the memory, plain and banked (make bench-movement)",
    "score.html": "what each way of feeding the scorer loses (make bench-score)",
}


# ---- words and numbers ---------------------------------------------------------------------------------------------
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
    return page(info["model"], body, data=info)


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
    return page(info["model"], body, data=data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path)
    what.add_argument("--info", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.data:
        return write(args.data, args.out, render, "a run")
    return write(args.info, args.out, render_info, "kvsink info")


if __name__ == "__main__":
    sys.exit(main())
