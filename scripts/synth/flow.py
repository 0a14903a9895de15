# SPDX-License-Identifier: Apache-2.0
"""What the synthesis, timing and lint scripts share: the unit table, file lists, cell libraries, the Yosys runner."""

from __future__ import annotations

import glob
import gzip
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ("small", "default", "large")
INCLUDES = ["rtl/include"]


def stop(message: str) -> NoReturn:
    """Bad input: one line, exit status 2."""
    print(f"synth: {message}", file=sys.stderr)
    raise SystemExit(2)


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
    defines: list[str] = field(default_factory=list)  # NAME=VALUE, for sweeps


def unit(name: str) -> Unit:
    """A unit (or reference design) of the table with its sources; `missing` names the files that are not there."""
    if reference := table()["references"].get(name):
        files = read_flist("rtl/common/files.f") + list(reference["files"])
        return Unit(name, files, [], {}, [s for s in files if not (ROOT / s).is_file()])
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
    driver: str  # the cell that drives inputs at the speed point
    load: float  # of an output there, in fF
    target_ps: float


def _liberty_text(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


def _cells(text: str) -> dict[str, str]:
    """Cell name -> its text."""
    starts = list(re.finditer(r'^\s*cell\s*\(\s*"?([^")\s]+)"?\s*\)', text, re.M))
    ends = [m.start() for m in starts[1:]] + [len(text)]
    return {m.group(1): text[m.end() : end] for m, end in zip(starts, ends)}


def evaluate(bare: str) -> int:
    """An expression of 0, 1, ~, &, |, ^ and parentheses, in C's order."""
    tokens = re.findall(r"[01~&|^()]", bare)

    def primary() -> int:
        token = tokens.pop(0)
        if token == "~":
            return 1 - primary()
        if token == "(":
            value = binary("|^&")
            tokens.pop(0)
            return value
        return int(token)

    def binary(order: str) -> int:
        if not order:
            return primary()
        value = binary(order[1:])
        while tokens and tokens[0] == order[0]:
            tokens.pop(0)
            right = binary(order[1:])
            value = {"|": value | right, "^": value ^ right, "&": value & right}[order[0]]
        return value

    return binary("|^&")


def _nand2_of(cells: dict[str, str]) -> str:
    """The smallest two-input NAND of a library that the table does not know."""
    found: list[tuple[float, str]] = []
    for name, body in cells.items():
        area = re.search(r"\barea\s*:\s*([\d.]+)", body)
        functions = re.findall(r'\bfunction\s*:\s*"([^"]*)"', body)
        if not area or len(functions) != 1:
            continue
        # Liberty's operators; a blank between operands is an AND.
        text = re.sub(r"(?<=[\w)])\s+(?=[\w(!])", "&", functions[0].strip())
        text = text.replace("*", "&").replace("+", "|").replace("!", "~").replace(" ", "")
        pins = sorted(set(re.findall(r"[A-Za-z_]\w*", text)))
        if len(pins) != 2 or not re.fullmatch(r"[\w~&|^()]+", text):
            continue
        table = []
        for row in ("00", "01", "10", "11"):
            value = dict(zip(pins, row))
            table.append(evaluate(re.sub(r"[A-Za-z_]\w*", lambda m: value[m.group(0)], text)))
        if table == [1, 1, 1, 0]:
            found.append((float(area.group(1)), name))
    if not found:
        stop("the library has no two-input NAND to count gate equivalents by")
    return min(found)[1]


def _buffer_of(cells: dict[str, str]) -> tuple[str, float]:
    """A buffer of a library that the table does not know, the second smallest, and what its input loads."""
    found: list[tuple[float, str, float]] = []
    for name, body in cells.items():
        area = re.search(r"\barea\s*:\s*([\d.]+)", body)
        functions = re.findall(r'\bfunction\s*:\s*"([^"]*)"', body)
        load = re.search(r"\bcapacitance\s*:\s*([\d.eE+-]+)", body)
        if area and load and len(functions) == 1 and re.fullmatch(r"\s*\(?\s*\w+\s*\)?\s*", functions[0]):
            if not re.search(r"^\s*(ff|latch|statetable)\s*\(", body, re.M) and functions[0].strip() not in ("0", "1"):
                found.append((float(area.group(1)), name, float(load.group(1))))
    if not found:
        stop("the library has no buffer to drive inputs with")
    found.sort()
    return found[min(1, len(found) - 1)][1:]


def _per_ff(text: str) -> float:
    """How many fF the library's unit of capacitance is."""
    match = re.search(r'capacitive_load_unit\s*\(\s*([\d.]+)\s*,\s*"?(\w+)"?\s*\)', text)
    return float(match.group(1)) * {"ff": 1.0, "pf": 1000.0}[match.group(2).lower()] if match else 1.0


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
        stop(f"library '{name}': {hint}; LIB=none counts generic gates")
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
        stop(f"library '{name}' has no cell {nand2}")
    unit_match = re.search(r'time_unit\s*:\s*"(\d+)\s*(ns|ps)"', texts[0])
    per_ns = 1.0
    if unit_match:
        per_ns = (1.0 if unit_match.group(2) == "ns" else 1000.0) / float(unit_match.group(1))
    flops = known["flops"] if known else "|".join(
        f"^{re.escape(n)}$" for n, body in cells.items() if re.search(r"^\s*(ff|latch)\s*\(", body, re.M)
    )
    if known:
        driver, load, target = (known["speed"][k] for k in ("driver", "load", "target_ps"))
    else:  # four times the input of the driver; no library is faster than 1 ps
        driver, pin = _buffer_of(cells)
        load, target = 4 * pin * _per_ff(texts[0]), 1.0
    return Library(
        name if known else "custom",
        [f.resolve() for f in files],
        float(area.group(1)),
        re.compile(flops),
        known.get("dont_use", []) if known else [],
        known.get("sdc") if known else None,
        float(known["time_per_ns"]) if known else per_ns,
        driver,
        float(load),
        float(target),
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
    words += [f"-D{define}" for define in unit.defines]
    words += [f"-G{name}={value}" for name, value in unit.params.items()]
    return " ".join([*words, *(f"-I{i}" for i in INCLUDES), *unit.sources])


# ---- from sources to generic gates, from generic gates to cells -----------------------------------------------------
# A delay-driven script for abc (abc's own script with a target optimises area first and leaves about twice the delay),
# then buffers and sizing against the target.
SPEED_SCRIPT = (
    "strash;ifraig;scorr;dc2;st;if,-g,-K,6;st;dch;map,-B,0.9;topo;"
    "buffer,-c;topo;stime,-p;upsize,-c;dnsize,-c;stime,-p"
)
POINTS = ("area", "speed")


class YosysFailed(Exception):
    """Yosys stopped; the text says where."""


def _digest(*parts: bytes | str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()


def _step(out: Path, name: str, text: str, key: str, results: list[str]) -> bool:
    """Runs a Yosys script unless its results are those of the same key. True: it ran."""
    key_file = out / f"{name}.key"
    if key_file.exists() and key_file.read_text() == key and all((out / r).exists() for r in results):
        return False
    out.mkdir(parents=True, exist_ok=True)
    for old in [key_file, *(out / r for r in results)]:
        old.unlink(missing_ok=True)
    script, log = out / f"{name}.ys", out / f"{name}.log"
    script.write_text(text)
    status = run_yosys(script, log)
    if status != 0 or not all((out / r).exists() for r in results):
        lines = log.read_text(errors="replace").splitlines()
        errors = [line for line in lines if re.search(r"\berror\b", line, re.I)] or lines[-3:] or ["no output"]
        raise YosysFailed(f"Yosys stopped (status {status}), see {log.relative_to(ROOT)}: {errors[0].strip()}")
    key_file.write_text(key)
    return True


def front(unit: Unit, config: str, out: Path, memories: list[str]) -> str:
    """SystemVerilog to generic gates in `out`; returns a key of what they were made from.

    elaborated.json  statistics of the hierarchy, memories included
    word.json        the flat netlist of words, with the source line of each cell
    generic.il       flat generic gates, flip-flops named after their registers
    Memories, and the parts of the unit, are black boxes: what is inside them is counted elsewhere.
    """
    rel = out.relative_to(ROOT)
    text = "\n".join(
        [
            "# SPDX-License-Identifier: Apache-2.0",
            f"# {unit.name} ({config}) to generic gates. Runs in the root of the repository.",
            read_slang(unit, config, "--keep-hierarchy", "-DSYNTHESIS"),
            f"hierarchy -check -top {unit.name}",
            f"tee -q -o {rel}/elaborated.json stat -json",
            *[f"blackbox {box}$*" for box in [*memories, *unit.parts]],
            "proc",
            "flatten",
            "opt_dff",  # read_slang's asynchronous loads of constants become resets
            f"write_json {rel}/word.json",
            f"synth -flatten -top {unit.name}",
            "rename -wire t:$_*DFF*",
            f"write_rtlil {rel}/generic.il",
            f"write_json {rel}/generic.json",
        ]
    )
    headers = sorted(str(h) for i in INCLUDES for h in (ROOT / i).glob("*"))
    files = [(ROOT / p).read_bytes() for p in [*unit.sources, *headers, "requirements.txt"]]
    key = _digest(text, os.environ.get("YOSYS", ""), *files)
    _step(out, "front", text + "\n", key, ["elaborated.json", "word.json", "generic.il", "generic.json"])
    return key


# Gate equivalents of Yosys' generic cells, by the usual transistor counts (four transistors: one NAND2).
GENERIC_GE = {
    "$_NOT_": 0.5, "$_NAND_": 1, "$_NOR_": 1, "$_AND_": 1.5, "$_OR_": 1.5, "$_ANDNOT_": 1.5, "$_ORNOT_": 1.5,
    "$_XOR_": 2.5, "$_XNOR_": 2.5, "$_MUX_": 2.5, "$_DFF_P_": 5, "$_DFF_PN0_": 6.5, "$_DFF_PN1_": 6.5,
}  # fmt: skip


def back(unit: Unit, lib: Library | None, point: str, source: Path, source_key: str, out: Path) -> str:
    """Generic gates of `source` to the cells of a library (None: gates with two inputs) in `out`; returns a key.

    mapped.json  statistics   netlist.v, netlist.json  the netlist
    area   plain abc without a target: smallest, nothing is buffered, its delay means nothing
    speed  a delay-driven script with driver and load, then buffers and sizing, against a target that nothing reaches
    """
    rel = out.relative_to(ROOT)
    lines = [
        "# SPDX-License-Identifier: Apache-2.0",
        f"# {unit.name} mapped for {point} ({lib.name if lib else 'generic gates'}). Runs in the root of the repository.",
        f"read_rtlil {source.relative_to(ROOT)}/generic.il",
    ]
    liberty = ""
    if lib:
        liberty = " ".join(f"-liberty {f}" for f in lib.files)
        dont = "".join(f"-dont_use {c} " for c in lib.dont_use)
        lines.append(f"dfflibmap {dont}{liberty}")
        if point == "area":
            lines.append(f"abc {dont}{liberty}")
        else:
            out.mkdir(parents=True, exist_ok=True)
            (out / "constraints").write_text(f"set_driving_cell {lib.driver}\nset_load {lib.load:g}\n")
            lines.append(f"abc {dont}{liberty} -constr {rel}/constraints -D {lib.target_ps:g} -script +{SPEED_SCRIPT}")
    else:
        lines += [
            "dfflegalize -cell $_DFF_P_ x -cell $_DFF_PN0_ x -cell $_DFF_PN1_ x",
            "abc -g AND,NAND,OR,NOR,XOR,XNOR,MUX,ANDNOT,ORNOT",
        ]
    lines += [
        "opt_clean -purge",
        "check",
        f"tee -q -o {rel}/mapped.json stat -json {liberty}",
        f"write_verilog -noattr -noexpr {rel}/netlist.v",
        f"write_json {rel}/netlist.json",
    ]
    text = "\n".join(lines) + "\n"
    key = _digest(text, source_key, *(f.read_bytes() for f in (lib.files if lib else [])))
    _step(out, "back", text, key, ["mapped.json", "netlist.v", "netlist.json"])
    return key


def stat(path: Path) -> dict[str, Any]:
    """The JSON that `stat -json` wrote, whatever is printed before it."""
    text = path.read_text()
    return json.loads(text[text.index("{") :])


def base_name(cell: str) -> str:
    """`\\kv_ram_1rw$top.u_x` -> `kv_ram_1rw`: the module that an instance of the kept hierarchy is of."""
    return cell.lstrip("\\").split("$")[0]


def folder(config: str, lib: Library | None, point: str = "area") -> Path:
    """Where the results of a configuration, library and point are."""
    label = lib.name if lib else "none"
    base = ROOT / "build/synth" / config
    base = base if label == "osu018" else base / label
    return base if point == "area" else base / point
