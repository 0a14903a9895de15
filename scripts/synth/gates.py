#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The mapped netlist of the top as Verilog that a simulator runs, cells as the functions of their Liberty files.

usage: gates.py --out DIR [--unit NAME] [--config small|default|large] [--lib NAME|FILE.lib[,FILE.lib]] [--pdk DIR] [--point area|speed]

Written to DIR: gates.v (every unit's netlist with its cells as expressions and flip-flops, memories as kv_ram modules,
and the top that joins them) and shadow.sv. Units whose monitors look at more than their ports (SHADOWED) get an RTL copy
beside the netlist: it sees the inputs that the netlist sees, the monitors look into the copy, and each of its handshake
outputs must equal the netlist's in every cycle. With --unit, the netlists of these units alone, UNIT.v, each under the
name of its RTL module: it takes that module's place in the unit's bench. --run BUILD builds and runs the tests of what
was written (tests/gates).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import flow
import synth

TESTS = {"event_log": "test_gates_event_log", "sink_tag_array": "test_gates_tag", "": "test_gates"}
SHADOWED = ("residency_ctrl", "bypass_mux")

# What a generic gate of a Liberty function is in Verilog.
OPERATORS = {
    "$_NOT_": "~{A}", "$_BUF_": "{A}", "$_AND_": "({A} & {B})", "$_NAND_": "~({A} & {B})", "$_OR_": "({A} | {B})",
    "$_NOR_": "~({A} | {B})", "$_XOR_": "({A} ^ {B})", "$_XNOR_": "~({A} ^ {B})", "$_ANDNOT_": "({A} & ~{B})",
    "$_ORNOT_": "({A} | ~{B})", "$_MUX_": "({S} ? {B} : {A})",
}  # fmt: skip


class Cells:
    """The functions of a library's cells, read from its Liberty files by Yosys."""

    def __init__(self, lib: flow.Library, scratch: Path) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        target = scratch / f"cells.{lib.name}.json"
        script = scratch / f"cells.{lib.name}.ys"
        reads = [f"read_liberty -ignore_miss_func -ignore_miss_dir -ignore_miss_data_latch -overwrite {f}" for f in lib.files]
        script.write_text("\n".join([*reads, f"write_json {target.relative_to(flow.ROOT)}"]) + "\n")
        if flow.run_yosys(script, script.with_suffix(".log")) != 0:
            flow.stop(f"library {lib.name}: Yosys cannot read its cells, see {script.with_suffix('.log')}")
        self._modules: dict[str, Any] = json.loads(target.read_text())["modules"]

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def module(self, name: str) -> dict[str, Any]:
        return self._modules[name]

    def statements(self, name: str, prefix: str, pins: dict[str, str]) -> list[str]:
        """A cell as statements; `pins` are the expressions of its ports, `prefix` names its state."""
        module = self._modules[name]
        nets: dict[int, str] = {}
        lines: list[str] = []
        drivers: dict[int, tuple[str, dict[str, Any]]] = {}
        for cell in module["cells"].values():
            out = "Q" if "Q" in cell["connections"] else "Y"
            drivers[cell["connections"][out][0]] = (cell["type"], cell["connections"])
        for port, info in module["ports"].items():
            if info["direction"] == "input":
                nets[info["bits"][0]] = pins.get(port, "1'b0")

        def value(bit: int | str) -> str:
            if isinstance(bit, str):
                return {"0": "1'b0", "1": "1'b1"}.get(bit, "1'b0")
            if bit in nets:
                return nets[bit]
            kind, pin = drivers[bit]
            if kind in OPERATORS:
                nets[bit] = OPERATORS[kind].format(**{k: value(b[0]) for k, b in pin.items() if k != "Y"})
                return nets[bit]
            state = f"{prefix}_s{len(lines)}"
            nets[bit] = state
            lines.extend(flop(kind, state, {k: value(b[0]) for k, b in pin.items() if k != "Q"}))
            return state

        for port, info in module["ports"].items():
            if info["direction"] == "output" and port in pins:
                lines.append(f"assign {pins[port]} = {value(info['bits'][0])};")
        return lines


