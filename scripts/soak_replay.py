#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays every trace under every policy in every configuration, without and with random stalls, at several latencies.

usage: soak_replay.py [--kvsink PROGRAM] [--jobs N] [--seed N] [--spread] TRACE...

--spread takes one timing for each trace, policy and configuration, in turn, so that each timing still meets every value
of the other three: a quarter of the replays.

One line a replay; ends with `N passed, N failed`. A replay passes when `kvsink replay` says that all is equal.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CONFIGS = ("small", "default", "large")
POLICIES = ("sinks", "fill", "dynamic", "hbm")
# latency in cycles, stalls in percent
TIMINGS = ((5, 0), (150, 0), (250, 0), (40, 30))
BUDGET = {"small": "32", "default": "128", "large": "128"}


def replay(command: list[str]) -> tuple[bool, str]:
    done = subprocess.run([*command, "--json", "-"], capture_output=True, text=True, check=False)
    name = " ".join(command[2:])
    if done.returncode != 0:
        return False, f"FAILED {name}: {done.stderr.strip().splitlines()[:1]}"
    check = json.loads(done.stdout)["check"]
    return True, f"ok {name}: {check['rows_checked']} rows, {check['outputs_checked']} outputs, " \
                 f"{check['events_checked']} events"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kvsink", default="build/bin/kvsink")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spread", action="store_true")
    parser.add_argument("traces", nargs="+", type=Path)
    args = parser.parse_args()
    commands = []
    for (c, config), (t, trace), (p, policy), (i, (latency, stall)) in itertools.product(
            enumerate(CONFIGS), enumerate(args.traces), enumerate(POLICIES), enumerate(TIMINGS)):
        if args.spread and i != (c + t + p) % len(TIMINGS):
            continue
        command = [args.kvsink, "replay", str(trace), "--config", config, "--policy", policy, "--latency", str(latency),
                   "--stall", str(stall), "--seed", str(args.seed)]
        if policy == "fill":
            command += ["--budget", BUDGET[config]]
        commands.append(command)
    passed = 0
    with ThreadPoolExecutor(args.jobs) as pool:
        for good, line in pool.map(replay, commands):
            print(line, flush=True)
            passed += good
    print(f"{passed} passed, {len(commands) - passed} failed")
    return 0 if passed == len(commands) else 1


if __name__ == "__main__":
    sys.exit(main())
