#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Area of each unit and of the top, as a table and as JSON.

usage: synth.py [--unit NAME] [--config small|default|large] [--lib NAME|none|FILE.lib[,FILE.lib]] [--pdk DIR]
                [--point area|speed] [--mem FILE|none] [--jobs N] [--check] [--write-expected]

Each unit is synthesized on its own: flattened, mapped onto the library by plain abc (the area point; its delay means
nothing) or for speed. Memories (kv_ram_1r1w, kv_ram_1rw) are left as black boxes, counted as bits and words, and given
an area by the table of memories.yaml, in a column of its own. The top is what is left when its units are black boxes;
its total adds every unit, as often as it is instantiated. Written to build/synth/CONFIG (with /LIB for other libraries
than osu018, and /speed): area.json, and for each unit scripts (back.ys, and front/UNIT/front.ys, which run as
`yosys -m slang -s` too), netlist and log. A unit that folds away, that has an unmapped cell or a latch is a failure.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import flow
import memory

TOLERANCE = 0.05  # names alone move an area by up to 4 %: less than this is no difference


def measure(
    unit: flow.Unit, lib: flow.Library | None, elaborated_file: Path, out: Path, memories: list[str]
) -> dict[str, Any]:
    mapped = flow.stat(out / "mapped.json")["modules"]["\\" + unit.name]
    elaborated = flow.stat(elaborated_file)["modules"]
    types: dict[str, int] = mapped["num_cells_by_type"] | mapped.get("num_submodules_by_type", {})
    row: dict[str, Any] = {"unit": unit.name, "problems": []}
    boxes: dict[str, int] = {}
    found: dict[memory.Memory, int] = {}
    netlist = json.loads((out / "netlist.json").read_text())
    logic: dict[str, int] = {}
    for cell, n in types.items():
        base = flow.base_name(cell)
        if base in memories:
            m = memory.of_cell(cell.lstrip("\\"), netlist, elaborated, flow.table()["memories"])
            found[m] = found.get(m, 0) + n
        elif base in unit.parts:
            boxes[base] = boxes.get(base, 0) + n
        else:
            logic[cell] = n
    if lib:
        area = float(mapped.get("area", 0.0))
        row["area_um2"] = round(area, 1)
        row["nand2"] = round(area / lib.nand2_area)
        if "sequential_area" in mapped:
            row["nand2_flip_flops"] = round(float(mapped["sequential_area"]) / lib.nand2_area)
        row["flip_flops"] = sum(n for c, n in logic.items() if lib.flops.match(c))
        bad = [c for c in logic if c.startswith("$")]
        latch = [c for c in logic if re.search(r"LATCH|__dl[rx]|^D[LH]L", c)]
    else:
        row["nand2"] = round(sum(n * flow.GENERIC_GE.get(c, 0) for c, n in logic.items()))
        row["flip_flops"] = sum(n for c, n in logic.items() if c.startswith("$_DFF"))
        bad = [c for c in logic if c not in flow.GENERIC_GE]
        latch = [c for c in logic if "LATCH" in c]
    row |= {"cells": sum(logic.values()), "memory_bits": sum(m.bits * n for m, n in found.items()),
            "memories": sum(found.values()), "memory_list": [m.row(n) for m, n in found.items()]}  # fmt: skip
    if boxes:
        row["parts"] = boxes

    ports = netlist["modules"][unit.name]["ports"]
    outputs = [b for p in ports.values() if p["direction"] == "output" for b in p["bits"]]
    constant = sum(isinstance(b, str) for b in outputs)
    row["constant_outputs"] = f"{constant}/{len(outputs)}"
    if not logic and not boxes:
        row["problems"].append("no cell is left: it folded away")
    if outputs and constant == len(outputs):
        row["problems"].append("all outputs are constant")
    if bad:
        row["problems"].append(f"unmapped cells: {', '.join(sorted(bad))}")
    if latch:
        row["problems"].append(f"latches: {', '.join(latch)}")
    missing = [p for p in unit.parts if p not in boxes]
    if missing:
        row["problems"].append(f"units that are not in the design: {', '.join(missing)}")
    return row


def synthesize(
    name: str, config: str, lib: flow.Library | None, folder: Path, memories: list[str], point: str = "area"
) -> dict[str, Any]:
    return synthesize_unit(flow.unit(name), config, lib, folder / name, memories, point)