def edge(net: str) -> str:
    """An event on an expression: `~x` falls when x rises."""
    net = net.strip("()")
    return f"negedge {net[1:]}" if net.startswith("~") else f"posedge {net}"


def flop(kind: str, state: str, pin: dict[str, str]) -> list[str]:
    """A flip-flop of a Liberty cell. Set and clear at once is what no netlist of one reset does."""
    match = re.fullmatch(r"\$_DFF_([PN])_", kind)
    if match:
        clock = edge(pin["C"] if match.group(1) == "P" else f"~{pin['C']}")
        return [f"reg {state}; always @({clock}) {state} <= {pin['D']};"]
    match = re.fullmatch(r"\$_DFF_([PN])([PN])([01])_", kind)
    if match:
        clock = edge(pin["C"] if match.group(1) == "P" else f"~{pin['C']}")
        reset = pin["R"] if match.group(2) == "P" else f"~{pin['R']}"
        return [f"reg {state}; always @({clock} or {edge(reset)}) if ({reset}) {state} <= 1'b{match.group(3)};"
                f" else {state} <= {pin['D']};"]  # fmt: skip
    match = re.fullmatch(r"\$_DFFSR_P([PN])([PN])_", kind)
    if match:
        put = pin["S"] if match.group(1) == "P" else f"~{pin['S']}"
        clear = pin["R"] if match.group(2) == "P" else f"~{pin['R']}"
        return dffsr(state, pin["C"], pin["D"], put, clear)
    raise SystemExit(f"gates: what is a {kind}?")


def values(expression: str) -> tuple[str, set[int]]:
    """The one net of an expression, and {0} or {1} for a constant, {-2} for the net's inverse, {-1} for the net."""
    nets = sorted(set(re.findall(r"(?<![\w'])[a-z_]\w*", expression)))
    if len(nets) > 1:
        raise SystemExit(f"gates: {expression} resets a flip-flop: more than one net")
    found = []
    for value in "01":
        bare = expression.replace("1'b", "")
        bare = re.sub(rf"\b{nets[0]}\b", value, bare) if nets else bare
        if not re.fullmatch(r"[01~&|^() ]+", bare):
            raise SystemExit(f"gates: {expression} resets a flip-flop: not understood")
        found.append(flow.evaluate(bare))
    return (nets[0] if nets else ""), set(found) if found[0] == found[1] else {-1 - found[0]}


def dffsr(state: str, clock: str, data: str, put: str, clear: str) -> list[str]:
    """Set and clear of which at most one is used: the other is tied off in a netlist with one reset."""
    (put_net, put_is), (clear_net, clear_is) = values(put), values(clear)
    if put_is == {0} and clear_is == {0}:
        return [f"reg {state}; always @({edge(clock)}) {state} <= {data};"]
    if put_is == {0}:
        net, is_, level = clear_net, clear_is, 0
    elif clear_is == {0}:
        net, is_, level = put_net, put_is, 1
    else:
        raise SystemExit(f"gates: {state} has both set ({put}) and clear ({clear})")
    if is_ == {1}:
        raise SystemExit(f"gates: {state} is always reset")
    low = is_ == {-2}  # active when the net is 0
    return [f"reg {state}; always @({edge(clock)} or {'neg' if low else 'pos'}edge {net}) if ({'!' if low else ''}{net})"
            f" {state} <= 1'b{level}; else {state} <= {data};"]  # fmt: skip


def span(port: dict[str, Any]) -> str:
    """The range of a port in a declaration."""
    return f"[{len(port['bits']) - 1}:0] " if len(port["bits"]) > 1 else ""


def plain(name: str) -> str:
    """A name that needs no escape: `gen_bank[0].u_ram` -> `gen_bank_0_u_ram`."""
    return re.sub(r"_+", "_", re.sub(r"\W+", "_", name)).strip("_")


