#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the mapped netlists and the constraints in OpenSTA: nothing may be unconstrained, unclocked or in a loop.

usage: sta.py [--unit NAME] [--config small|default|large] [--lib osu018|sky130|asap7] [--pdk DIR]

Needs the netlists of synth.py. The top is read with the netlists of all its units. Memories get a Liberty model with
assumed times (access 35 % of the period, set-up 5 %): enough to constrain every path, no statement about a memory.
Slack is not judged: these netlists are mapped for area, without buffers or sizing (the worst path is in sta.log).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flow

ACCESS, SETUP, HOLD = 0.35, 0.05, 0.0


def period_ns(lib: flow.Library) -> float:
    assert lib.sdc
    match = re.search(r"^set kvs_period ([\d.]+)", (flow.ROOT / lib.sdc).read_text(), re.M)
    assert match, lib.sdc
    return float(match.group(1)) / lib.time_per_ns


def liberty_cell(name: str, module: dict[str, Any], access: float, setup_time: float) -> str:
    """A memory as a Liberty cell: everything is clocked by clk_i; times in ns."""

    def arc(kind: str, times: dict[str, float]) -> str:
        body = "".join(f'{k} (scalar) {{ values ("{v:.4f}"); }} ' for k, v in times.items())
        return f'timing () {{ related_pin : "clk_i"; timing_type : {kind}; {body}}}'

    pins = ['pin (clk_i) { direction : input; clock : true; capacitance : 0.01; }']
    for port, info in module["ports"].items():
        if port == "clk_i":
            continue
        width = len(info["bits"])
        if info["direction"] == "output":
            times = {"cell_rise": access, "cell_fall": access}
            slope = access / 35
            body = "direction : output; " + arc(
                "rising_edge", times | {"rise_transition": slope, "fall_transition": slope}
            )
        else:
            setup = {"rise_constraint": setup_time, "fall_constraint": setup_time}
            hold = {"rise_constraint": HOLD, "fall_constraint": HOLD}
            body = "direction : input; capacitance : 0.005; " + arc("setup_rising", setup) + arc("hold_rising", hold)
        if width == 1 and info.get("offset") is None and not info.get("bus"):
            pins.append(f"pin ({port}) {{ {body} }}")
        else:
            pins.append(f"bus ({port}) {{ bus_type : b{width}; {body} }}")
    return f"cell ({name}) {{ area : 0; " + "\n ".join(pins) + " }\n"


def memory_library(boxes: dict[str, dict[str, Any]], times: Callable[[str], tuple[float, float]]) -> str:
    """Liberty models of memories; `times` gives access and set-up of each, in ns."""
    widths = sorted({len(p["bits"]) for m in boxes.values() for p in m["ports"].values()})
    types = "".join(
        f"type (b{w}) {{ base_type : array; data_type : bit; bit_width : {w}; bit_from : {w - 1}; bit_to : 0; "
        f"downto : true; }}\n"
        for w in widths
    )
    cells = "".join(liberty_cell(name, module, *times(name)) for name, module in boxes.items())
    return (
        'library (kv_memories) { delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V"; '
        'current_unit : "1mA"; pulling_resistance_unit : "1kohm"; capacitive_load_unit (1, pf);\n'
        + "".join(
            f"{edge}_threshold_pct_{way} : {value};\n"
            for way in ("rise", "fall")
            for edge, value in (("input", 50), ("output", 50), ("slew_lower", 20), ("slew_upper", 80))
        )
        + f"{types}{cells}}}\n"
    )


def verilog(name: str, module: dict[str, Any], plain: dict[str, str]) -> str:
    """A mapped module in the little Verilog that OpenSTA reads: nets of one bit, no concatenation on the left.
    `plain` gives the cell types their names."""
    nets: dict[int, str] = {}
    lines: list[str] = []
    ties = {"0": "1'b0", "1": "1'b1", "x": "1'b0", "z": "1'b0"}
    for direction in ("input", "output"):
        for port, info in module["ports"].items():
            if info["direction"] != direction:
                continue
            wide = len(info["bits"]) > 1
            width = f"[{len(info['bits']) - 1}:0] " if wide else ""
            lines.append(f"{direction} {width}{port};")
            for i, bit in enumerate(info["bits"]):
                here = f"{port}[{i}]" if wide else port
                if isinstance(bit, int) and bit not in nets:
                    nets[bit] = here
                elif direction == "output":
                    lines.append(f"assign {here} = {nets[bit] if isinstance(bit, int) else ties[bit]};")

    def net(bit: int | str) -> str:
        if isinstance(bit, str):
            return ties[bit]
        if bit not in nets:
            nets[bit] = f"n{bit}"
            lines.append(f"wire n{bit};")
        return nets[bit]

    for cell, info in module["cells"].items():
        pins = []
        for port, bits in info["connections"].items():
            words = [net(b) for b in reversed(bits)]
            pins.append(f".{port}({words[0] if len(words) == 1 else '{' + ', '.join(words) + '}'})")
        lines.append(f"{plain.get(info['type'], info['type'])} \\{cell} ({', '.join(pins)});")
    return f"module {name} ({', '.join(module['ports'])});\n" + "\n".join(lines) + "\nendmodule\n"