def synthesize_unit(
    unit: flow.Unit,
    config: str,
    lib: flow.Library | None,
    out: Path,
    memories: list[str],
    point: str = "area",
    front: Path | None = None,
) -> dict[str, Any]:
    """One unit through the flow into `out`; the generic gates, which libraries and points share, into `front`."""
    if unit.missing:
        return {"unit": unit.name, "absent": unit.missing}
    front = front or flow.ROOT / "build/synth" / config / "front" / unit.name
    start = time.monotonic()
    try:
        front_key = flow.front(unit, config, front, memories)
        key = flow.back(unit, lib, point, front, front_key, out)
    except flow.YosysFailed as error:
        return {"unit": unit.name, "problems": [str(error)]}
    row_file = out / "row.json"
    if row_file.exists():
        kept: dict[str, Any] = json.loads(row_file.read_text())
        if kept.pop("key", None) == key:
            return kept
    row = measure(unit, lib, front / "elaborated.json", out, memories)
    row["seconds"] = round(time.monotonic() - start, 1)
    row_file.write_text(json.dumps(row | {"key": key}) + "\n")
    return row


def check_parts(rows: list[dict[str, Any]], folder: Path) -> None:
    """A unit synthesized on its own must be the one that the top instantiates: the same ports, width by width."""
    for top in (r for r in rows if r.get("parts")):
        design = json.loads((folder / top["unit"] / "netlist.json").read_text())["modules"]
        for kind, module in design.items():
            alone = folder / flow.base_name(kind) / "netlist.json"
            if flow.base_name(kind) not in top["parts"] or not alone.exists():
                continue
            ports = json.loads(alone.read_text())["modules"][flow.base_name(kind)]["ports"]
            here = {p: len(i["bits"]) for p, i in module["ports"].items()}
            there = {p: len(i["bits"]) for p, i in ports.items()}
            wrong = sorted(p for p in here.keys() | there.keys() if here.get(p) != there.get(p))
            if wrong:
                top["problems"].append(
                    f"{flow.base_name(kind)} has other ports in the top ({', '.join(wrong[:4])}): set params in units.yaml"
                )