def memory(kind: str, module: dict[str, Any], elaborated: dict[str, Any]) -> str:
    """The kv_ram of a black box, with its parameters."""
    ports = module["ports"]
    width = len(ports["rdata_o"]["bits"])
    words = int(elaborated["\\" + kind]["num_memory_bits"]) // width
    parameters = f".Words({words}), .Width({width})"
    if "waddr_i" in ports:
        parameters += f", .LaneW({width // len(ports['we_i']['bits'])})"
    return f"{flow.base_name(kind)} #({parameters})"


def translate(
    name: str, alias: str, design: dict[str, Any], cells: Cells, boxes: dict[str, str]
) -> str:
    """A mapped module as Verilog; `boxes` says what its black boxes are."""
    module = design[name]
    nets: dict[int, str] = {}
    lines: list[str] = []
    ties = {"0": "1'b0", "1": "1'b1", "x": "1'b0", "z": "1'b0"}
    for direction in ("input", "output"):
        for port, info in module["ports"].items():
            if info["direction"] != direction:
                continue
            wide = len(info["bits"]) > 1
            lines.append(f"{direction} {span(info)}{port};")
            for i, bit in enumerate(info["bits"]):
                here = f"{port}[{i}]" if wide else port
                if isinstance(bit, int) and bit not in nets and not wide:
                    nets[bit] = here
                elif isinstance(bit, int) and direction == "input":
                    nets[bit] = f"n{bit}"
                    lines.append(f"wire n{bit} = {here};")
                elif isinstance(bit, int):
                    if bit not in nets:
                        nets[bit] = f"n{bit}"
                        lines.append(f"wire n{bit};")
                    lines.append(f"assign {here} = {nets[bit]};")
                else:
                    lines.append(f"assign {here} = {ties[bit]};")

    def net(bit: int | str) -> str:
        if isinstance(bit, str):
            return ties[bit]
        if bit not in nets:
            nets[bit] = f"n{bit}"
            lines.append(f"wire n{bit};")
        return nets[bit]

    for i, (cell, info) in enumerate(module["cells"].items()):
        if info["type"] in cells:
            pins = {p: net(b[0]) for p, b in info["connections"].items()}
            lines += cells.statements(info["type"], f"c{i}", pins)
            continue
        pins = {}
        for port, bits in info["connections"].items():
            words = [net(b) for b in reversed(bits)]
            pins[port] = words[0] if len(words) == 1 else "{" + ", ".join(words) + "}"
        lines.append(f"{boxes[info['type']]} {plain(cell)} ({', '.join(f'.{p}({w})' for p, w in pins.items())});")
    return f"module {alias} ({', '.join(module['ports'])});\n" + "\n".join(lines) + "\nendmodule\n"


def shadow(name: str, alias: str, ports: dict[str, Any]) -> str:
    """The RTL copy of a unit, bound into its netlist."""
    lines = [f"module {alias}_shadow ("]
    lines.append(",\n".join(f"    input logic {span(i)}{p}" for p, i in ports.items()))
    lines.append(");")
    outputs = [p for p, i in ports.items() if i["direction"] == "output"]
    checked = [p for p in outputs if re.search(r"_(valid|ready)_[oi]$", p) and len(ports[p]["bits"]) == 1]
    lines += [f"  logic rtl_{p};" for p in checked]
    joins = [f".{p}({p})" for p, i in ports.items() if i["direction"] == "input"]
    joins += [f".{p}(rtl_{p})" for p in checked] + [f".{p}()" for p in outputs if p not in checked]
    lines.append(f"  {name} u_rtl ({', '.join(joins)});")
    lines.append("  always_ff @(posedge clk_i) begin\n    if (rst_ni) begin")
    for p in checked:
        lines.append(f'      if ({p} !== rtl_{p}) $fatal(1, "{name}: {p} is %b in the netlist, %b in the RTL", {p}, rtl_{p});')
    lines.append("    end\n  end\nendmodule\n" + f"bind {alias} {alias}_shadow u_shadow (.*);")
    return "\n".join(lines) + "\n"


