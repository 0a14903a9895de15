#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Area of the merge unit part by part, for 4, 8 and 16 lanes; with --bits, what each bit of accuracy costs.

usage: merge_cost.py [--lib NAME|none|FILE.lib[,FILE.lib]] [--pdk DIR] [--jobs N] [--bits]

A lane and each shared part are synthesized on their own, as `make synth` does with units; what is left of the unit
around them is measured for each number of lanes, because its registers grow with it. Memories are counted in bits.
Written to build/synth/merge: cost.json (cost.LIB.json for other libraries than osu018).
--bits synthesizes the lane with each width some bits narrower, and each table with half and twice its pieces; the error
beside it is the sum of the budget that scripts/gen_merge_tables.py proves, with that one change.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import flow
import synth

sys.path.insert(0, str(flow.ROOT / "scripts"))
import gen_merge_tables as tables  # noqa: E402  (the path is set above)

LANES = {"small": 4, "default": 8, "large": 16}
SHARED = {"merge_weight": 1, "merge_sum": 2, "merge_finish": 1, "merge_issue": 1}
WORDS = {
    "merge_lane": "a lane",
    "merge_weight": "weight: lse in fixed point, 2^f",
    "merge_sum": "sums (two)",
    "merge_finish": "finish: 1/sum, lse, share",
    "merge_issue": "issue: framing",
}
# An fp32 fused multiply-add without registers (CVFPU), measured in the same flow, area point, in gate equivalents.
FMA = {"osu018": 9072, "sky130": 9751, "asap7": 8517}
FOLDER = flow.ROOT / "build/synth/merge"


def part(name: str, sources: list[str], boxes: list[str] | None = None) -> flow.Unit:
    return flow.Unit(name, sources, boxes or [], {})


def breakdown(lib: flow.Library | None, folder: Path, jobs: int, memories: list[str]) -> dict[str, Any]:
    sources = flow.unit("lse_merge").sources
    fronts = FOLDER / "front"
    boxes = ["merge_lane", *SHARED]
    work = [(part(n, sources), "default", folder / n) for n in boxes]
    work += [(part("lse_merge", sources, boxes), config, folder / f"around_{lanes}") for config, lanes in LANES.items()]
    for _, _, out in work:
        out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        rows = list(pool.map(lambda w: synth.synthesize_unit(w[0], w[1], lib, w[2], memories, front=fronts / w[2].name), work))
    for row in rows:
        if row["problems"]:
            raise SystemExit(f"merge_cost: {row['unit']}: {'; '.join(row['problems'])}")
    return {
        "parts": {row["unit"]: row for row in rows[: len(boxes)]},
        "around": {lanes: row for lanes, row in zip(LANES.values(), rows[len(boxes) :])},
    }


def flops(row: dict[str, Any]) -> int:
    return int(row.get("nand2_flip_flops", 0))


