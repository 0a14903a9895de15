# SPDX-License-Identifier: Apache-2.0
"""What the synthesis, timing and lint scripts share: the unit table, file lists, cell libraries, the Yosys runner."""

from __future__ import annotations

import glob
import gzip
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ("small", "default", "large")
INCLUDES = ["rtl/include"]


def table() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "scripts/synth/units.yaml").read_text())


def read_flist(path: str) -> list[str]:
    """Sources of a file list, in order, relative to the root; `-f` includes are followed, `//` starts a comment."""
    sources: list[str] = []
    for raw in (ROOT / path).read_text().splitlines():
        line = raw.split("//")[0].strip()
        if line.startswith("-f"):
            sources += read_flist(line[2:].strip())
        elif line:
            sources.append(line)
    return sources


@dataclass
class Unit:
    name: str
    sources: list[str]
    parts: list[str]  # units that are black boxes inside this one
    params: dict[str, int]
    missing: list[str] = field(default_factory=list)


def unit(name: str) -> Unit:
    """A unit of the table with its sources; `missing` names the files that are not there."""
    entry = table()["units"][name]
    sources: list[str] = []
    missing: list[str] = []
    for flist in ["rtl/pkg/files.f", "rtl/common/files.f", *entry["flists"]]:
        try:
            sources += [s for s in read_flist(flist) if s not in sources]
        except FileNotFoundError as error:
            missing.append(os.path.relpath(error.filename, ROOT))
    sources += [s for s in entry.get("also", []) if s not in sources]
    missing += [s for s in sources if not (ROOT / s).is_file()]
    top = [s for s in sources if Path(s).stem == name]
    if not missing and not top:
        missing.append(f"{name}.sv in {', '.join(entry['flists'])}")
    return Unit(name, sources, entry.get("units", []), entry.get("params", {}), missing)


@dataclass
class Library:
    name: str
    files: list[Path]
    nand2_area: float
    flops: re.Pattern[str]
    dont_use: list[str]
    sdc: str | None
    time_per_ns: float


def _liberty_text(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


def _cells(text: str) -> dict[str, str]:
    """Cell name -> its text."""
    starts = list(re.finditer(r'^\s*cell\s*\(\s*"?([^")\s]+)"?\s*\)', text, re.M))
    ends = [m.start() for m in starts[1:]] + [len(text)]
    return {m.group(1): text[m.end() : end] for m, end in zip(starts, ends)}


def _nand2_of(cells: dict[str, str]) -> str:
    """The smallest two-input NAND of a library that the table does not know."""
    found: list[tuple[float, str]] = []
    for name, body in cells.items():
        area = re.search(r"\barea\s*:\s*([\d.]+)", body)
        functions = re.findall(r'\bfunction\s*:\s*"([^"]*)"', body)
        if not area or len(functions) != 1:
            continue
        bare = re.sub(r"\s+", "", functions[0].replace("&", "*").replace(" * ", "*").replace(" ", "*"))
        if re.fullmatch(r"\(?!\(\(?\w+\)?\*+\(?\w+\)?\)\)?|\(?\(?!\w+\)?\*?\+\*?\(?!\w+\)?\)?", bare):
            found.append((float(area.group(1)), name))
    if not found:
        raise SystemExit("synth: the library has no two-input NAND to count gate equivalents by")
    return min(found)[1]


def library(name: str, pdk: str | None, scratch: Path) -> Library:
    """A library of the table, or any Liberty files (comma between them). Compressed ones are unpacked into scratch."""
    known = table()["libraries"].get(name)
    patterns = known["liberty"] if known else name.split(",")
    files: list[Path] = []
    for pattern in patterns:
        if "$PDK" in pattern and not pdk:
            continue
        full = pattern.replace("$PDK", pdk or "")
        hits = sorted(glob.glob(full)) or sorted(glob.glob(full + ".gz"))
        files += [Path(h) for h in hits if Path(h) not in files]
    if not files:
        hint = "give PDK=DIR, the folder with its Liberty files" if known and not pdk else "no such file"
        raise SystemExit(f"synth: library '{name}': {hint}; LIB=none counts generic gates")
    scratch.mkdir(parents=True, exist_ok=True)
    texts = []
    for i, path in enumerate(files):
        text = _liberty_text(path)
        texts.append(text)
        if path.suffix == ".gz":
            plain = scratch / path.stem
            if not plain.exists():
                plain.write_text(text)
            files[i] = plain
    cells = {k: v for text in texts for k, v in _cells(text).items()}
    nand2 = known["nand2"] if known else _nand2_of(cells)
    area = re.search(r"\barea\s*:\s*([\d.]+)", cells.get(nand2, ""))
    if not area:
        raise SystemExit(f"synth: library '{name}' has no cell {nand2}")
    unit_match = re.search(r'time_unit\s*:\s*"(\d+)\s*(ns|ps)"', texts[0])
    per_ns = 1.0
    if unit_match:
        per_ns = (1.0 if unit_match.group(2) == "ns" else 1000.0) / float(unit_match.group(1))
    flops = known["flops"] if known else "|".join(
        f"^{re.escape(n)}$" for n, body in cells.items() if re.search(r"^\s*(ff|latch)\s*\(", body, re.M)
    )
    return Library(
        name if known else "custom",
        [f.resolve() for f in files],
        float(area.group(1)),
        re.compile(flops),
        known.get("dont_use", []) if known else [],
        known.get("sdc") if known else None,
        float(known["time_per_ns"]) if known else per_ns,
    )


_RUNNER = """
import sys
import pyosys.libyosys as ys
design = ys.Design()
for raw in open(sys.argv[1]):
    line = raw.split("#")[0].strip()
    if line:
        ys.run_pass(line, design)
"""


def run_yosys(script: Path, log: Path) -> int:
    """Runs a script in a process of its own: with $YOSYS when set, else with the Python environment's Yosys."""
    own = os.environ.get("YOSYS")
    command = [*shlex.split(own), "-s", str(script)] if own else [sys.executable, "-c", _RUNNER, str(script)]
    with log.open("w") as out:
        return subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, check=False).returncode


def read_slang(unit: Unit, config: str, *options: str) -> str:
    """The Yosys command that reads a unit; paths are relative to the root of the repository."""
    words = ["read_slang", *options, "--top", unit.name, f"-DKVSINK_CONFIG_{config.upper()}"]
    words += [f"-G{name}={value}" for name, value in unit.params.items()]
    return " ".join([*words, *(f"-I{i}" for i in INCLUDES), *unit.sources])
