#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the units take of a generic AMD FPGA, as Yosys maps them: an estimate of no vendor tool.

usage: fpga.py [--unit NAME] [--config small|default|large] [--family xc7|xcup]

Memories are mapped with the unit (block RAM or LUT RAM); the top is not mapped, its units add up. Written:
build/synth/CONFIG/fpga/FAMILY.json.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

import flow

KINDS = {
    "luts": re.compile(r"^LUT\d|^CFGLUT"), "lut_rams": re.compile(r"^RAM(\d+[MX]|D|S)|^SRL"), "flip_flops": re.compile(r"^FD"),
    "carries": re.compile(r"^CARRY"), "dsps": re.compile(r"^DSP"),
}  # fmt: skip


def estimate(name: str, config: str, family: str) -> dict[str, Any]:
    unit = flow.unit(name)
    out = flow.ROOT / "build/synth" / config / "fpga" / name
    rel = out.relative_to(flow.ROOT)
    text = "\n".join(
        [
            "# SPDX-License-Identifier: Apache-2.0",
            flow.read_slang(unit, config, "-DSYNTHESIS"),
            f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf -top {name}",
            f"tee -q -o {rel}/{family}.json stat -json",
        ]
    )
    key = flow._digest(text, *((flow.ROOT / s).read_bytes() for s in unit.sources))
    try:
        flow._step(out, family, text + "\n", key, [f"{family}.json"])
    except flow.YosysFailed as error:
        return {"unit": name, "problem": str(error)}
    cells: dict[str, int] = flow.stat(out / f"{family}.json")["modules"]["\\" + name]["num_cells_by_type"]
    row: dict[str, Any] = {"unit": name}
    for kind, pattern in KINDS.items():
        row[kind] = sum(n for c, n in cells.items() if pattern.match(c))
    row["ram36"] = sum(n * (0.5 if "18" in c else 1) for c, n in cells.items() if c.startswith(("RAMB", "URAM")))
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", default="")
    parser.add_argument("--config", default="small", choices=flow.CONFIGS)
    parser.add_argument("--family", default="xc7", choices=("xc7", "xcup"))
    args = parser.parse_args()
    units = flow.table()["units"]
    wanted = args.unit.split(",") if args.unit else [u for u in units if not units[u].get("units")]
    if unknown := [u for u in wanted if u not in units]:
        flow.stop(f"unknown unit {', '.join(unknown)}; known: {', '.join(units)}")
    print(f"configuration {args.config}, {args.family}: an estimate by Yosys, not placed")
    print(f"{'unit':20}{'LUTs':>9}{'LUT RAMs':>10}{'flip-flops':>12}{'carries':>9}{'RAM36':>8}{'DSPs':>7}")
    rows = []
    for name in wanted:
        row = estimate(name, args.config, args.family)
        rows.append(row)
        if "problem" in row:
            print(f"{name:20}  {row['problem']}")
            continue
        print(f"{name:20}{row['luts']:>9,}{row['lut_rams']:>10,}{row['flip_flops']:>12,}{row['carries']:>9,}"
              f"{row['ram36']:>8.1f}{row['dsps']:>7,}", flush=True)  # fmt: skip
    good = [r for r in rows if "problem" not in r]
    if len(good) == len(rows) > 1:
        total = {k: sum(r[k] for r in good) for k in (*KINDS, "ram36")}
        print(f"{'together':20}{total['luts']:>9,}{total['lut_rams']:>10,}{total['flip_flops']:>12,}{total['carries']:>9,}"
              f"{total['ram36']:>8.1f}{total['dsps']:>7,}")  # fmt: skip
    target = flow.ROOT / "build/synth" / args.config / "fpga" / f"{args.family}.json"
    target.write_text(json.dumps({"config": args.config, "family": args.family, "units": rows}, indent=1) + "\n")
    print(f"written: {target.relative_to(flow.ROOT)}")
    return 0 if len(good) == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