def gather(
    unit: flow.Unit, folder: Path, out: Path, memories: list[str], own: Path | None = None
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Writes one netlist of the unit and its parts; the memories in it: plain name, and kind and module in the netlist.
    `own` is where the unit's own netlist is, when it is not in `folder`."""
    boxes: dict[str, tuple[str, dict[str, Any]]] = {}
    with (out / "sta.v").open("w") as text:
        for name in [unit.name, *unit.parts]:
            netlist = (own if own and name == unit.name else folder / name) / "netlist.json"
            if not netlist.exists():
                raise SystemExit(f"sta: no {netlist.relative_to(flow.ROOT)}: run `make synth` first")
            design = json.loads(netlist.read_text())["modules"]
            module = design[name]
            plain: dict[str, str] = {}
            for kind in sorted({info["type"] for info in module["cells"].values()}):
                base = kind.split("$")[0]
                if base in unit.parts:
                    plain[kind] = base
                elif base in memories:
                    plain[kind] = f"{base}_{len(boxes)}"
                    boxes[plain[kind]] = (kind, design[kind])
            text.write(verilog(name, module, plain))
    return boxes


def instances(out: Path, kinds: set[str]) -> list[str]:
    """Paths of the instances of some kinds in the netlist that `gather` wrote: two levels, top and units."""
    modules: dict[str, list[tuple[str, str]]] = {}
    here = ""
    for line in (out / "sta.v").read_text().splitlines():
        if match := re.match(r"module (\S+) ", line):
            here = match.group(1)
            modules[here] = []
        elif match := re.match(r"(\w+) \\(\S+) \(", line):
            modules[here].append((match.group(1), match.group(2)))
    top = next(iter(modules))
    found = [name for kind, name in modules[top] if kind in kinds]
    for kind, name in modules[top]:
        found += [f"{name}/{inner}" for k, inner in modules.get(kind, []) if k in kinds]
    return found


def opensta(script: Path, lines: list[str]) -> str:
    """What OpenSTA prints for a script; the script and the output stay beside the netlist."""
    script.write_text("\n".join([*lines, 'puts "TAG end"', "exit"]) + "\n")
    try:
        done = subprocess.run(
            ["sta", "-no_splash", "-exit", str(script)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise SystemExit("sta: OpenSTA is not installed (make doctor)") from None
    script.with_suffix(".log").write_text(done.stdout)
    return done.stdout


def constants(out: Path, reads: list[str], endpoints: list[str]) -> set[str]:
    """Which of the endpoints hold a constant, also through cells and across units: no path ends there."""
    asks = [f"report_constant [get_{'pins' if '/' in e else 'ports'} {{{e}}}]" for e in endpoints]
    log = opensta(out / "constants.tcl", [*reads, 'puts "TAG constants"', *asks])
    answers = [line.rsplit(" ", 1) for line in log.partition("TAG constants")[2].splitlines() if " " in line]
    # A pin is answered by its own name, without its instance: the order tells which.
    values = [a[1] for a in answers if len(a) == 2 and a[1] in ("0", "1", "X")]
    if len(values) != len(endpoints):
        return set()
    return {e for e, v in zip(endpoints, values) if v != "X"}


def analyse(name: str, config: str, lib: flow.Library, folder: Path, memories: list[str]) -> list[str]:
    """Runs OpenSTA on a unit; what is wrong with its constraints."""
    out = folder / name
    boxes = gather(flow.unit(name), folder, out, memories)
    reads = [f"read_liberty {f}" for f in lib.files]
    if boxes:
        times = (ACCESS * period_ns(lib), SETUP * period_ns(lib))
        (out / "memories.lib").write_text(memory_library({k: m for k, (_, m) in boxes.items()}, lambda _: times))
        reads.append(f"read_liberty {out / 'memories.lib'}")
    reads += [
        f"read_verilog {out / 'sta.v'}",
        f"link_design {name}",
        f"source {flow.ROOT / str(lib.sdc)}",
        f"source {flow.ROOT / 'constraints/kvsink.sdc'}",
    ]
    paths = "report_checks -path_delay max -format full -digits 3"
    log = opensta(out / "sta.tcl", [*reads, 'puts "TAG setup"', "check_setup -verbose", 'puts "TAG paths"', paths])
    if "TAG end" not in log:
        return [f"OpenSTA stopped: {next((x for x in log.splitlines() if 'Error' in x), log[-200:])}"]
    before, _, rest = log.partition("TAG setup")
    findings: dict[str, list[str]] = {}
    heading = ""
    for line in rest.partition("TAG paths")[0].splitlines():
        if line.startswith("Warning"):
            heading = line
            findings[heading] = []
        elif line.strip():
            findings.setdefault(heading, []).append(line.strip())
    wrong = [line for line in before.splitlines() if re.search(r"Error|not found|Warning", line)]
    for heading, names in findings.items():
        if "unconstrained endpoint" in heading:
            constant = constants(out, reads, names)
            names = [n for n in names if n not in constant]
            heading = f"{len(names)} endpoints are unconstrained and not constant"
            if not names:
                continue
        wrong += [heading, *names]
    verdict = "FAIL  {}: constraints are not complete" if wrong else "pass  {}: every endpoint constrained"
    print(verdict.format(f"{name:20} {config}, {lib.name}"))
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", default="kvsink_top", help="one unit, or several with commas")
    parser.add_argument("--config", default="small", choices=flow.CONFIGS)
    parser.add_argument("--lib", default="osu018")
    parser.add_argument("--pdk")
    args = parser.parse_args()
    lib = flow.library(args.lib, args.pdk, flow.ROOT / "build/synth/liberty")
    if not lib.sdc:
        raise SystemExit("sta: constraints are there for osu018, sky130 and asap7 (constraints/)")
    folder = flow.ROOT / "build/synth" / args.config
    folder = folder if lib.name == "osu018" else folder / lib.name
    failed = False
    for name in args.unit.split(","):
        wrong = analyse(name, args.config, lib, folder, list(flow.table()["memories"]))
        failed = failed or bool(wrong)
        for line in wrong[:12]:
            print(f"      {line}")
        if len(wrong) > 12:
            print(f"      and {len(wrong) - 12} lines more in {(folder / name / 'sta.log').relative_to(flow.ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
