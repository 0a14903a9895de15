#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the promotion DMA in the read-DMA bench for any design, and puts its figures beside those of other designs.

usage: side_by_side.py --bench EXE [--peers FILE] [--json FILE] [--expect FILE]

EXE is the bench built with tests/move/rd_adapter.hpp. FILE of --peers is a page with a table "256-bit data" of rows
| design | latency | utilisation at 64, 128, 256, 1024 B |, measured with the same bench. Exit status: 0 all data right
and as expected, 1 not, 2 bad usage.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

LATENCIES = (100, 150, 250)
BYTES = (64, 128, 256, 1024)
TRANSFERS = 4000
TOLERANCE = 0.005
DIFFERS = (
    "The bench: AR always ready, beats in order of the reads, one a cycle; R beats a cycle over the middle half. Of the "
    "other designs iDMA moves data: it also has a write side and shifters for any alignment, which a read DMA for aligned "
    "rows does not need. This DMA takes tokens, not transfers: the adapter gathers 128 transfers into a descriptor, so "
    "its time from request to first address is not comparable (it is 4 cycles from the descriptor)."
)


def peers(path: Path) -> list[dict[str, Any]]:
    """The rows of the table of 256-bit data."""
    rows: list[dict[str, Any]] = []
    inside = False
    design = ""
    for raw in path.read_text(encoding="utf-8").splitlines():
        if raw.startswith("**"):
            inside = raw.startswith("**256-bit data**")
        cells = [c.strip() for c in raw.strip("| ").split("|")] if raw.startswith("|") else []
        if not inside or len(cells) < 5 or not re.fullmatch(r"[\d, ]+", cells[-5]):
            continue
        if len(cells) > 5 and cells[0]:
            design = cells[0]
        for latency in re.split(r", *", cells[-5]):
            rows.append({"design": design, "latency": int(latency), "utilisation": [float(c) for c in cells[-4:]]})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--expect", type=Path)
    args = parser.parse_args()

    good = True
    ours: list[dict[str, Any]] = []
    try:
        for latency in LATENCIES:
            row: dict[str, Any] = {"design": "promotion DMA, 128 reads", "latency": latency, "utilisation": [], "in_flight": []}
            for length in BYTES:
                run = subprocess.run(
                    [str(args.bench), str(latency), str(length), str(TRANSFERS)],
                    capture_output=True, text=True, timeout=300, check=False,
                )  # fmt: skip
                result = json.loads(run.stdout)
                if not result["ok"]:
                    print(f"wrong: latency {latency}, {length} bytes: {run.stdout.strip()}")
                    good = False
                row["utilisation"].append(result["util"])
                row["in_flight"].append(result["max_out"])
            ours.append(row)
        others = peers(args.peers) if args.peers else []
        expected = json.loads(args.expect.read_text(encoding="utf-8"))["ours"] if args.expect else None
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        print(f"side_by_side: {error}", file=sys.stderr)
        return 2

    print(f"{'beats a cycle on R, 256-bit bus':<52} {'latency':>8}" + "".join(f"{b:>8} B" for b in BYTES))
    for row in others + ours:
        print(f"{row['design']:<52} {row['latency']:>8}" + "".join(f"{u:>10.3f}" for u in row["utilisation"]))
    print(DIFFERS)
    if args.json:
        args.json.write_text(
            json.dumps({"bytes": BYTES, "transfers": TRANSFERS, "note": DIFFERS, "ours": ours, "others": others}, indent=1)
            + "\n",
            encoding="utf-8",
        )
    if expected is not None:
        for row, was in zip(ours, expected, strict=True):
            for length, u, v in zip(BYTES, row["utilisation"], was["utilisation"], strict=True):
                if abs(u - v) > TOLERANCE:
                    print(f"differs from {args.expect}: latency {row['latency']}, {length} bytes: {u}, expected {v}")
                    good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
