#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of a build through ctest, all or those that match a pattern, and ends with `N passed, N failed`.

usage: verify.py --build DIR [--jobs N] [--seed N] [--test GLOB]

GLOB is matched against the names of the cases and against their tags, without brackets ('tag*' takes the case
"tag array: ..." and all cases tagged [tag] or [tag_array]). JUnit goes to DIR/junit.xml. Exit status 1 when a test
failed, or when none ran.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

PROGRESS = re.compile(r"^\s*\d+/\d+ Test\s+#\d+:")


def tags_of(program: str) -> dict[str, list[str]]:
    """Case name -> tags, as the test program itself lists them; empty for programs that are not ours."""
    out = subprocess.run([program, "--list-cases"], capture_output=True, text=True, check=False)
    if out.returncode != 0:
        return {}
    table: dict[str, list[str]] = {}
    for line in out.stdout.splitlines():
        name, _, tags = line.partition("\t")
        table[name] = re.findall(r"\[([^\]]*)\]", tags)
    return table


def pick(build: Path, pattern: str) -> list[int]:
    """ctest's numbers of the tests that match."""
    shown = subprocess.run(
        ["ctest", "--test-dir", str(build), "--show-only=json-v1"], capture_output=True, text=True, check=True
    )
    tests = json.loads(shown.stdout)["tests"]
    programs = {t["command"][0] for t in tests if Path(t.get("command", [""])[0]).parent == build / "tests"}
    tags = {program: tags_of(program) for program in programs}
    match = re.compile(fnmatch.translate(pattern), re.I).match
    numbers = []
    for number, test in enumerate(tests, 1):
        words = [test["name"], *tags.get(test.get("command", [""])[0], {}).get(test["name"], [])]
        if any(match(w) for w in words):
            numbers.append(number)
    return numbers


def run_ctest(build: Path, jobs: int, seed: int, numbers: list[int] | None) -> None:
    junit = build / "junit.xml"
    command = ["ctest", "--test-dir", str(build), "-j", str(jobs), "--output-on-failure", "--output-junit", str(junit)]
    if numbers is not None:
        command += ["-I", ",".join(["0", "0", "0", *map(str, numbers)])]
    env = {**os.environ, "KVSINK_SEED": str(seed), "CTEST_PROGRESS_OUTPUT": "0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.match(r"^\d+% tests passed", line):
                break  # ctest's own summary: ours follows
            if line.strip() and not re.match(r"^(Internal ctest|Test project|\s+Start\s+\d+:)", line):
                print(line, end="", flush=True)
        for _ in process.stdout:
            pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--test", default="")
    args = parser.parse_args()
    build = args.build.resolve()
    junit = build / "junit.xml"
    junit.unlink(missing_ok=True)

    numbers = pick(build, args.test) if args.test else None
    if numbers == []:
        print(f"no test has a name or a tag that matches '{args.test}'")
        print("0 passed, 0 failed")
        return 1
    print(f"seed {args.seed}")
    run_ctest(build, args.jobs, args.seed, numbers)

    passed = failed = 0
    for case in ET.parse(junit).getroot().iter("testcase") if junit.exists() else []:
        # Catch2 3.x has its own way to skip (ctest sees its exit status), with 2.13 our macro leaves a line.
        output = case.findtext("system-out") or ""
        skip = re.search(r"SKIPPED:\s*explicitly with message:\s*(.*)|^\s*skipped: (.*)", output, re.M)
        if case.get("status") in ("run", "notrun") and skip:
            print(f"skipped: {case.get('name')}: {(skip.group(1) or skip.group(2)).strip()}")
        elif case.get("status") == "run":
            passed += 1
        else:
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
