#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proofs of tests/formal/proofs.yaml: Yosys makes an and-inverter graph, yosys-abc decides.

Each proof: first its witnesses (each must be refuted within the depth), then the properties: for all time (pdr), or, when
that is not found in time, up to the depth of a bounded search (bmc3), and the table says which of the two.

usage: formal.py [--proof NAME] [--json FILE]
exit status: 0 all hold, 1 a property or a witness fails, 2 bad usage
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pyosys
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "synth"))
import flow  # noqa: E402 reason: the path is set above

ABC = Path(pyosys.__file__).parent / "yosys-abc"
BUILD = flow.ROOT / "build/formal"


def aiger(name: str, proof: dict, witness: int) -> Path:
    """The and-inverter graph of one proof."""
    out = BUILD / f"{name}.{witness}"
    out.mkdir(parents=True, exist_ok=True)
    rel = out.relative_to(flow.ROOT)
    sources = flow.read_flist("rtl/pkg/files.f") + flow.read_flist("rtl/common/files.f") + proof["sources"]
    defines = " ".join(f"-D{d}" for d in ["FORMAL", "KVSINK_CONFIG_SMALL", *proof["defines"]])
    lines = [
        f"read_slang {defines} -Irtl/include -GWitness={witness} --top {name} {' '.join(sources)}",
        f"prep -top {name} -flatten",
        "opt_dff",
        "memory_map",
        "async2sync",
        "chformal -cover -remove",
        "chformal -lower",
        "setattr -unset keep",
        "delete -output",
        "setundef -undriven -anyseq",
        "opt -full",
        "techmap",
        "opt -fast",
        "dffunmap",
        "abc -g AND",
        "opt_clean",
        f"write_aiger -I -B -zinit -no-startoffset -map {rel}/map.aim {rel}/proof.aig",
    ]
    script = out / "proof.ys"
    script.write_text("\n".join(lines) + "\n")
    if flow.run_yosys(script, out / "yosys.log") != 0:
        tail = (out / "yosys.log").read_text().splitlines()[-5:]
        raise SystemExit(f"formal: {name}: Yosys fails ({rel}/yosys.log):\n  " + "\n  ".join(tail))
    return out / "proof.aig"


def decide(aig: Path, command: str, seconds: int) -> tuple[int, str]:
    """abc's status (1 proved, 0 refuted, -1 undecided) and its output."""
    text = subprocess.run(
        [str(ABC), "-c", f"read_aiger {aig}; fold; strash; {command}; print_status"],
        capture_output=True, text=True, timeout=seconds + 120, check=False,
    ).stdout  # fmt: skip
    found = re.findall(r"Status = *(-?\d)", text)
    return (int(found[-1]) if found else -1), text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proof", default="")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    proofs = yaml.safe_load((flow.ROOT / "tests/formal/proofs.yaml").read_text())["proofs"]
    if args.proof and args.proof not in proofs:
        print(f"formal: there is no proof '{args.proof}' ({', '.join(proofs)})", file=sys.stderr)
        return 2
    good = True
    rows = []
    for name, proof in proofs.items():
        if args.proof and name != args.proof:
            continue
        for witness in range(1, proof["witnesses"] + 1):
            start = time.monotonic()
            status, text = decide(aiger(name, proof, witness), f"bmc3 -F {proof['depth']} -T {proof['seconds']}",
                                  proof["seconds"])  # fmt: skip
            frame = re.findall(r"asserted in frame (\d+)", text)
            result = f"reached in cycle {frame[-1]}" if status == 0 and frame else "NOT REACHED"
            good &= status == 0
            rows.append([name, f"witness {witness}", result, time.monotonic() - start])
            print(f"{name:<20}{rows[-1][1]:<14}{result:<32}{rows[-1][3]:6.1f} s", flush=True)
        start = time.monotonic()
        aig = aiger(name, proof, 0)
        proved, text = decide(aig, f"pdr -T {proof['seconds']}", proof["seconds"])
        status = proved
        if proved < 0:
            status, text = decide(aig, f"bmc3 -F {proof['depth']} -T {proof['seconds']}", proof["seconds"])
        covered = re.findall(r"No output asserted in (\d+) frames", text)
        if status == 0:
            result = "REFUTED in cycle " + (re.findall(r"asserted in frame (\d+)", text) or ["?"])[-1]
        elif proved == 1:
            result = "proved for all time"
        else:
            result = f"holds for {covered[-1] if covered else '?'} cycles"
        good &= proved == 1 or (status != 0 and bool(covered))
        rows.append([name, "properties", result, time.monotonic() - start])
        print(f"{name:<20}{'properties':<14}{result:<32}{rows[-1][3]:6.1f} s", flush=True)
    if args.json:
        keys = ("proof", "part", "result", "seconds")
        args.json.write_text(json.dumps([dict(zip(keys, r)) for r in rows], indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
