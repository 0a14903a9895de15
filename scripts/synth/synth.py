#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Area of each unit and of the top, as a table and as JSON.

usage: synth.py [--unit NAME] [--config small|default|large] [--lib NAME|none|FILE.lib[,FILE.lib]] [--pdk DIR]
                [--jobs N] [--write-expected]

Each unit is synthesized on its own: flattened, mapped onto the library by plain abc (an area figure; its delay means
nothing). Memories (kv_ram_1r1w, kv_ram_1rw) are left as black boxes and counted as bits. The top is what is left when
its units are black boxes; its total adds every unit, as often as it is instantiated. Written to build/synth/CONFIG:
area.json (area.LIB.json for other libraries than osu018), and for each unit its script (synth.ys, which runs as
`yosys -m slang -s` too), netlist and log. A unit that folds away, that has an unmapped cell or a latch is a failure.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import flow

# Gate equivalents of Yosys' generic cells, by the usual transistor counts (four transistors: one NAND2).
GENERIC_GE = {
    "$_NOT_": 0.5, "$_NAND_": 1, "$_NOR_": 1, "$_AND_": 1.5, "$_OR_": 1.5, "$_ANDNOT_": 1.5, "$_ORNOT_": 1.5,
    "$_XOR_": 2.5, "$_XNOR_": 2.5, "$_MUX_": 2.5, "$_DFF_P_": 5, "$_DFF_PN0_": 6.5, "$_DFF_PN1_": 6.5,
}  # fmt: skip
TOLERANCE = 0.05  # names alone move an area by up to 4 %: less than this is no difference


def script(unit: flow.Unit, config: str, lib: flow.Library | None, out: Path, memories: list[str]) -> str:
    rel = out.relative_to(flow.ROOT)
    boxes = [*memories, *unit.parts]
    lines = [
        "# SPDX-License-Identifier: Apache-2.0",
        f"# Area of {unit.name} ({config}, {lib.name if lib else 'generic gates'}). Runs in the root of the repository.",
        flow.read_slang(unit, config, "--keep-hierarchy", "-DSYNTHESIS"),
        f"hierarchy -check -top {unit.name}",
        f"tee -q -o {rel}/elaborated.json stat -json",
        # Memories, and the top's units, become black boxes: what is inside them is counted elsewhere.
        *[f"blackbox {box}$*" for box in boxes],
        "proc",
        "flatten",
        "opt_dff",  # read_slang's asynchronous loads of constants become resets
        f"synth -flatten -top {unit.name}",
        "rename -wire t:$_*DFF*",
    ]
    if lib:
        liberty = " ".join(f"-liberty {f}" for f in lib.files)
        dont = "".join(f"-dont_use {c} " for c in lib.dont_use)
        lines += [f"dfflibmap {dont}{liberty}", f"abc {dont}{liberty}"]
    else:
        lines += [
            "dfflegalize -cell $_DFF_P_ x -cell $_DFF_PN0_ x -cell $_DFF_PN1_ x",
            "abc -g AND,NAND,OR,NOR,XOR,XNOR,MUX,ANDNOT,ORNOT",
        ]
        liberty = ""
    lines += [
        "opt_clean -purge",
        "check",
        f"tee -q -o {rel}/mapped.json stat -json {liberty}",
        f"write_verilog -noattr -noexpr {rel}/netlist.v",
        f"write_json {rel}/netlist.json",
    ]
    return "\n".join(lines) + "\n"


def stat(path: Path) -> dict[str, Any]:
    text = path.read_text()
    return json.loads(text[text.index("{") :])


def base_name(cell: str) -> str:
    """`\\kv_ram_1rw$top.u_x` -> `kv_ram_1rw`: the module that an instance of the kept hierarchy is of."""
    return cell.lstrip("\\").split("$")[0]


def measure(unit: flow.Unit, lib: flow.Library | None, out: Path, memories: list[str]) -> dict[str, Any]:
    mapped = stat(out / "mapped.json")["modules"]["\\" + unit.name]
    elaborated = stat(out / "elaborated.json")["modules"]
    types: dict[str, int] = mapped["num_cells_by_type"] | mapped.get("num_submodules_by_type", {})
    row: dict[str, Any] = {"unit": unit.name, "problems": []}
    boxes: dict[str, int] = {}
    bits = count = 0
    logic: dict[str, int] = {}
    for cell, n in types.items():
        base = base_name(cell)
        if base in memories:
            bits += n * int(elaborated["\\" + cell]["num_memory_bits"])
            count += n
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
        latch = [c for c in logic if re.search(r"LATCH|__dl|^D[LH]L", c)]
    else:
        row["nand2"] = round(sum(n * GENERIC_GE.get(c, 0) for c, n in logic.items()))
        row["flip_flops"] = sum(n for c, n in logic.items() if c.startswith("$_DFF"))
        bad = [c for c in logic if c not in GENERIC_GE]
        latch = [c for c in logic if "LATCH" in c]
    row |= {"cells": sum(logic.values()), "memory_bits": bits, "memories": count}
    if boxes:
        row["parts"] = boxes

    ports = json.loads((out / "netlist.json").read_text())["modules"][unit.name]["ports"]
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


