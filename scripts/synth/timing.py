#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Largest clock and worst path of units and of the top, as a table, as text and as JSON.

usage: timing.py [--unit NAME] [--config small|default|large] [--lib NAME|FILE.lib[,FILE.lib]] [--pdk DIR]
                 [--point speed|area] [--mem FILE|none] [--check] [--write-expected]

The speed point of flow.py (driver, load, buffers, sizing; see docs/area), read by OpenSTA with an ideal clock and no
wires. The clock is that of the worst path from flip-flop to flip-flop. Beside it: paths that begin or end in a memory
(access and set-up of memories.yaml, assumed), from inputs and to outputs (arriving at 0, needed at the edge).
Of the worst path the RTL lines are named: those of its two registers (kept through mapping by name), and between them
the lines of the longest chain of words from the one to the other in the netlist before gates; the chain is an estimate,
its two ends are not. Written beside the netlist: timing.txt (every cell of the path), and timing.json of all units.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import flow
import memory
import sta
import synth

TOLERANCE = 0.05


# ---- the lines between two registers --------------------------------------------------------------------------------
class Words:
    """The flat netlist of words before gates: which bits depend on which, and the source line of each cell."""

    # cells whose output bit i depends on bit i of their operands only
    BITWISE = {"$and", "$or", "$xor", "$xnor", "$not", "$mux", "$bwmux", "$buf", "$pos"}
    CARRY = {"$add", "$sub", "$neg", "$alu"}  # and on the bits below
    FLOPS = re.compile(r"^\$(a|s|al)?dff|^\$dffsr|^\$sdffce")

    def __init__(self, path: Path, top: str) -> None:
        self.module = json.loads(path.read_text())["modules"][top]
        self.driver: dict[int, tuple[str, int]] = {}
        self.flop: dict[int, str] = {}
        for name, cell in self.module["cells"].items():
            kind, pins = cell["type"], cell["connections"]
            if self.FLOPS.match(kind):
                self.flop |= {b: name for b in pins["Q"] if isinstance(b, int)}
            elif kind.startswith("$") and "Y" in pins:
                self.driver |= {b: (name, i) for i, b in enumerate(pins["Y"]) if isinstance(b, int)}

    def register(self, instance: str) -> tuple[int | None, str]:
        """The bit that a flip-flop of the mapped netlist holds, and the line that assigns it."""
        name = re.sub(r"\$_\w+_$", "", instance)
        nets = self.module["netnames"]
        match = re.fullmatch(r"(.*)\[(\d+)\]", name)
        net, index = nets.get(name), 0
        if net is None and match and match.group(1) in nets:
            net, index = nets[match.group(1)], int(match.group(2))
            index -= int(net.get("offset", 0))
        if net is None or index >= len(net["bits"]):
            return None, ""
        bit = net["bits"][index]
        cell = self.flop.get(bit)
        if cell is None:
            return None, net.get("attributes", {}).get("src", "")
        return bit, self.module["cells"][cell].get("attributes", {}).get("src", "")

    def next_of(self, bit: int) -> list[int]:
        """What a register loads, and what else decides it (enable, synchronous reset)."""
        cell = self.module["cells"][self.flop[bit]]
        pins = cell["connections"]
        found = [pins["D"][pins["Q"].index(bit)]]
        found += [b for p in ("EN", "SRST") for b in pins.get(p, [])]
        return [b for b in found if isinstance(b, int)]

    def _inputs(self, name: str, index: int) -> list[int]:
        cell = self.module["cells"][name]
        kind, pins = cell["type"], cell["connections"]
        width = len(pins["Y"])
        bits: list[Any] = []
        for pin, nets in pins.items():
            if pin == "Y" or cell["port_directions"].get(pin) == "output":
                continue
            if pin == "S" and kind != "$bwmux":
                bits += nets
            elif kind in self.BITWISE:
                bits += nets[index : index + 1]
            elif kind in self.CARRY:
                bits += nets[: index + 1]
            elif kind in ("$pmux", "$bmux"):
                bits += nets[index % width :: width]
            else:
                bits += nets
        return [b for b in bits if isinstance(b, int)]

    def _weight(self, name: str) -> float:
        cell = self.module["cells"][name]
        kind, pins = cell["type"], cell["connections"]
        size = max(len(n) for n in pins.values())
        if kind in ("$buf", "$pos"):
            return 0.0
        if kind in self.BITWISE or kind in ("$logic_and", "$logic_or", "$logic_not") and size == 1:
            return 1.0
        if kind in ("$mul", "$macc", "$macc_v2"):
            return 4.0 * math.log2(size + 1)
        return 1.0 + math.log2(size + 1) * (1.5 if kind in (*self.CARRY, "$lt", "$le", "$gt", "$ge") else 1.0)

    def chain(self, start: set[int], ends: list[int]) -> list[str]:
        """Source lines on the longest way from a start bit to an end bit, in order."""
        best: dict[int, tuple[float, int | None]] = {b: (0.0, None) for b in start}
        dead = -1.0
        open_: set[int] = set()
        for end in ends:
            stack: list[tuple[int, list[int] | None]] = [(end, None)]
            while stack:
                bit, inputs = stack.pop()
                if inputs is None:
                    if bit in best or bit in open_:
                        continue
                    if bit not in self.driver:
                        best[bit] = (dead, None)
                        continue
                    inputs = self._inputs(*self.driver[bit])
                    open_.add(bit)
                    stack.append((bit, inputs))
                    stack += [(i, None) for i in inputs]
                else:
                    open_.discard(bit)
                    ways = [(best[i][0], i) for i in inputs if i in best and best[i][0] >= 0]
                    if ways:
                        length, via = max(ways)
                        best[bit] = (length + self._weight(self.driver[bit][0]), via)
                    else:
                        best[bit] = (dead, None)
        reached = [(best[e][0], e) for e in ends if e in best and best[e][0] >= 0]
        if not reached:
            return []
        lines: list[str] = []
        at: int | None = max(reached)[1]
        while at is not None and at not in start:
            src = self.module["cells"][self.driver[at][0]].get("attributes", {}).get("src", "")
            if src and (not lines or lines[-1] != src):
                lines.append(src)
            at = best[at][1]
        return lines[::-1]