def run(build: Path, units: list[str]) -> int:
    """Builds and runs the tests of the netlists."""
    failed = False
    for unit in units:
        if unit not in TESTS:
            flow.stop(f"no test runs the netlist of {unit} alone; known: {', '.join(u for u in TESTS if u)}")
        for command in (["cmake", "--build", str(build), "-j", "1", "--target", TESTS[unit]], [str(build / "tests" / TESTS[unit])]):
            if subprocess.run(command, cwd=flow.ROOT, check=False).returncode != 0:
                failed = True
                break
    return int(failed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--unit", default="")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--config", default="small", choices=flow.CONFIGS)
    parser.add_argument("--lib", default="osu018")
    parser.add_argument("--pdk")
    parser.add_argument("--point", default="area", choices=flow.POINTS)
    args = parser.parse_args()
    if args.run:
        return run(args.run, args.unit.split(","))
    lib = flow.library(args.lib, args.pdk, flow.ROOT / "build/synth/liberty")
    folder = flow.folder(args.config, lib, args.point)
    top = flow.unit("kvsink_top")
    table = flow.table()
    cells = Cells(lib, flow.ROOT / "build/synth/liberty")
    args.out.mkdir(parents=True, exist_ok=True)
    text = ["// SPDX-License-Identifier: Apache-2.0", f"// Gates of kvsink_top ({args.config}, {lib.name}, {args.point} point)."]
    shadows = ["// SPDX-License-Identifier: Apache-2.0", "// RTL copies beside netlists: where monitors look in."]
    wanted = args.unit.split(",") if args.unit else [*top.parts, top.name]
    if unknown := [u for u in wanted if u not in table["units"]]:
        flow.stop(f"unknown unit {', '.join(unknown)}; known: {', '.join(table['units'])}")
    for name in wanted:
        row = synth.synthesize(name, args.config, lib, folder, list(table["memories"]), args.point)
        for problem in row.get("problems", []) + row.get("absent", []):
            print(f"gates: {name}: {problem}", file=sys.stderr)
            return 1
        front = flow.ROOT / "build/synth" / args.config / "front" / name
        elaborated = flow.stat(front / "elaborated.json")["modules"]
        design = json.loads((folder / name / "netlist.json").read_text())["modules"]
        boxes: dict[str, str] = {}
        for kind in sorted({c["type"] for c in design[name]["cells"].values()}):
            if flow.base_name(kind) in table["memories"]:
                boxes[kind] = memory(kind, design[kind], elaborated)
            elif flow.base_name(kind) in top.parts:
                boxes[kind] = f"{flow.base_name(kind)}_gates"
        if args.unit:
            (args.out / f"{name}.v").write_text(
                f"// SPDX-License-Identifier: Apache-2.0\n// Gates of {name} ({args.config}, {lib.name}, {args.point} point).\n"
                + translate(name, name, design, cells, boxes)
            )
            print(f"gates: {name:20} {row['cells']:>9,} cells {row['flip_flops']:>8,} flip-flops", flush=True)
            continue
        alias = name if name == top.name else f"{name}_gates"
        text.append(translate(name, alias, design, cells, boxes))
        if name in SHADOWED:
            shadows.append(shadow(name, alias, design[name]["ports"]))
        print(f"gates: {name:20} {row['cells']:>9,} cells {row['flip_flops']:>8,} flip-flops", flush=True)
    if args.unit:
        return 0
    shadows.append("bind sink_tag_array_gates tag_monitor u_monitor (.*);")
    shadows.append("bind residency_ctrl residency_monitor u_monitor (.*);")
    shadows.append("bind bypass_lookup lookup_monitor u_monitor (.*);")
    (args.out / "gates.v").write_text("\n".join(text))
    (args.out / "shadow.sv").write_text("\n".join(shadows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
