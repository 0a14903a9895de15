#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs Verilator and deals the C++ it writes into a fixed number of files, so that a build tool that must know its
outputs beforehand (Ninja through CMake) can compile them in parallel.

usage: verilate.py --out DIR --prefix VFoo --fast N --slow N [--flist FILE ...] [--source FILE ...] -- VERILATOR_COMMAND ...

Writes DIR/fast_<i>.cpp, DIR/slow_<i>.cpp (each includes its share of the generated files) and DIR/deps.d, a dependency
file whose target is DIR/fast_0.cpp. File lists hold one path a line, relative to the working directory, `//` comments,
and `-f FILE` includes.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path


def read_flist(path: Path, seen: list[Path]) -> list[str]:
    """Source files of a file list, in order; the lists that were read are added to `seen`."""
    seen.append(path)
    sources: list[str] = []
    for raw in path.read_text().splitlines():
        line = raw.split("//")[0].strip()
        if not line:
            continue
        if line.startswith("-f"):
            sources += read_flist(Path(line[2:].strip()), seen)
        else:
            sources.append(line)
    return sources


def classes(makefile: Path, kind: str) -> list[str]:
    """One variable of Verilator's V*_classes.mk, as a list of base names."""
    match = re.search(rf"^{kind} \+= \\\n((?:[ \t]+\S.*\n)*)", makefile.read_text(), re.M)
    return [w for w in match.group(1).replace("\\", " ").split()] if match else []


def write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def deal(out: Path, names: list[str], kind: str, count: int) -> None:
    """Writes `count` files that include all of `names`, the largest first onto the least loaded."""
    shares: list[list[str]] = [[] for _ in range(count)]
    load = [0] * count
    for name in sorted(names, key=lambda n: (-(out / f"{n}.cpp").stat().st_size, n)):
        i = load.index(min(load))
        shares[i].append(name)
        load[i] += (out / f"{name}.cpp").stat().st_size
    for i, share in enumerate(shares):
        lines = [f'#include "{n}.cpp"' for n in sorted(share)]
        # The content must change when an included file does, or the dependency scan is all that notices it.
        write_if_changed(out / f"{kind}_{i}.cpp", "\n".join([f"// {len(share)} files of the model", *lines, ""]))
        (out / f"{kind}_{i}.cpp").touch()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--fast", type=int, default=2)
    parser.add_argument("--slow", type=int, default=1)
    parser.add_argument("--flist", type=Path, action="append", default=[])
    parser.add_argument("--source", action="append", default=[], help="after the files of the lists")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()

    lists: list[Path] = []
    sources: list[str] = []
    for flist in args.flist:
        sources += [s for s in read_flist(flist, lists) if s not in sources]
    sources += [s for s in args.source if s not in sources]
    missing = [s for s in sources if not Path(s).is_file()]
    if missing:
        print(f"verilate: {args.prefix}: no such source: {', '.join(missing)}", file=sys.stderr)
        return 1

    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob(f"{args.prefix}*"):
        old.unlink()
    status = subprocess.run([*args.command, *sources], check=False).returncode
    if status != 0:
        return status

    makefile = out / f"{args.prefix}_classes.mk"
    fast = classes(makefile, "VM_CLASSES_FAST") + classes(makefile, "VM_SUPPORT_FAST")
    slow = classes(makefile, "VM_CLASSES_SLOW") + classes(makefile, "VM_SUPPORT_SLOW")
    if not fast:
        print(f"verilate: {makefile} lists no C++ files", file=sys.stderr)
        return 1
    deal(out, fast, "fast", args.fast)
    deal(out, slow, "slow", args.slow)

    ver_d = (out / f"{args.prefix}__ver.d").read_text().split(" : ", 1)[1]
    needs = [w for w in ver_d.replace("\\\n", " ").split() if Path(w).is_file()]
    needs += [str(p) for p in lists]
    absolute = sorted({str(Path(n).resolve()) for n in needs})
    (out / "deps.d").write_text(f"{out}/fast_0.cpp: " + " \\\n  ".join(absolute) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