def short(src: str) -> str:
    """`rtl/x.sv:12.3-12.40` -> `rtl/x.sv:12`; of several places the first."""
    return re.sub(r"\.\d+(-\d+\.\d+)?$", "", src.split("|")[0])


def text_of(place: str) -> str:
    """The text of a line of the sources."""
    name, _, line = place.rpartition(":")
    try:
        return (flow.ROOT / name).read_text().splitlines()[int(line) - 1].strip()
    except (OSError, ValueError, IndexError):
        return ""


def rtl_lines(front: Path, unit: str, start: str, end: str) -> list[str]:
    """Places in the sources: the start register, the chain, the end register. Memories are named by their pin."""
    words = Words(front / "word.json", unit)
    cells = words.module["cells"]

    def pins(pin: str, want: str) -> list[int]:
        cell, _, port = pin.rpartition("/")
        match = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", port)
        if cell not in cells or not match:
            return []
        nets = cells[cell]["connections"].get(match.group(1), [])
        if want == "start":
            nets = [b for p, n in cells[cell]["connections"].items()
                    if cells[cell]["port_directions"].get(p) == "output" for b in n]  # fmt: skip
        elif match.group(2):
            nets = nets[int(match.group(2)) :][:1]
        return [b for b in nets if isinstance(b, int)]

    lines: list[str] = []
    first, src = words.register(start.rpartition("/")[0])
    starts = {first} if first is not None else set(pins(start, "start"))
    if src:
        lines.append(short(src))
    last, end_src = words.register(end.rpartition("/")[0])
    ends = words.next_of(last) if last is not None else pins(end, "end")
    if starts and ends:
        lines += [short(s) for s in words.chain(starts, ends)]
    if end_src:
        lines.append(short(end_src))
    return [p for i, p in enumerate(lines) if i == 0 or lines[i - 1] != p]


# ---- OpenSTA --------------------------------------------------------------------------------------------------------
def parse_path(report: str, per_ns: float, period: float) -> dict[str, Any] | None:
    """The first path of a report: delay in ns against a clock of `period`, its ends, its cells."""
    slack = re.search(r"(-?[\d.]+)\s+slack", report)
    if not slack:
        return None
    points = re.findall(r"^\s*(-?[\d.]+)\s+(-?[\d.]+) [\^v] (.+?)/(\S+) \((\S+)\)$", report.partition("data arrival")[0], re.M)
    path = {
        "ns": round((period - float(slack.group(1))) / per_ns, 4),
        "from": match.group(1) if (match := re.search(r"^Startpoint: (\S+)", report, re.M)) else "",
        "to": match.group(1) if (match := re.search(r"^Endpoint: (\S+)", report, re.M)) else "",
        "cells": [{"at": round(float(t) / per_ns, 4), "pin": f"{c}/{p}", "cell": k} for _, t, c, p, k in points],
    }
    return path


