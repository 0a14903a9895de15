# SPDX-License-Identifier: Apache-2.0
"""What the project's pages are made of: one HTML file each, with plots, that needs nothing beside itself."""

from __future__ import annotations

import argparse
import html
import json
import math
import sys
from pathlib import Path
from typing import Any, Callable

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


def esc(text: Any) -> str:
    return html.escape(str(text))


def count(value: float) -> str:
    return f"{value:,.0f}"


def percent(fraction: float, digits: int = 2) -> str:
    return f"{100 * fraction:.{digits}f} %"


def small(value: float) -> str:
    return "0" if value == 0 else f"{value:.3g}"


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


def page(title: str, body: list[str], style: str = "", data: Data | None = None) -> str:
    """The whole file. `data` is embedded, for whoever wants the figures again."""
    embedded = []
    if data is not None:
        # In a script element only "</" and "<!--" could end the data; "<" is written as an escape that JSON knows.
        text = json.dumps(data).replace("<", "\\u003c")
        embedded = [f'<script type="application/json" id="data">{text}</script>']
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>kvsink: {esc(title)}</title><style>{STYLE}{style}</style></head><body><main>",
            *body,
            *embedded,
            "</main></body></html>",
            "",
        ]
    )


def write(source: Path, out: Path, render: Callable[[Data], str], made_by: str) -> int:
    """Renders a data file into a page. Exit status: 2, with one line, when the one is not data or the other not writable."""
    tool = Path(sys.argv[0]).stem
    try:
        out.write_text(render(json.loads(source.read_text(encoding="utf-8"))), encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"{tool}: {error}", file=sys.stderr)
        return 2
    except (KeyError, TypeError, IndexError) as error:
        print(f"{tool}: {source}: not the data of {made_by} ({error!r})", file=sys.stderr)
        return 2
    return 0


def main(description: str, render: Callable[[Data], str], made_by: str) -> int:
    """The command of a page that is made from one data file: --data FILE --out FILE."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    return write(args.data, args.out, render, made_by)
