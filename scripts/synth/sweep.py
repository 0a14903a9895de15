#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How area grows: units synthesized over one size at a time, a law fitted to each, as JSON, a table and a page.

usage: sweep.py [--only NAME,...] [--lib NAME|FILE.lib[,FILE.lib]] [--pdk DIR] [--out FILE] [--page FILE] [--check]

The sweeps are those of SWEEPS: the area point, all other sizes those of the configuration. The law is a + b x or
a + b log2 x, whichever leaves the smaller error; its largest error is stated beside it. With --check the results are
compared with FILE instead of written there, and more than 5 % is a failure.
"""

from __future__ import annotations

import argparse
import html
import json
import math
import sys
from pathlib import Path
from typing import Any

import flow
import synth

# name: (unit, configuration, define, values, what)
SWEEPS: dict[str, tuple[str, str, str, list[int], str]] = {
    "tag_entries": ("sink_tag_array", "small", "KVSINK_ENTRIES", [16, 32, 64, 128, 256, 512], "tag array, entries"),
    "ctrl_entries": ("residency_ctrl", "small", "KVSINK_ENTRIES", [16, 64, 256, 512], "residency controller, entries"),
    "merge_lanes": ("lse_merge", "small", "KVSINK_LANES", [4, 8, 16], "merge unit, lanes"),
    "port_bus": ("axi_read_port", "small", "KVSINK_BUS_BITS", [64, 128, 256, 512], "read port, bus bits"),
    "dma_bus": ("promotion_dma", "small", "KVSINK_BUS_BITS", [64, 128, 256, 512], "promotion DMA, bus bits"),
    "mux_bus": ("bypass_mux", "small", "KVSINK_BUS_BITS", [64, 128, 256, 512], "bypass mux, bus bits"),
    "port_reads": ("axi_read_port", "small", "KVSINK_ROW_READS", [4, 8, 16, 32, 64, 128], "read port, reads in flight"),
    "mux_reads": ("bypass_mux", "small", "KVSINK_ROW_READS", [4, 16, 32, 64, 128], "bypass mux, reads in flight"),
}


def fit(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Least squares a + b x."""
    n = len(points)
    sx, sy = sum(x for x, _ in points), sum(y for _, y in points)
    sxx, sxy = sum(x * x for x, _ in points), sum(x * y for x, y in points)
    b = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    return (sy - b * sx) / n, b


def law(points: list[tuple[float, float]]) -> dict[str, Any]:
    """The better of two laws with two constants, and how far the worst point is from it."""
    best: dict[str, Any] = {}
    for form, f in (("a + b x", lambda x: x), ("a + b log2 x", math.log2)):
        a, b = fit([(f(x), y) for x, y in points])
        error = max(abs(a + b * f(x) - y) / y for x, y in points)
        if not best or error < best["error"]:
            best = {"form": form, "a": round(a, 1), "b": round(b, 2), "error": round(error, 4)}
    return best


def value_at(found: dict[str, Any], x: float) -> float:
    return float(found["a"] + found["b"] * (x if found["form"].endswith(" x") and "log" not in found["form"] else math.log2(x)))


def run(name: str, lib: flow.Library, memories: list[str]) -> dict[str, Any]:
    unit_name, config, define, values, what = SWEEPS[name]
    rows = []
    for value in values:
        unit = flow.unit(unit_name)
        unit.defines.append(f"{define}={value}")
        out = flow.ROOT / "build/synth/sweep" / lib.name / f"{name}_{value}"
        front = flow.ROOT / "build/synth/sweep/front" / f"{name}_{value}"
        row = synth.synthesize_unit(unit, config, lib, out, memories, "area", front)
        if row.get("problems"):
            print(f"{what:30}{value:>6}  {row['problems'][0][:100]}", flush=True)
            continue
        rows.append({"x": value} | {k: row[k] for k in ("nand2", "flip_flops", "memory_bits")})
        print(f"{what:30}{value:>6}{row['nand2']:>10,} NAND2{row['flip_flops']:>8,} flip-flops{row['memory_bits']:>12,} bits",
              flush=True)  # fmt: skip
    result = {"name": name, "unit": unit_name, "config": config, "define": define, "what": what, "points": rows}
    if len(rows) >= 3:
        result["law"] = law([(r["x"], r["nand2"]) for r in rows])
        print(f"{'':30}{'':>6}  {result['law']['form']}: a {result['law']['a']:,.0f}, b {result['law']['b']:,.1f}, "
              f"worst point {result['law']['error']:.1%}")  # fmt: skip
    return result