def levels(path: dict[str, Any], flops: re.Pattern[str]) -> int:
    """Cells of logic between the two registers, buffers and inverters too."""
    seen = [c["pin"].rpartition("/")[0] for c in path["cells"] if not flops.match(c["cell"])]
    return len(dict.fromkeys(seen))


def instance(name: str) -> str:
    return name.replace("\\", "").rstrip()


def analyse(
    name: str, config: str, lib: flow.Library, point: str, model: memory.Model, memories: dict[str, Any],
    out: Path | None = None, front: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Timing of a synthesized unit. Several paths: between flip-flops, of memories, of inputs, of outputs."""
    folder = flow.folder(config, lib, point)
    unit = flow.unit(name)
    out = out or folder / name
    front = front or flow.ROOT / "build/synth" / config / "front" / name
    boxes = sta.gather(unit, folder if out == folder / name else out.parent, out, list(memories), out)
    reads = [f"read_liberty {f}" for f in lib.files]
    if boxes:
        elaborated: dict[str, Any] = {}
        for part in [name, *unit.parts]:
            where = front if part == name else flow.ROOT / "build/synth" / config / "front" / part
            elaborated |= flow.stat(where / "elaborated.json")["modules"]
        times: dict[str, tuple[float, float]] = {}
        for plain, (kind, module) in boxes.items():
            m = memory.of_cell(kind, {"modules": {kind: module}}, elaborated, memories)
            times[plain] = (model.access_ns(m), model.setup_ns())
        text = sta.memory_library({k: m for k, (_, m) in boxes.items()}, lambda cell: times[cell])
        (out / "memories.timing.lib").write_text(text)
        reads.append(f"read_liberty {out / 'memories.timing.lib'}")
    period = 1e-3 * lib.time_per_ns  # 1 ps: every path violates, and the slack tells its delay
    regs = "-from [all_registers -clock_pins] -to [all_registers -data_pins]"
    check = "report_checks -path_delay max -format full -digits 4"
    script = [
        *reads,
        f"read_verilog {out / 'sta.v'}",
        f"link_design {name}",
        f"create_clock -name clk -period {period:g} [get_ports clk_i]",
        "set kvs_inputs {}",
        "foreach kvs_port [all_inputs] {",
        "  set kvs_name [get_property $kvs_port full_name]",
        '  if {$kvs_name ne "clk_i" && $kvs_name ne "rst_ni"} { lappend kvs_inputs $kvs_port }',
        "}",
        "if {[llength $kvs_inputs] > 0} { set_input_delay 0 -clock clk $kvs_inputs }",
        "set_output_delay 0 -clock clk [all_outputs]",
        "if {[llength [get_ports -quiet rst_ni]] > 0} { set_false_path -from [get_ports rst_ni] }",
        'puts "TAG memories"',
        f"{check} {regs}",
        'puts "TAG in"',
        f"if {{[llength $kvs_inputs] > 0}} {{ {check} -from $kvs_inputs -to [all_registers -data_pins] }}",
        'puts "TAG out"',
        f"{check} -from [all_registers -clock_pins] -to [all_outputs]",
        'puts "TAG through"',
        f"if {{[llength $kvs_inputs] > 0}} {{ {check} -from $kvs_inputs -to [all_outputs] }}",
    ]
    cells = sta.instances(out, set(boxes))
    for cell in cells:
        script += [f"set_false_path -from [get_cells {{{cell}}}]", f"set_false_path -to [get_cells {{{cell}}}]"]
    script += ['puts "TAG flops"', f"{check} {regs}"]
    log = sta.opensta(out / "timing.tcl", script)
    if "TAG end" not in log:
        where = (out / "timing.log").relative_to(flow.ROOT)
        return {"unit": name, "problems": [f"OpenSTA stopped, see {where}: "
                f"{next((x for x in log.splitlines() if 'Error' in x), log[-200:])}"]}  # fmt: skip
    parts = dict(re.findall(r"TAG (\w+)\n(.*?)(?=TAG \w+\n)", log, re.S))
    row: dict[str, Any] = {"unit": name, "problems": []}
    text: list[str] = [f"{name}, {config}, {lib.name}, {point} point\n"]
    for tag in ("flops", "memories", "in", "out", "through"):
        path = parse_path(parts.get(tag, ""), lib.time_per_ns, period)
        if not path:
            continue
        ends = [instance(path["cells"][0]["pin"]), instance(path["cells"][-1]["pin"])] if path["cells"] else ["", ""]
        entry: dict[str, Any] = {"ns": path["ns"], "mhz": round(1e3 / path["ns"]) if path["ns"] > 0 else None,
                                 "levels": levels(path, lib.flops), "from": path["from"], "to": path["to"]}  # fmt: skip
        if tag in ("flops", "memories") and not unit.parts and all(ends):
            # In the full report the data path begins at the clock pin of the start and ends at the data pin.
            entry["lines"] = rtl_lines(front, name, ends[0], ends[1])
        row[tag] = entry
        text.append(f"{tag}: {path['ns']:.4f} ns, {entry['levels']} levels, {path['from']} -> {path['to']}")
        text += [f"  {p:40} {text_of(p)[:90]}" for p in entry.get("lines", [])]
        text += [f"    {c['at']:9.4f}  {c['cell']:32} {c['pin']}" for c in path["cells"]]
    (out / "timing.txt").write_text("\n".join(text) + "\n")
    if "flops" not in row and "memories" not in row:
        row["problems"].append("no path from register to register")
    return row


def show(rows: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    print(f"{'unit':20}{'MHz':>7}{'ns':>8}{'levels':>8}{'with mem.':>11}{'in':>8}{'out':>8}{'NAND2':>10}{'expected':>10}{'change':>8}  worst path")
    for r in rows:
        flops = r.get("flops")
        if not flops:
            print(f"{r['unit']:20}  " + ("failed" if r.get("problems") else "no path between flip-flops"))
            continue

        def ns(tag: str, r: dict[str, Any] = r) -> str:
            return f"{r[tag]['ns']:.3f}" if tag in r else "-"

        line = f"{r['unit']:20}{flops['mhz']:>7,}{flops['ns']:>8.3f}{flops['levels']:>8}{ns('memories'):>11}{ns('in'):>8}{ns('out'):>8}"
        line += f"{r.get('nand2', 0):>10,}"
        before = expected.get(r["unit"], {}).get("ns")
        line += f"{before:>10.3f}{flops['ns'] / before - 1:>+8.1%}" if before else f"{'':18}"
        print(f"{line}  {flops['from']} -> {flops['to']}")
        for place in flops.get("lines", [])[:12]:
            print(f"{'':22}{place:38} {text_of(place)[:80]}")


PAGE_HEAD = """<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Made by scripts/synth/timing.py from docs/area/*.timing.json (make timing-expect). -->
# Worst paths
Register to register in the flow of [the area pages](README.md): the speed point, ideal clock, no wires. Of each path the
registers at its ends and, between them, the RTL lines of the longest chain of words from the one to the other (the ends are
certain, the chain is an estimate; lines are those of the revision that was measured). `in` and `out` are paths from a port and to a port with nothing outside; `with memories`
adds the access times of `scripts/synth/memories.yaml`, which are assumed.
"""


def write_page() -> None:
    """docs/area/timing.md from every expectation that is checked in."""
    text = [PAGE_HEAD]
    for path in sorted((flow.ROOT / "docs/area").glob("*.timing.json")):
        data = json.loads(path.read_text())
        text.append(f"## {data['library']}, configuration {data['config']}\n")
        text.append("| unit | MHz | ns | levels | with memories | in | out | NAND2 | measured at |\n|---|---|---|---|---|---|---|---|---|")
        for r in data["units"]:
            cells = [f"{r[k]:.3f}" if k in r else "–" for k in ("memories_ns", "in_ns", "out_ns")]
            text.append(f"| {r['unit']} | {r['mhz']:,} | {r['ns']:.3f} | {r['levels']} | {' | '.join(cells)} | {r['nand2']:,} | {r.get('rev', '')} |")
        text.append("")
        for r in data["units"]:
            if r["lines"]:
                text.append(f"{r['unit']}: `{r['from']}` to `{r['to']}`\n")
                text += ["- {}: `{}`".format(*p.replace("`", "").split(" ", 1)) for p in r["lines"][:14]]
                text.append("")
    (flow.ROOT / "docs/area/timing.md").write_text("\n".join(text).rstrip() + "\n")


def run(
    wanted: list[str], config: str, lib: flow.Library, point: str, model: memory.Model
) -> list[dict[str, Any]]:
    """Synthesizes and analyses; a unit that fails has `problems`."""
    table = flow.table()
    folder = flow.folder(config, lib, point)
    rows: list[dict[str, Any]] = []
    for name in wanted:
        unit = flow.unit(name)
        areas = [synth.synthesize(n, config, lib, folder, list(table["memories"]), point) for n in [*unit.parts, name]]
        bad = [p for a in areas for p in a.get("problems", []) + a.get("absent", [])]
        if bad:
            rows.append({"unit": name, "problems": bad})
            continue
        rows.append(
            analyse(name, config, lib, point, model, table["memories"])
            | {k: areas[-1][k] for k in ("area_um2", "nand2", "flip_flops")}
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", default="", help="one unit, or several with commas; empty: all, and the references")
    parser.add_argument("--config", default="small", choices=flow.CONFIGS)
    parser.add_argument("--lib", default="osu018")
    parser.add_argument("--pdk")
    parser.add_argument("--point", default="speed", choices=flow.POINTS)
    parser.add_argument("--mem")
    parser.add_argument("--check", action="store_true", help="fail when a unit is more than 5 %% slower or larger than expected")
    parser.add_argument("--write-expected", action="store_true")
    args = parser.parse_args()
    table = flow.table()
    known = [*table["units"], *table["references"]]
    wanted = args.unit.split(",") if args.unit else known
    if unknown := [u for u in wanted if u not in known]:
        flow.stop(f"unknown unit {', '.join(unknown)}; known: {', '.join(known)}")
    lib = flow.library(args.lib, args.pdk, flow.ROOT / "build/synth/liberty")
    model = memory.model(args.mem, lib)
    rows = run(wanted, args.config, lib, args.point, model)
    folder = flow.folder(args.config, lib, args.point)
    result_file = folder / "timing.json"
    previous = json.loads(result_file.read_text())["units"] if args.unit and result_file.exists() else []
    rows_all = [r for r in previous if r["unit"] not in wanted] + rows
    result = {"config": args.config, "library": lib.name, "point": args.point, "units": rows_all}
    result_file.write_text(json.dumps(result, indent=1) + "\n")
    print(f"configuration {args.config}, library {lib.name}, {args.point} point, no wires; times in ns")
    expected_file = flow.ROOT / f"docs/area/{args.config}.{lib.name}.{args.point}.timing.json"
    expected: dict[str, Any] = {}
    if expected_file.exists():
        expected = {r["unit"]: r for r in json.loads(expected_file.read_text())["units"]}
    show(rows, expected)
    if args.check:
        for r in rows:
            before = expected.get(r["unit"])
            for key, now in (("ns", r.get("flops", {}).get("ns")), ("nand2", r.get("nand2"))):
                if before and now and now > before[key] * (1 + TOLERANCE):
                    r["problems"].append(f"{key} {now:,}, expected {before[key]:,}: more than 5 % more")
            if not before and "flops" in r:
                r["problems"].append(f"no expectation in {expected_file.relative_to(flow.ROOT)}")
    failed = False
    for r in rows:
        for problem in r.get("problems", []):
            print(f"FAIL {r['unit']}: {problem}")
            failed = True
    print(f"written: {result_file.relative_to(flow.ROOT)}")
    if args.write_expected and not failed:
        kept = [r for name, r in expected.items() if name not in wanted]
        git = ["git", "rev-parse", "--short", "HEAD"]
        revision = subprocess.run(git, cwd=flow.ROOT, capture_output=True, text=True, check=False).stdout.strip()
        order = {u: i for i, u in enumerate(known)}
        slim = kept + [
            {"unit": r["unit"], "ns": r["flops"]["ns"], "mhz": r["flops"]["mhz"], "levels": r["flops"]["levels"],
             **{f"{t}_ns": r[t]["ns"] for t in ("memories", "in", "out") if t in r},
             "nand2": r["nand2"], "from": r["flops"]["from"], "to": r["flops"]["to"], "rev": revision,
             "lines": [f"{p} {text_of(p)[:90]}" for p in r["flops"].get("lines", [])]}
            for r in rows if "flops" in r
        ]  # fmt: skip
        slim.sort(key=lambda r: order.get(r["unit"], 99))
        lines = ",\n".join("  " + json.dumps(r) for r in slim)
        expected_file.write_text(
            f'{{"config": "{args.config}", "library": "{lib.name}", "point": "{args.point}", "units": [\n{lines}\n]}}\n'
        )
        write_page()
        print(f"written: {expected_file.relative_to(flow.ROOT)}, docs/area/timing.md")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
