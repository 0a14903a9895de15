#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which figures of the movement bench are reached with which buffers: bulk return buffer and reads in flight.

usage: movement_buffers.py --build DIR --json FILE POINT ...

A POINT is BULK_BEATS:ROW_READS; each is built (KVSINK_BUFFER_POINTS of the build) and runs the table. Bits of buffer are
those of the memories that the two sizes set, by the widths of the default configuration: in bypass_return a beat and its
error, and a record a row, BULK_BEATS each; in axi_read_port the length of a burst, BULK_BEATS for bulk and ROW_READS for
each of two promotion channels. Exit status: 0, 1 a point with wrong rows, 2 bad usage.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any


BEAT_BITS = 256 + 1  # bypass_return: data, error
ROW_BITS = 42  # row_meta_t
LENGTH_BITS = 8  # axi_read_port, a read
PROMO_CHANNELS = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--flop", type=float, default=5.0, help="NAND2 equivalents of a plain flop (ASAP7: 5.0)")
    parser.add_argument("points", nargs="+")
    args = parser.parse_args()
    if bad := [p for p in args.points if not re.fullmatch(r"\d+:\d+", p)]:
        print(f"movement_buffers: {bad[0]}: not BULK_BEATS:ROW_READS", file=sys.stderr)
        return 2

    out: list[dict[str, Any]] = []
    good = True
    subprocess.run(["cmake", str(args.build), f"-DKVSINK_BUFFER_POINTS={';'.join(args.points)}"], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    for point in args.points:
        bulk, reads = (int(v) for v in point.split(":"))
        target = f"bench_movement_{bulk}_{reads}"
        subprocess.run(["cmake", "--build", str(args.build), "--target", target, "-j", "1"], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        result = args.build / f"{target}.json"
        run = subprocess.run([str(args.build / "bin" / target), "--table", "--json", str(result)], check=False,
                             capture_output=True, text=True, timeout=900)  # fmt: skip
        if run.returncode == 2 or not result.exists():
            print(f"movement_buffers: {target}: {run.stderr.strip()}", file=sys.stderr)
            return 2
        cases = json.loads(result.read_text(encoding="utf-8"))["cases"]
        good &= run.returncode == 0
        missed = [{"case": f"{c['name']}, {c['memory']}", "value": c["value"], "asked": c.get("at_least", c.get("at_most"))}
                  for c in cases if c["asked"] and not c["reached"]]  # fmt: skip
        bits = bulk * (BEAT_BITS + ROW_BITS + LENGTH_BITS) + PROMO_CHANNELS * reads * LENGTH_BITS
        out.append({"bulk_beats": bulk, "row_reads": reads, "bits": bits, "flop_ge": round(bits * args.flop),
                    "missed": missed})  # fmt: skip
        print(f"bulk buffer of {bulk} beats, {reads} promotion reads ({bits} bits, {bits * args.flop / 1000:.0f} kGE as flops): "
              f"{len(missed)} of {sum(c['asked'] for c in cases)} figures missed")  # fmt: skip
        for m in missed:
            print(f"    {m['case']}: {m['value']} ({m['asked']})")
    args.json.write_text(json.dumps({"flop_ge": args.flop, "points": out}, indent=1) + "\n", encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