def fingerprint(text: str, unit: flow.Unit) -> str:
    """Of all that the result is made from; when it is the same, the last run's result stands."""
    digest = hashlib.sha256(text.encode() + Path(__file__).read_bytes() + Path(flow.__file__).read_bytes())
    digest.update((flow.ROOT / "requirements.txt").read_bytes() + os.environ.get("YOSYS", "").encode())
    headers = sorted(str(h) for i in flow.INCLUDES for h in (flow.ROOT / i).glob("*"))
    for path in [*unit.sources, *headers]:
        digest.update((flow.ROOT / path).read_bytes())
    return digest.hexdigest()


def synthesize(
    name: str, config: str, lib: flow.Library | None, folder: Path, memories: list[str]
) -> dict[str, Any]:
    return synthesize_unit(flow.unit(name), config, lib, folder / name, memories)


def synthesize_unit(
    unit: flow.Unit, config: str, lib: flow.Library | None, out: Path, memories: list[str]
) -> dict[str, Any]:
    name = unit.name
    out.mkdir(parents=True, exist_ok=True)
    if unit.missing:
        return {"unit": name, "absent": unit.missing}
    text = script(unit, config, lib, out, memories)
    key = fingerprint(text, unit)
    row_file = out / "row.json"
    if row_file.exists() and (out / "netlist.v").exists():
        kept: dict[str, Any] = json.loads(row_file.read_text())
        if kept.pop("key", None) == key:
            return kept
    for old in ("row.json", "elaborated.json", "mapped.json", "netlist.v", "netlist.json"):
        (out / old).unlink(missing_ok=True)
    (out / "synth.ys").write_text(text)
    start = time.monotonic()
    status = flow.run_yosys(out / "synth.ys", out / "yosys.log")
    if status != 0 or not (out / "netlist.json").exists():
        lines = (out / "yosys.log").read_text(errors="replace").splitlines()
        errors = [line for line in lines if re.search(r"\berror\b", line, re.I)] or lines[-3:]
        log = (out / "yosys.log").relative_to(flow.ROOT)
        return {"unit": name, "problems": [f"Yosys stopped (status {status}), see {log}: {errors[0].strip()}"]}
    row = measure(unit, lib, out, memories)
    row["seconds"] = round(time.monotonic() - start, 1)
    row_file.write_text(json.dumps(row | {"key": key}) + "\n")
    return row


def check_parts(rows: list[dict[str, Any]], folder: Path) -> None:
    """A unit synthesized on its own must be the one that the top instantiates: the same ports, width by width."""
    for top in (r for r in rows if r.get("parts")):
        design = json.loads((folder / top["unit"] / "netlist.json").read_text())["modules"]
        for kind, module in design.items():
            alone = folder / base_name(kind) / "netlist.json"
            if base_name(kind) not in top["parts"] or not alone.exists():
                continue
            ports = json.loads(alone.read_text())["modules"][base_name(kind)]["ports"]
            here = {p: len(i["bits"]) for p, i in module["ports"].items()}
            there = {p: len(i["bits"]) for p, i in ports.items()}
            wrong = sorted(p for p in here.keys() | there.keys() if here.get(p) != there.get(p))
            if wrong:
                top["problems"].append(
                    f"{base_name(kind)} has other ports in the top ({', '.join(wrong[:4])}): set params in units.yaml"
                )


def add_total(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The top with all its units: glue, plus each unit as often as it is instantiated."""
    by_name = {r["unit"]: r for r in rows if "cells" in r}
    top = next((r for r in rows if "parts" in r), None)
    if not top or any(p not in by_name for p in top["parts"]):
        return None
    total: dict[str, Any] = {"unit": f"{top['unit']} (all)"}
    for key in ("area_um2", "nand2", "flip_flops", "cells", "memory_bits", "memories"):
        if key in top:
            total[key] = round(top[key] + sum(n * by_name[p][key] for p, n in top["parts"].items()), 1)
    return total


def show(rows: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    with_area = any("area_um2" in r for r in rows)
    head = f"{'unit':24}{'area um2' if with_area else '':>12}{'NAND2':>10}{'flip-flops':>12}{'memory bits':>14}"
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
    parser.add_argument("--pdk")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write-expected", action="store_true")
    args = parser.parse_args()

    table = flow.table()
    wanted = args.unit.split(",") if args.unit else list(table["units"])
    unknown = [u for u in wanted if u not in table["units"]]
    if unknown:
        print(f"synth: unknown unit {', '.join(unknown)}; known: {', '.join(table['units'])}", file=sys.stderr)
        return 2
    build = flow.ROOT / "build/synth" / args.config
    lib = None if args.lib == "none" else flow.library(args.lib, args.pdk, flow.ROOT / "build/synth/liberty")
    label = lib.name if lib else "none"
    folder = build if label == "osu018" else build / label
    folder.mkdir(parents=True, exist_ok=True)
    memories = list(table["memories"])

    with ThreadPoolExecutor(args.jobs) as pool:
        rows = list(pool.map(lambda u: synthesize(u, args.config, lib, folder, memories), wanted))
    check_parts(rows, folder)
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

    expected_file = flow.ROOT / "docs/area" / (f"{args.config}.json" if label == "osu018" else f"{args.config}.{label}.json")
    expected: dict[str, Any] = {}
    if expected_file.exists():
        expected = {r["unit"]: r for r in json.loads(expected_file.read_text())["units"]}
    print(f"configuration {args.config}, library {label}; memories are counted in bits, not in area")
    show(rows, expected)
    if "lse_merge" in wanted:
        import merge_cost  # here, because it needs this module

        merge_cost.report(lib, label, args.jobs, with_bits=False)
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