def plot(sweep: dict[str, Any]) -> str:
    """One sweep as SVG: points, law, axes by powers of two."""
    points = [(r["x"], r["nand2"]) for r in sweep["points"]]
    if len(points) < 2:
        return ""
    w, h, left, base = 460, 250, 70, 210
    lo, hi = math.log2(points[0][0]), math.log2(points[-1][0])
    top = 1.08 * max(y for _, y in points)

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (math.log2(x) - lo) / (hi - lo) * (w - left - 20), base - y / top * (base - 20)

    out = [f'<svg viewBox="0 0 {w} {h}" role="img" aria-label="{html.escape(sweep["what"])}">']
    for i in range(5):
        y = top * i / 4
        _, py = at(points[0][0], y)
        out.append(f'<line x1="{left}" y1="{py:.1f}" x2="{w - 20}" y2="{py:.1f}" class="grid"/>')
        out.append(f'<text x="{left - 6}" y="{py + 4:.1f}" text-anchor="end">{y / 1000:,.0f}k</text>')
    if "law" in sweep:
        steps = [2 ** (lo + (hi - lo) * i / 60) for i in range(61)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in (at(x, max(0.0, value_at(sweep["law"], x))) for x in steps))
        out.append(f'<polyline points="{path}" class="law"/>')
    for x, y in points:
        px, py = at(x, y)
        out.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4"><title>{x}: {y:,} NAND2</title></circle>')
        out.append(f'<text x="{px:.1f}" y="{base + 18}" text-anchor="middle">{x}</text>')
    out.append(f'<text x="{(w + left) / 2}" y="{h - 4}" text-anchor="middle">{html.escape(sweep["what"])}</text></svg>')
    return "".join(out)


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>kvsink: how area grows</title><style>
body{{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222;background:#fff}}
section{{display:inline-block;width:470px;vertical-align:top;margin:0 1em 1em 0}} svg{{width:100%;height:auto}}
svg text{{font-size:11px;fill:#444}} .grid{{stroke:#ddd}} .law{{fill:none;stroke:#c60;stroke-width:1.5}} circle{{fill:#06c}}
table{{border-collapse:collapse}} td,th{{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}}
@media (prefers-color-scheme:dark){{body{{background:#181818;color:#ddd}} svg text{{fill:#bbb}} .grid{{stroke:#333}}}}
</style><h1>How area grows</h1><p>{intro}</p>{plots}<h2>Figures</h2><table><tr><th>sweep</th><th>size</th><th>NAND2</th>
<th>flip-flops</th><th>memory bits</th></tr>{rows}</table></html>
"""


def page(sweeps: list[dict[str, Any]], library: str) -> str:
    plots, rows = [], []
    for s in sweeps:
        text = ""
        if "law" in s:
            found = s["law"]
            text = f"NAND2 = {found['a']:,.0f} + {found['b']:,.1f} {found['form'].split(' b ')[1]}, within {found['error']:.1%}"
        plots.append(f"<section>{plot(s)}<p>{html.escape(s['unit'])}: {html.escape(text)}</p></section>")
        rows += [f"<tr><td>{html.escape(s['what'])}</td><td>{r['x']}</td><td>{r['nand2']:,}</td>"
                 f"<td>{r['flip_flops']:,}</td><td>{r['memory_bits']:,}</td></tr>" for r in s["points"]]  # fmt: skip
    intro = (f"Logic and flip-flops in NAND2 equivalents of {html.escape(library)}, the area point, the small configuration with "
             "one size changed. Memories are not in it; their bits are in the table. Line: the fitted law.")  # fmt: skip
    return PAGE.format(intro=intro, plots="".join(plots), rows="".join(rows))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--lib", default="osu018")
    parser.add_argument("--pdk")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    wanted = args.only.split(",") if args.only else list(SWEEPS)
    if unknown := [w for w in wanted if w not in SWEEPS]:
        flow.stop(f"unknown sweep {', '.join(unknown)}; known: {', '.join(SWEEPS)}")
    lib = flow.library(args.lib, args.pdk, flow.ROOT / "build/synth/liberty")
    out = args.out or flow.ROOT / f"docs/area/sweeps{'' if lib.name == 'osu018' else '.' + lib.name}.json"
    before = json.loads(out.read_text())["sweeps"] if out.exists() else []
    found = [run(name, lib, list(flow.table()["memories"])) for name in wanted]
    failed = False
    if args.check:
        old = {(s["name"], r["x"]): r["nand2"] for s in before for r in s["points"]}
        for s in found:
            for r in s["points"]:
                was = old.get((s["name"], r["x"]))
                if was and r["nand2"] > was * (1 + synth.TOLERANCE):
                    print(f"FAIL {s['what']} {r['x']}: {r['nand2']:,} NAND2, expected {was:,}")
                    failed = True
    sweeps = [s for s in before if s["name"] not in wanted] + found
    sweeps.sort(key=lambda s: list(SWEEPS).index(s["name"]))
    if not args.check:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({"library": lib.name, "sweeps": sweeps}, indent=1) + "\n")
        print(f"written: {out.relative_to(flow.ROOT) if out.is_relative_to(flow.ROOT) else out}")
    target = args.page or flow.ROOT / "build/report/area.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(sweeps, lib.name))
    print(f"page: {target.relative_to(flow.ROOT) if target.is_relative_to(flow.ROOT) else target}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