def add_total(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The top with all its units: glue, plus each unit as often as it is instantiated."""
    by_name = {r["unit"]: r for r in rows if "cells" in r}
    top = next((r for r in rows if "parts" in r), None)
    if not top or any(p not in by_name for p in top["parts"]):
        return None
    total: dict[str, Any] = {"unit": f"{top['unit']} (all)"}
    for key in ("area_um2", "nand2", "flip_flops", "cells", "memory_bits", "memories", "memory_um2"):
        if key in top:
            total[key] = round(top[key] + sum(n * by_name[p][key] for p, n in top["parts"].items()), 1)
    return total


def show(rows: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    with_area = any("area_um2" in r for r in rows)
    head = f"{'unit':24}{'area um2' if with_area else '':>12}{'NAND2':>10}{'flip-flops':>12}{'memory bits':>14}"
    head += f"{'memory um2*' if with_area else '':>14}"
    print(head + f"{'memories':>10}{'expected':>10}{'change':>9}")
    for r in rows:
        if "absent" in r:
            print(f"{r['unit']:24}  not there: {', '.join(r['absent'])}")
            continue
        if "nand2" not in r:
            print(f"{r['unit']:24}  failed")
            continue
        area = f"{r['area_um2']:,.0f}" if "area_um2" in r else ""
        line = f"{r['unit']:24}{area:>12}{r['nand2']:>10,.0f}{r['flip_flops']:>12,.0f}{r['memory_bits']:>14,.0f}"
        line += f"{r['memory_um2']:>14,.0f}" if "memory_um2" in r else f"{'':14}"
        line += f"{r['memories']:>10,.0f}"
        if before := expected.get(r["unit"], {}).get("nand2"):
            change = r["nand2"] / before - 1
            line += f"{before:>10,.0f}{change:>+9.1%}" + ("" if abs(change) < TOLERANCE else "  <-")
        print(line)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", default="", help="one unit, or several with commas; empty: all")
    parser.add_argument("--config", default="small", choices=flow.CONFIGS)
    parser.add_argument("--lib", default="osu018")
    parser.add_argument("--point", default="area", choices=flow.POINTS)
    parser.add_argument("--pdk")
    parser.add_argument("--mem", help="memory model: a file like memories.yaml, or none")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write-expected", action="store_true")
    parser.add_argument("--check", action="store_true", help="fail when a unit is more than 5 %% larger than expected")
    args = parser.parse_args()

    table = flow.table()
    wanted = args.unit.split(",") if args.unit else list(table["units"])
    unknown = [u for u in wanted if u not in table["units"] and u not in table["references"]]
    if unknown:
        flow.stop(f"unknown unit {', '.join(unknown)}; known: {', '.join([*table['units'], *table['references']])}")
    lib = None if args.lib == "none" else flow.library(args.lib, args.pdk, flow.ROOT / "build/synth/liberty")
    label = lib.name if lib else "none"
    folder = flow.folder(args.config, lib, args.point)
    folder.mkdir(parents=True, exist_ok=True)
    memories = list(table["memories"])

    with ThreadPoolExecutor(args.jobs) as pool:
        rows = list(pool.map(lambda u: synthesize(u, args.config, lib, folder, memories, args.point), wanted))
    check_parts(rows, folder)
    model = memory.model(args.mem, lib)
    for r in rows:
        if model and "memory_list" in r:
            r["memory_um2"] = round(sum(m["count"] * model.area(memory.Memory(m["ports"], m["words"], m["width"]))
                                        for m in r["memory_list"]), 1)  # fmt: skip
    total = add_total(rows)
    if total:
        rows.append(total)

    area_file = folder / "area.json"
    previous = json.loads(area_file.read_text())["units"] if args.unit and area_file.exists() else []
    kept = [r for r in previous if r["unit"] not in {x["unit"] for x in rows}]
    result = {
        "config": args.config,
        "library": label,
        "nand2_um2": lib.nand2_area if lib else None,
        "units": kept + [r for r in rows if "absent" not in r],
    }
    area_file.write_text(json.dumps(result, indent=1) + "\n")

    suffix = "".join(f".{w}" for w, usual in ((label, "osu018"), (args.point, "area")) if w != usual)
    expected_file = flow.ROOT / "docs/area" / f"{args.config}{suffix}.json"
    expected: dict[str, Any] = {}
    if expected_file.exists():
        expected = {r["unit"]: r for r in json.loads(expected_file.read_text())["units"]}
    print(f"configuration {args.config}, library {label}, {args.point} point; memories are not in area and NAND2")
    show(rows, expected)
    if model:
        print("* of memories, by the table in memories.yaml: assumed, of no compiler (MEM=FILE, MEM=none)")
    if "lse_merge" in wanted and args.point == "area":
        import merge_cost  # here, because it needs this module

        merge_cost.report(lib, label, args.jobs, with_bits=False)
    if args.check:
        for r in rows:
            before = expected.get(r["unit"], {}).get("nand2")
            if before and "nand2" in r and r["nand2"] > before * (1 + TOLERANCE):
                r.setdefault("problems", []).append(f"{r['nand2']:,} NAND2, expected {before:,}: more than 5 % larger")
            elif before is None and "nand2" in r:
                r.setdefault("problems", []).append(f"no expected area in {expected_file.relative_to(flow.ROOT)}")
    failed = [r for r in rows if r.get("problems")]
    for r in failed:
        for problem in r["problems"]:
            print(f"FAIL {r['unit']}: {problem}")
    print(f"written: {area_file.relative_to(flow.ROOT)}")
    absent = [r["unit"] for r in rows if "absent" in r]
    if args.write_expected and not failed:
        expected_file.parent.mkdir(parents=True, exist_ok=True)
        keys = ("unit", "area_um2", "nand2", "flip_flops", "memory_bits", "memories")
        slim = [{k: r[k] for k in keys if k in r} for r in result["units"]]
        lines = ",\n".join("  " + json.dumps(r) for r in slim)
        expected_file.write_text(
            f'{{"config": "{args.config}", "library": "{label}", "units": [\n{lines}\n]}}\n'
        )
        print(f"written: {expected_file.relative_to(flow.ROOT)}")
    return 1 if failed or absent else 0


if __name__ == "__main__":
    sys.exit(main())