def show(cost: dict[str, Any], label: str) -> None:
    lane = cost["parts"]["merge_lane"]
    print(f"\nmerge unit, library {label}, in gate equivalents; memories apart, in bits")
    print(f"{'part':36}{'logic':>10}{'flip-flops':>12}{'together':>10}")

    def line(name: str, row: dict[str, Any], times: int = 1) -> None:
        both = times * row["nand2"]
        print(f"{name:36}{both - times * flops(row):>10,}{times * flops(row):>12,}{both:>10,}")

    line(WORDS["merge_lane"], lane)
    for name, times in SHARED.items():
        line(WORDS[name], cost["parts"][name], times)
    shared = sum(n * cost["parts"][p]["nand2"] for p, n in SHARED.items())
    shared_flops = sum(n * flops(cost["parts"][p]) for p, n in SHARED.items())
    cost["shared"] = {"nand2": shared, "nand2_flip_flops": shared_flops}
    line("shared, all", cost["shared"])
    if label in FMA:
        fma = FMA[label]
        print(f"{'fp32 fused multiply-add':36}{fma:>10,}{'':>12}{fma:>10,}   (another design, same flow, no registers)")
        print(f"  a lane's logic is {(lane['nand2'] - flops(lane)) / fma:.2f} of it (aim: 2), the shared logic "
              f"{(shared - shared_flops) / fma:.2f} (aim: 8)")  # fmt: skip
    print(f"\n{'lanes':>6}{'lane logic':>12}{'shared logic':>14}{'around them':>13}{'flip-flops':>12}{'together':>10}{'memory bits':>13}")
    cost["lanes"] = {}
    for lanes, around in cost["around"].items():
        row = {
            "lane_logic": lanes * (lane["nand2"] - flops(lane)),
            "shared_logic": shared - shared_flops,
            "around_logic": around["nand2"] - flops(around),
            "flip_flops": lanes * flops(lane) + shared_flops + flops(around),
            "nand2": lanes * lane["nand2"] + shared + around["nand2"],
            "memory_bits": around["memory_bits"] + sum(n * cost["parts"][p]["memory_bits"] for p, n in SHARED.items()),
        }
        cost["lanes"][lanes] = row
        print(f"{lanes:>6}{row['lane_logic']:>12,}{row['shared_logic']:>14,}{row['around_logic']:>13,}"
              f"{row['flip_flops']:>12,}{row['nand2']:>10,}{row['memory_bits']:>13,}")  # fmt: skip


# ---- bits
WIDTHS = {  # of the lane: parameter of merge_pkg, value, bits taken away, what it is, the rows of the budget it scales
    "WeightW": (29, 4, "weight", ["2^f"]),
    "AccW": (40, 8, "accumulator of O", ["accumulator of O"]),
    "FinalW": (30, 4, "accumulator into the last product", ["accumulator into the last product"]),
    "RecipW": (29, 4, "1/m", ["1/m"]),
}
TABLES = {"exp": ("2^f", 7, 23), "rec": ("1/m", 8, 24), "ln": ("ln m (bound: with log2 m)", 7, 25)}


def budget_sum(units: dict[str, Any], column: int = 2) -> Decimal:
    rows, _ = tables.budget(units, judge=False)
    return sum((r[column] for r in rows), Decimal(0))


def width_budget(units: dict[str, Any], name: str, value: int) -> Decimal:
    """The sum for O with a width at another value. Rows whose error is one of that last place follow it."""
    constant = {"WeightW": "WEIGHT_FRAC", "AccW": "ACC_BITS", "FinalW": "FINAL_BITS", "RecipW": "RECIP_FRAC"}[name]
    before = getattr(tables, constant)
    try:
        setattr(tables, constant, before + value - WIDTHS[name][0])
        return budget_sum(units)
    finally:
        setattr(tables, constant, before)


def resized(like: Any, index: int, u: int) -> Any:
    """The same function in 2**index pieces."""
    return tables.Unit(like.name, index, u, like.low, like.f, like.df, like.ddf_zero, like.sign1, like.sign2)


