#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays traces twice each, with sinks in SRAM and with every row from HBM; prints both beside each other and writes a
report. A trace without a sink is replayed under the policy fill as well: the strongest tokens in SRAM, sinks or not.

usage: run.py --kvsink PROGRAM --trace FILE [--trace FILE ...] --config NAME --out DIR [--latency CYCLES] [--seed N]

DIR gets index.html, info.html (where the attention goes), run.json (all numbers) and the outputs of each replay; for
further traces, a folder with the same. Exit status: the worst of the replays'.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import report  # noqa: E402  (the path is set above)

POLICIES = [("sinks", "sinks in SRAM"), ("hbm", "all from HBM")]
FILL = ("fill", "strongest in SRAM")
BAD_INPUT = 2


class Failed(Exception):
    """A command that gave no result; it has said why. Carries the exit status."""


def run(command: list[str], allowed: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    """Runs a command with its standard output kept and its messages and progress let through."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        print(f"run: {command[0]}: {error.strerror} (make build)", file=sys.stderr)
        raise Failed(BAD_INPUT) from error
    if done.returncode < 0:
        print(f"run: {' '.join(command)} was ended by signal {-done.returncode}", file=sys.stderr)
        raise Failed(BAD_INPUT)
    if done.returncode not in allowed:
        raise Failed(done.returncode)
    return done


def replay(args: argparse.Namespace, trace: Path, policy: str, label: str, folder: Path) -> dict[str, Any]:
    golden = folder / "golden.safetensors"
    out = folder / f"{policy}.safetensors"
    result = folder / f"{policy}.json"
    for stale in (out, result):
        stale.unlink(missing_ok=True)
    print(f"replaying {trace} ({args.config}): {label} ...", file=sys.stderr, flush=True)
    command = [args.kvsink, "replay", str(trace), "--config", args.config, "--policy", policy]
    command += ["--latency", str(args.latency), "--seed", str(args.seed), "--out", str(out), "--json", str(result)]
    done = run(command, (0, 1))
    if done.returncode != 0:
        print(done.stdout, end="")
    if not result.exists():
        raise Failed(done.returncode or BAD_INPUT)
    entry: dict[str, Any] = {"label": label, "status": done.returncode, "replay": json.loads(result.read_text())}
    if out.exists():
        # How far from exact arithmetic, for the plot. What counts as a difference is for the replay to say.
        diff = run([args.kvsink, "diff", str(golden), str(out), "--lines", "0", "--json", "-"], (0, 1))
        entry["diff"] = json.loads(diff.stdout)
    return entry


def print_summary(data: dict[str, Any]) -> None:
    info = data["info"]
    runs = data["runs"]
    print()
    if info["synthetic"]:
        print(f"SYNTHETIC trace, made up by a program, no model: {info['synthetic_what']}")
    print(f"{info['model']}: {info['tokens']} tokens ({info['prefill_tokens']} prefill, {info['decode_steps']} decode "
          f"steps), {info['layers']} layers, {info['q_heads']} query and {info['kv_heads']} key/value heads")
    print(f"configuration {data['setup']['config']}, memory latency {data['setup']['latency']} cycles")
    cells = [[what, *(value(r["replay"]) for r in runs)] for _, rows in report.SUMMARY for what, value in rows]
    first = max(len(row[0]) for row in cells) + 2
    width = max(len(text) for row in [*cells, ["", *(r["label"] for r in runs)]] for text in row[1:]) + 3
    print()
    print(" " * (first + 2) + "".join(r["label"].rjust(width) for r in runs))
    for group, rows in report.SUMMARY:
        print(group)
        for what, value in rows:
            print(f"  {what:<{first}}" + "".join(value(r["replay"]).rjust(width) for r in runs))
    most = max((r["replay"] for r in runs), key=lambda r: r["mass"]["sram_fraction"])
    moved = report.moved(most)
    share = most["bytes"]["sram"] / moved if moved else 0.0
    print()
    print(f"Mass is not bytes: SRAM served {report.percent(most['mass']['sram_fraction'])} of the attention mass with "
          f"{report.percent(share)} of the bytes.")
    good, text = report.verdict(data)
    print(text + ("." if good else ": FAILED"))


def run_trace(args: argparse.Namespace, trace: Path, folder: Path) -> int:
    """Replays one trace under its policies and writes its pages; the worst status."""
    folder.mkdir(parents=True, exist_ok=True)
    info = json.loads(run([args.kvsink, "info", str(trace), "--json", "-"]).stdout)
    run([args.kvsink, "golden", str(trace), "--out", str(folder / "golden.safetensors")])
    policies = POLICIES if info["sinks"] else [POLICIES[0], FILL, POLICIES[1]]
    runs = [replay(args, trace, policy, label, folder) for policy, label in policies]
    setup = {"config": args.config, "latency": args.latency, "seed": args.seed}
    pages = [name for name in report.PAGES if (folder / name).is_file()]
    data = {"info": info, "setup": setup, "runs": runs, "pages": pages}
    (folder / "run.json").write_text(json.dumps(data, indent=1) + "\n")
    (folder / "index.html").write_text(report.render(data), encoding="utf-8")
    (folder / "info.html").write_text(report.render_info(info), encoding="utf-8")
    print_summary(data)
    print(f"Report: {folder / 'index.html'}, and where the attention goes: {folder / 'info.html'}")
    return max(r["status"] for r in runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kvsink", default="build/bin/kvsink")
    parser.add_argument("--trace", type=Path, action="append")
    parser.add_argument("--config", default="small")
    parser.add_argument("--out", type=Path, default=Path("build/report"))
    parser.add_argument("--latency", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    status = 0
    try:
        for i, trace in enumerate(args.trace or [Path("tests/data/tiny1m_p0.safetensors")]):
            status = max(status, run_trace(args, trace, args.out / trace.stem if i else args.out))
    except Failed as failed:
        return int(failed.args[0])
    except OSError as error:
        print(f"run: {error.filename}: {error.strerror}", file=sys.stderr)
        return BAD_INPUT
    return status


if __name__ == "__main__":
    sys.exit(main())