def bits(lib: flow.Library | None, folder: Path, jobs: int, memories: list[str], lane: int) -> dict[str, Any]:
    sources = flow.unit("lse_merge").sources
    fronts = FOLDER / "front"
    units = tables.make_units()
    work: list[tuple[str, flow.Unit, Path]] = []
    for name, (value, less, _, _) in WIDTHS.items():
        out = folder / f"narrow_{name}"
        out.mkdir(parents=True, exist_ok=True)
        text = (flow.ROOT / "rtl/merge/merge_pkg.sv").read_text()
        text, found = re.subn(rf"(\b{name} = ){value}\b", rf"\g<1>{value - less}", text)
        assert found == 1, name
        (out / "merge_pkg.sv").write_text(text)
        changed = [str((out / "merge_pkg.sv").relative_to(flow.ROOT)) if s.endswith("/merge_pkg.sv") else s for s in sources]
        work.append((name, part("merge_lane", changed), out))
    table_units: dict[str, dict[str, Any]] = {}
    for name, (_, index, u) in TABLES.items():
        for step in (-1, 0, 1):
            key = f"{name}_{1 << (index + step)}"
            like = units[name]
            made = resized(like, index + step, u - step)
            table_units[key] = {**units, name: made}
            if name == "ln":  # both logarithms
                table_units[key]["log2"] = resized(units["log2"], index + step, u - step)
            out = folder / f"rom_{key}"
            out.mkdir(parents=True, exist_ok=True)
            module, _ = tables.rom_module(f"rom_{key}", "A table of another size.", made.rows, index + step)
            (out / f"rom_{key}.sv").write_text(module)
            work.append((key, part(f"rom_{key}", [str((out / f"rom_{key}.sv").relative_to(flow.ROOT))]), out))
    with ThreadPoolExecutor(jobs) as pool:
        rows = dict(zip((w[0] for w in work), pool.map(lambda w: synth.synthesize_unit(w[1], "default", lib, w[2], memories, front=fronts / w[2].name), work)))
    for row in rows.values():
        if row["problems"]:
            raise SystemExit(f"merge_cost: {row['unit']}: {'; '.join(row['problems'])}")
    whole = budget_sum(units)
    result: dict[str, Any] = {"budget_o": float(whole), "widths": {}, "tables": {}}
    print(f"\nwhat a bit costs (proven bound of O: {whole:.3f} ulp of M)")
    print(f"{'width':36}{'bits':>6}{'gates a bit and lane':>22}{'bound with a bit less':>23}{'a bit more':>12}")
    for name, (value, less, what, _) in WIDTHS.items():
        a_bit = (lane - rows[name]["nand2"]) / less
        low, high = width_budget(units, name, value - 1), width_budget(units, name, value + 1)
        result["widths"][what] = {"bits": value, "gates_a_bit": a_bit, "less": float(low), "more": float(high)}
        print(f"{what:36}{value:>6}{a_bit:>22,.0f}{low:>23.3f}{high:>12.3f}")
    print(f"\n{'table':36}{'pieces':>7}{'gates':>8}{'ROM bits':>10}{'bound of O':>12}{'bound of lse':>14}")
    for key, changed_units in table_units.items():
        name, pieces = key.split("_")
        rom_bits = int(pieces) * sum(tables.widths(changed_units[name].rows))
        o, lse = budget_sum(changed_units), max(budget_sum(changed_units, c) for c in (3, 4))
        result["tables"][key] = {"nand2": rows[key]["nand2"], "rom_bits": rom_bits, "o": float(o), "lse": float(lse)}
        print(f"{TABLES[name][0]:36}{pieces:>7}{rows[key]['nand2']:>8,}{rom_bits:>10,}{o:>12.3f}{lse:>14.3f}")
    return result


def report(lib: flow.Library | None, label: str, jobs: int, with_bits: bool) -> None:
    folder = FOLDER if label == "osu018" else FOLDER / label
    memories = list(flow.table()["memories"])
    cost = breakdown(lib, folder, jobs, memories)
    show(cost, label)
    if with_bits:
        cost["bits"] = bits(lib, folder, jobs, memories, cost["parts"]["merge_lane"]["nand2"])
    out = folder / "cost.json"
    out.write_text(json.dumps(cost, indent=1) + "\n")
    print(f"written: {out.relative_to(flow.ROOT)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lib", default="osu018")
    parser.add_argument("--pdk")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--bits", action="store_true")
    args = parser.parse_args()
    lib = None if args.lib == "none" else flow.library(args.lib, args.pdk, flow.ROOT / "build/synth/liberty")
    report(lib, lib.name if lib else "none", args.jobs, args.bits)
    return 0


if __name__ == "__main__":
    sys.exit(main())
