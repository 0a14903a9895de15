#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proofs that the mapped netlist of each unit is its RTL: every next state and every output is the same function.

usage: equiv.py [--unit NAME] [--config small|default|large] [--lib NAME|FILE.lib[,FILE.lib]] [--pdk DIR]
                [--point area|speed] [--limit SECONDS]

The RTL side is the netlist of words before any optimisation, lowered gate by gate; the netlist side is the mapped cells
as the functions of their Liberty file. Both are cut at flip-flops, which keep their names through mapping, and at
memories, which are the same boxes on both sides. What remains are two combinational functions of the same inputs:
outputs, next states, resets and memory inputs, compared by `cec` of yosys-abc (SAT and simulation).
A register of the RTL that the netlist lacks must be of no influence (nothing that is compared depends on it), hold a
constant, or be equal to another register; the latter two are assumed as inputs and proved as next states in the same
run: an induction, whose base are equal resets (a register without reset starts anywhere).
State machines that Yosys gave one bit a state are compared through the codes that its log tells: each of the netlist's
bits is its code of the RTL, and that the RTL stays within these codes is proved beside it.
Verdicts: proved, DIFFERS (with the names), or open (the time limit). Written: build/synth/.../equiv.json.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flow
import gates
import pyosys
import synth

ABC = Path(pyosys.__file__).parent / "yosys-abc"

# Tables of the generic gates for BLIF: inputs in order, rows that give 1.
TABLES = {
    "$_NOT_": ("A", ["0 1"]), "$_BUF_": ("A", ["1 1"]), "$_AND_": ("AB", ["11 1"]), "$_NAND_": ("AB", ["0- 1", "-0 1"]),
    "$_OR_": ("AB", ["1- 1", "-1 1"]), "$_NOR_": ("AB", ["00 1"]), "$_XOR_": ("AB", ["10 1", "01 1"]),
    "$_XNOR_": ("AB", ["11 1", "00 1"]), "$_ANDNOT_": ("AB", ["10 1"]), "$_ORNOT_": ("AB", ["1- 1", "-0 1"]),
    "$_MUX_": ("ABS", ["1-0 1", "-11 1"]),
}  # fmt: skip
MAX_LEARNT = 40  # counterexamples that a proof may learn from
FLOP = re.compile(r"\$_(DFF|DFFSR)_([PN])([PN])?([PN01])?_$")


class Side:
    """A design of simple gates cut at its flip-flops and memories, as statements of BLIF."""

    def __init__(self, module: dict[str, Any], prefix: str) -> None:
        self.prefix = prefix
        self.lines: list[str] = []
        self.inputs: dict[str, str] = {}  # name of an input of the cut design -> net
        self.outputs: dict[str, str] = {}
        self.states: dict[str, dict[str, str]] = {}  # register -> nets of its next state, set and clear
        self.gates: dict[str, tuple[str, list[str]]] = {}  # net -> kind and its inputs in the order of the table
        self._fresh = 0
        for port, info in module["ports"].items():
            for i, bit in enumerate(info["bits"]):
                if info["direction"] == "input":
                    self.inputs[f"{port}[{i}]"] = self.net(bit)
                else:
                    self.outputs[f"{port}[{i}]"] = self.net(bit)

    def net(self, bit: int | str) -> str:
        if isinstance(bit, str):
            return "one" if bit == "1" else "zero"
        return f"{self.prefix}{bit}"

    def fresh(self) -> str:
        self._fresh += 1
        return f"{self.prefix}x{self._fresh}"

    def gate(self, kind: str, out: str, pins: dict[str, str]) -> None:
        order, rows = TABLES[kind]
        self.gates[out] = (kind, [pins[p] for p in order])
        self.lines.append(f".names {' '.join(pins[p] for p in order)} {out}")
        self.lines += rows

    def box(self, name: str, info: dict[str, Any], ports: dict[str, Any]) -> None:
        for port, bits in info["connections"].items():
            for i, bit in enumerate(bits):
                if ports[port]["direction"] == "output":
                    self.inputs[f"{name}.{port}[{i}]"] = self.net(bit)
                elif port != "clk_i":
                    self.outputs[f"{name}.{port}[{i}]"] = self.net(bit)

    def flop(self, name: str, kind: str, pins: dict[str, str], inverted: bool) -> None:
        """A flip-flop. `inverted`: the state is the inverse of the register's."""
        match = FLOP.match(kind)
        if not match:
            raise SystemExit(f"equiv: what is a {kind}?")
        state = {"next": pins["D"], "set": "zero", "clear": "zero", "clock": pins["C"]}
        if match.group(1) == "DFFSR":
            state["set"] = pins["S"] if match.group(3) == "P" else self.inverse(pins["S"])
            state["clear"] = pins["R"] if match.group(4) == "P" else self.inverse(pins["R"])
        elif match.group(3):
            active = pins["R"] if match.group(3) == "P" else self.inverse(pins["R"])
            state["set" if match.group(4) == "1" else "clear"] = active
        if match.group(2) == "N":
            state["clock"] = "!" + state["clock"]
        if inverted:
            state = {"next": self.inverse(state["next"]), "set": state["clear"], "clear": state["set"], "clock": state["clock"]}
            out = self.fresh()
            self.gate("$_NOT_", pins["Q"], {"A": out})
            self.inputs[name] = out
        else:
            self.inputs[name] = pins["Q"]
        self.states[name] = state

    def inverse(self, net: str) -> str:
        out = self.fresh()
        self.gate("$_NOT_", out, {"A": net})
        return out


def register(cell: str) -> str:
    """The register bit of a flip-flop of the netlist: its name without the kind. A bit alone has the index 0."""
    name = re.sub(r"\$_\w+_$", "", cell.strip())
    return name if name.endswith("]") else f"{name}[0]"


def aliases(module: dict[str, Any]) -> dict[str, int | str]:
    """Every name of every bit of the netlist of words: a register may be called by its port or by its signal."""
    found: dict[str, int | str] = {}
    for name, net in module["netnames"].items():
        for i, bit in enumerate(net["bits"]):
            found[f"{name}[{i + int(net.get('offset', 0))}]"] = bit
    return found


def golden(front: Path, unit: flow.Unit, out: Path) -> dict[str, Any]:
    """The netlist of words as simple gates, nothing optimised that is a choice."""
    rel = out.relative_to(flow.ROOT)
    script = "\n".join(
        [
            "# SPDX-License-Identifier: Apache-2.0",
            f"read_json {front.relative_to(flow.ROOT)}/word.json",
            f"hierarchy -top {unit.name}",
            "memory -nomap -nordff",
            "memory_map",
            "opt_clean",
            "dffunmap",
            "alumacc",
            "techmap",
            "simplemap",
            "dfflegalize -cell $_DFF_P_ x -cell $_DFF_PN0_ x -cell $_DFF_PN1_ x",
            "techmap",
            "simplemap",
            "rename -wire t:$_*DFF*",
            "opt_clean",
            f"write_json {rel}/golden.json",
        ]
    )
    key = flow._digest(script, (front / "word.json").read_bytes())
    flow._step(out, "golden", script + "\n", key, ["golden.json"])
    return json.loads((out / "golden.json").read_text())["modules"]


def side_of_rtl(design: dict[str, Any], unit: flow.Unit) -> tuple[Side, dict[str, str]]:
    """The RTL's side, and the register that each name of a register means."""
    module = design[unit.name]
    side = Side(module, "g")
    of_bit: dict[int | str, str] = {}
    for name, info in module["cells"].items():
        kind, pins = info["type"], {p: side.net(b[0]) for p, b in info["connections"].items() if b}
        if kind in TABLES:
            side.gate(kind, pins["Y"], pins)
        elif FLOP.match(kind):
            side.flop(register(name), kind, pins, False)
            of_bit[info["connections"]["Q"][0]] = register(name)
        elif kind == "$scopeinfo":
            continue
        elif not kind.startswith("$") and kind in design:
            side.box(name, info, design[kind]["ports"])
        else:
            raise SystemExit(f"equiv: {unit.name}: {kind} was not lowered")
    return side, {alias: of_bit[bit] for alias, bit in aliases(module).items() if bit in of_bit}


def side_of_netlist(
    design: dict[str, Any], unit: flow.Unit, cells: gates.Cells, names: dict[str, str], recoded: list[Machine]
) -> Side:
    module = design[unit.name]
    side = Side(module, "n")
    of_bit: dict[int | str, list[str]] = {}
    for alias, bit in aliases(module).items():
        of_bit.setdefault(bit, []).append(alias)

    def named(cell: str, outputs: list[int | str]) -> str:
        """The RTL's name of a register: by the flip-flop's name, else by a name of what it drives."""
        own = register(cell)
        base, _, bit = own.rpartition("[")
        for machine in recoded:
            if base == machine.name:
                return machine.new(int(bit[:-1]))
        return next((names[n] for n in [own, *(a for b in outputs for a in of_bit.get(b, []))] if n in names), own)

    for name, info in module["cells"].items():
        kind = info["type"]
        if kind not in cells:
            side.box(name, info, design[kind]["ports"])
            continue
        cell = cells.module(kind)
        nets: dict[int | str, str] = {}
        for port, port_info in sorted(cell["ports"].items(), key=lambda p: p[1]["direction"]):
            bits, bit = info["connections"].get(port), port_info["bits"][0]
            if port_info["direction"] == "input":
                nets[bit] = side.net(bits[0]) if bits else "zero"
            elif bits and (isinstance(bit, str) or bit in nets):  # a buffer or a constant: no gate inside
                side.gate("$_BUF_", side.net(bits[0]), {"A": nets.get(bit, "one" if bit == "1" else "zero")})
            elif bits:
                nets[bit] = side.net(bits[0])

        def net(bit: int | str, nets: dict[int | str, str] = nets) -> str:
            if isinstance(bit, str):
                return "one" if bit == "1" else "zero"
            if bit not in nets:
                nets[bit] = side.fresh()
            return nets[bit]

        # What no output needs stays out: a cell with Q only has a second state for its inverse.
        needed: set[int] = set()
        drivers = {c["connections"]["Q" if "Q" in c["connections"] else "Y"][0]: c for c in cell["cells"].values()}
        stack = [i["bits"][0] for p, i in cell["ports"].items() if i["direction"] == "output" and info["connections"].get(p)]
        while stack:
            bit = stack.pop()
            if bit in needed or bit not in drivers:
                continue
            needed.add(bit)
            stack += [b[0] for p, b in drivers[bit]["connections"].items() if p not in ("Y", "Q")]
        states = 0
        for bit in needed:
            inner = drivers[bit]
            pins = {p: net(b[0]) for p, b in inner["connections"].items()}
            if inner["type"] in TABLES:
                side.gate(inner["type"], pins["Y"], pins)
            else:
                states += 1
                if states > 1:
                    raise SystemExit(f"equiv: {name} ({kind}) has two states")
                outputs = [b for p, i in cell["ports"].items() if i["direction"] == "output"
                           for b in info["connections"].get(p, [])]  # fmt: skip
                called = named(re.sub(r"^.*\$fsm\$oldstate\\\\?", "", name), outputs)
                while called in side.states:  # two flip-flops for one register
                    called += "~"
                side.flop(called, inner["type"], pins, inverted_state(cell, drivers, inner))
    return side


def inverted_state(cell: dict[str, Any], drivers: dict[int, Any], flop: dict[str, Any]) -> bool:
    """Whether the state of a library's flip-flop is loaded with the inverse of its data pin."""
    bit, inverted = flop["connections"]["D"][0], False
    while bit in drivers and drivers[bit]["type"] == "$_NOT_":
        bit, inverted = drivers[bit]["connections"]["A"][0], not inverted
    return inverted


class Machine:
    """A state machine that Yosys gave other codes: its register, and the code of the RTL for each bit of the netlist's."""

    def __init__(self, name: str, codes: dict[int, str]) -> None:
        self.name, self.codes = name, codes
        self.width = len(next(iter(codes.values())))

    def old(self, bit: int) -> str:
        return f"{self.name}[{bit}]"

    def new(self, bit: int) -> str:
        return f"{self.name}{{{bit}}}"

    def rows(self, codes: list[str]) -> list[str]:
        """A table of BLIF over the bits of the RTL's register, bit 0 first: true for these codes."""
        return [f"{code[::-1]} 1" for code in codes]


def machines(log: Path) -> list[Machine]:
    """What the log of the front end says about recoded state machines: codes to one bit each."""
    found = []
    pattern = r"Recoding FSM `\$fsm\$\\(\S+)\$\d+' .*\n.*mapping .* to `one-hot` for this FSM\.\n((?:  +[01]+ -> [-1]+\n)+)"
    for match in re.finditer(pattern, log.read_text(errors="replace")):
        codes = {}
        for old, new in re.findall(r"([01]+) -> ([-1]+)", match.group(2)):
            codes[new[::-1].index("1")] = old
        found.append(Machine(match.group(1), codes))
    return found


class Simulator:
    """The cut RTL on many random patterns at once: bit i of every number is pattern i."""

    KINDS = {
        "$_NOT_": lambda i, m: i[0] ^ m, "$_BUF_": lambda i, m: i[0], "$_AND_": lambda i, m: i[0] & i[1],
        "$_NAND_": lambda i, m: i[0] & i[1] ^ m, "$_OR_": lambda i, m: i[0] | i[1], "$_NOR_": lambda i, m: (i[0] | i[1]) ^ m,
        "$_XOR_": lambda i, m: i[0] ^ i[1], "$_XNOR_": lambda i, m: i[0] ^ i[1] ^ m, "$_ANDNOT_": lambda i, m: i[0] & (i[1] ^ m),
        "$_ORNOT_": lambda i, m: i[0] | (i[1] ^ m), "$_MUX_": lambda i, m: i[0] & (i[2] ^ m) | i[1] & i[2],
    }  # fmt: skip

    def __init__(self, side: Side, patterns: int = 512) -> None:
        self._side, self._width, self._mask = side, patterns, (1 << patterns) - 1
        self._random = random.Random(1)
        sources = {"zero", "one", *side.inputs.values()}
        used = {i for _, pins in side.gates.values() for i in pins}
        used |= {s[k] for s in side.states.values() for k in ("next", "set", "clear")}
        self._loose = sorted(used - side.gates.keys() - sources)
        number: dict[str, int] = {}
        for net in [*sorted(sources), *self._loose]:
            number.setdefault(net, len(number))
        self._order: list[tuple[Callable[[list[int], int], int], int, list[int]]] = []
        for root in side.gates:
            stack = [root]
            while stack:
                top = stack[-1]
                if top in number:
                    stack.pop()
                    continue
                kind, pins = side.gates[top]
                missing = [i for i in pins if i not in number]
                if missing:
                    stack += missing
                    continue
                stack.pop()
                number[top] = len(number)
                self._order.append((self.KINDS[kind], number[top], [number[i] for i in pins]))
        self._number = number

    def any(self) -> int:
        """Random patterns, some of them mostly 0 or mostly 1."""
        word = self._random.getrandbits(self._width)
        thin = self._random.getrandbits(self._width) & self._random.getrandbits(self._width)
        return (word, word & thin, word | thin)[self._random.choice((0, 0, 1, 2))]

    def after(self, values: dict[str, int]) -> dict[str, tuple[int, int, int]]:
        """Next state, set and clear of each register, from the values of all inputs of the cut design."""
        nets = [0] * len(self._number)
        nets[self._number["one"]] = self._mask
        for name, net in self._side.inputs.items():
            nets[self._number[net]] = values[name]
        for net in self._loose:
            nets[self._number[net]] = self.any()
        for function, out, pins in self._order:
            nets[out] = function([nets[p] for p in pins], self._mask)
        at = self._number
        return {
            name: (nets[at[s["next"]]], nets[at[s["set"]]], nets[at[s["clear"]]]) for name, s in self._side.states.items()
        }


class Classes:
    """Which registers are constant and which equal another, guessed by simulation: the coarsest guess that agrees with
    itself. It starts with what behaves alike from reset and is split by random states that keep to it, and by the
    counterexamples of proofs. What is left still has to be proved."""

    def __init__(self, rtl: Side, lost: set[str], warm: int = 12, steps: int = 60, rounds: int = 8) -> None:
        self._rtl, self._sim = rtl, Simulator(rtl)
        mask = self._sim._mask
        first = {n: mask if s["set"] != "zero" else 0 for n, s in rtl.states.items()}
        resets = {n for n in rtl.inputs if n.startswith("rst")}
        trace: dict[str, list[int]] = {n: [] for n in first}
        values = dict(first)
        for step in range(warm + steps):
            inputs = {n: mask if n in resets else self._sim.any() for n in rtl.inputs if n not in rtl.states}
            following = self._sim.after(values | inputs)
            values = {n: (f[0] | f[1]) & ~f[2] & mask for n, f in following.items()}
            if step >= warm:  # a register without reset comes to what it is by then
                for n, v in values.items():
                    trace[n].append(v)
        self._groups: list[list[str]] = []
        keyed: dict[tuple[int, ...], list[str]] = {(0,) * steps: ["0"], (mask,) * steps: ["1"]}
        # What never moved may be constant, or like its sibling in another instance of a generate loop that was kept.
        still = {n for n, row in trace.items() if tuple(row) in keyed}
        alike: dict[tuple[str, int], list[str]] = {}
        for n in still:
            alike.setdefault((re.sub(r"gen_\w+\[\d+\]", "gen", n), trace[n][0]), []).append(n)
        siblings = [g for g in alike.values() if any(n in lost for n in g) and not all(n in lost for n in g)]
        apart = {n for g in siblings for n in g}
        for n, row in trace.items():
            if n not in apart:
                keyed.setdefault(tuple(row), []).append(n)
        self._gone = lost
        self._groups = self._wanted([*keyed.values(), *siblings])
        quiet = 0
        while quiet < rounds:
            quiet = 0 if self._split_at_random() else quiet + 1

    def _wanted(self, groups: list[list[str]]) -> list[list[str]]:
        """The classes that say something of a lost register. Of a constant class the lost ones are all that is assumed."""
        return [g for g in groups if len(g) > 1 and any(n in self._gone for n in g)]

    def _split_at_random(self) -> bool:
        fixed = {"0": 0, "1": self._sim._mask}
        values = {n: self._sim.any() for n in self._rtl.inputs}
        for group in self._groups:
            value = fixed[group[0]] if group[0] in fixed else self._sim.any()
            values |= {n: value for n in group if n not in fixed}
        return self._split(values)

    def _split(self, values: dict[str, int]) -> bool:
        """Splits the groups whose members go different ways from a state in which they are equal."""
        following = self._sim.after(values)
        mask, old = self._sim._mask, self._groups
        groups = []
        for group in self._groups:
            keyed: dict[Any, list[str]] = {}
            if group[0] in ("0", "1"):
                same = mask if group[0] == "1" else 0
                keyed[same, 0, 0] = [group[0]]
            for n in group:
                if n in ("0", "1"):
                    continue
                key = following[n]
                if group[0] in ("0", "1"):  # a reset to the same constant changes nothing
                    key = (key[0], 0, 0) if (key[2] if group[0] == "1" else key[1]) == 0 else key
                keyed.setdefault(key, []).append(n)
            groups += keyed.values()
        self._groups = self._wanted(groups)
        return self._groups != old

    def learn(self, values: dict[str, int]) -> bool:
        """A counterexample, as 0 or 1 for each input of the cut design: whether it splits anything."""
        mask, size = self._sim._mask, sum(map(len, self._groups))
        spread = {n: mask if values.get(n) else 0 for n in self._rtl.inputs}
        for group in self._groups:
            if group[0] in ("0", "1"):  # nothing is assumed of those that were kept
                value = mask if group[0] == "1" else 0
                group[1:] = [n for n in group[1:] if n in self._gone or spread[n] == value]
                spread |= {n: value for n in group[1:]}
            else:
                kept = next((n for n in group if n not in self._gone), group[0])
                spread |= {n: spread[kept] for n in group}
        return self._split(spread) or sum(map(len, self._groups)) != size

    def guess(self) -> tuple[dict[str, int], dict[str, str]]:
        """Constants among the lost, and what each other register of a class with a lost one is equal to."""
        constant: dict[str, int] = {}
        same: dict[str, str] = {}
        lost = self._gone
        for group in self._groups:
            if group[0] in ("0", "1"):
                constant |= {n: int(group[0]) for n in group[1:] if n in lost}
                continue
            of = next((n for n in group if n not in lost), group[0])
            if any(n in lost for n in group):  # kept ones too: the netlist may have taken either
                same |= {n: of for n in group if n != of}
        return constant, same


def prove(
    unit: flow.Unit, rtl: Side, net: Side, names: dict[str, str], recoded: list[Machine], out: Path, limit: int
) -> dict[str, Any]:
    """Writes both sides with the same inputs and outputs and lets abc decide."""
    coded = {names[m.old(b)] for m in recoded for b in range(m.width)}
    onehot = {m.new(b) for m in recoded for b in m.codes}
    lost = [s for s in rtl.states if s not in net.states and s not in coded]
    extra = [s for s in net.states if s.rstrip("~") not in rtl.states and s not in onehot]
    row: dict[str, Any] = {"unit": unit.name, "registers": len(net.states), "lost": len(lost)}
    if extra:
        return row | {"verdict": "DIFFERS", "why": f"registers that the RTL has not: {', '.join(extra[:4])} ({len(extra)})"}
    functions: list[tuple[str, str, str]] = []
    for name in rtl.outputs.keys() | net.outputs.keys():
        if name in rtl.outputs and name in net.outputs:
            functions.append((name, rtl.outputs[name], net.outputs[name]))
        else:
            return row | {"verdict": "DIFFERS", "why": f"{name} is on one side only"}
    for machine in recoded:
        old = [names[machine.old(b)] for b in range(machine.width)]
        following = [rtl.states[o]["next"] for o in old]
        resets = [rtl.states[o] for o in old]
        level = "".join("1" if r["set"] != "zero" else "0" for r in resets)[::-1]
        reset = next((r[k] for r in resets for k in ("set", "clear") if r[k] != "zero"), "zero")
        for bit, code in machine.codes.items():
            name = machine.new(bit)
            if name not in net.states:
                continue
            is_next = rtl.fresh()
            rtl.lines += [f".names {' '.join(following)} {is_next}", *machine.rows([code])]
            functions.append((f"{name}.next", is_next, net.states[name]["next"]))
            functions.append((f"{name}.set", reset if code == level else "zero", net.states[name]["set"]))
            functions.append((f"{name}.clear", "zero" if code == level else reset, net.states[name]["clear"]))
        stays = rtl.fresh()
        rtl.lines += [f".names {' '.join(following)} {stays}", *machine.rows(list(machine.codes.values()))]
        functions.append((f"{machine.name}.legal", stays, "one"))
    for name, state in net.states.items():
        if name in onehot:
            continue
        ours = rtl.states[name.rstrip("~")]
        for kind in ("next", "set", "clear"):
            functions.append((f"{name}.{kind}", ours[kind], state[kind]))
    classes = Classes(rtl, set(lost)) if lost else None
    fixed, kept_lines, start = functions, rtl.lines, time.monotonic()
    for _ in range(MAX_LEARNT):
        constant, same = classes.guess() if classes else ({}, {})
        row |= {"constant": len(constant), "equal": len(same)}
        functions, rtl.lines = list(fixed), list(kept_lines)
        # What is assumed of registers that were not kept, as next states: the induction step.
        for name, value in constant.items():
            functions.append((f"{name}.constant", rtl.states[name]["next"], "one" if value else "zero"))
            functions.append((f"{name}.held", rtl.states[name]["clear" if value else "set"], "zero"))
        for name, of in same.items():
            for kind in ("next", "set", "clear"):
                if of in net.states:
                    functions.append((f"{name}.{kind} as {of}", rtl.states[name][kind], net.states[of][kind]))
                else:
                    agree = rtl.fresh()
                    rtl.gate("$_XNOR_", agree, {"A": rtl.states[name][kind], "B": rtl.states[of][kind]})
                    functions.append((f"{name}.{kind} as {of}", agree, "one"))
        functions.sort()
        row["functions"] = len(functions)
        inputs = sorted({n.rstrip("~") for n in rtl.inputs.keys() | net.inputs.keys()} - onehot)
        log = compare(rtl, net, names, recoded, constant, same, functions, inputs, out, limit)
        row["seconds"] = round(time.monotonic() - start, 1)
        row["learnt"] = row.get("learnt", -1) + 1
        if "are equivalent" in log and "NOT" not in log:
            return row | {"verdict": "proved"}
        if not classes or not learnt(classes, inputs, log):
            break
    free = [n for n in lost if n not in constant and n not in same]
    if "NOT EQUIVALENT" in log and free:
        why = f"{differing(functions, log)}; {len(free)} registers that were not kept are not explained: {', '.join(free[:3])}"
        return row | {"verdict": "open", "why": why}
    if "NOT EQUIVALENT" in log:
        return row | {"verdict": "DIFFERS", "why": differing(functions, log)}
    return row | {"verdict": "open", "why": (log.strip().splitlines() or ["no answer"])[-1][:200]}


def learnt(classes: Classes, inputs: list[str], log: str) -> bool:
    """Whether a counterexample in the log of abc splits a class of registers."""
    match = re.search(r"INPUT: a = \d+'h([0-9a-fA-F]+)", log)
    if not match:
        return False
    pattern = int(match.group(1), 16)
    return classes.learn({name: pattern >> i & 1 for i, name in enumerate(inputs)})


def compare(
    rtl: Side, net: Side, names: dict[str, str], recoded: list[Machine], constant: dict[str, int], same: dict[str, str],
    functions: list[tuple[str, str, str]], inputs: list[str], out: Path, limit: int,
) -> str:  # fmt: skip
    """Writes both sides with the same inputs and outputs and lets abc decide; what it printed."""
    onehot = {m.new(b) for m in recoded for b in m.codes}
    number = {name: f"i{i}" for i, name in enumerate(inputs)}
    for side, label, which in ((rtl, "rtl", 1), (net, "netlist", 2)):
        text = [f".model {label}", ".inputs " + " ".join(number[n] for n in inputs)]
        text.append(".outputs " + " ".join(f"o{i}" for i in range(len(functions))))
        text += [".names zero", ".names one", "1"]
        for name, own in side.inputs.items():
            if name in onehot:
                machine, bit = next((m, b) for m in recoded for b in m.codes if m.new(b) == name)
                old = " ".join(number[names[machine.old(b)]] for b in range(machine.width))
                text += [f".names {old} {own}", *machine.rows([machine.codes[bit]])]
            elif which == 1 and name in constant:
                text += [f".names {own}", *(["1"] if constant[name] else [])]
            else:
                called = name.rstrip("~")
                text += [f".names {number[same.get(called, called)]} {own}", "1 1"]
        text += side.lines
        for i, machine in enumerate(recoded):
            old = " ".join(number[names[machine.old(b)]] for b in range(machine.width))
            text += [f".names {old} legal{i}", *machine.rows(list(machine.codes.values()))]
        for i, function in enumerate(functions):
            terms = [function[which], *(f"legal{m}" for m in range(len(recoded)))]
            text += [f".names {' '.join(terms)} o{i}", f"{'1' * len(terms)} 1"]
        text.append(".end")
        (out / f"{label}.blif").write_text("\n".join(text) + "\n")
    (out / "functions.txt").write_text("\n".join(f"o{i} {f[0]}" for i, f in enumerate(functions)) + "\n")
    rel = out.relative_to(flow.ROOT)
    script = (
        f"read_blif {rel}/rtl.blif; strash; write_aiger {rel}/rtl.aig; "
        f"read_blif {rel}/netlist.blif; strash; write_aiger {rel}/netlist.aig; "
        f"&cec -T {limit} -C 100000 {rel}/rtl.aig {rel}/netlist.aig"
    )
    try:
        done = subprocess.run(
            [str(ABC), "-c", script], cwd=flow.ROOT, capture_output=True, text=True, timeout=2 * limit + 60, check=False
        )
        log = done.stdout + done.stderr
    except subprocess.TimeoutExpired as error:
        log = f"{(error.stdout or b'').decode(errors='replace')}\nno answer in {2 * limit + 60} s\n"
    (out / "equiv.log").write_text(log)
    return log


def differing(functions: list[tuple[str, str, str]], log: str) -> str:
    match = re.search(r"(?:zero-based number|Output) (\d+)", log)
    return functions[int(match.group(1))][0] if match and int(match.group(1)) < len(functions) else "see equiv.log"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", default="")
    parser.add_argument("--config", default="small", choices=flow.CONFIGS)
    parser.add_argument("--lib", default="osu018")
    parser.add_argument("--pdk")
    parser.add_argument("--point", default="area", choices=flow.POINTS)
    parser.add_argument("--limit", type=int, default=300, help="seconds a proof")
    args = parser.parse_args()
    table = flow.table()
    wanted = args.unit.split(",") if args.unit else list(table["units"])
    known = [*table["units"], *table["references"]]
    if unknown := [u for u in wanted if u not in known]:
        flow.stop(f"unknown unit {', '.join(unknown)}; known: {', '.join(known)}")
    lib = flow.library(args.lib, args.pdk, flow.ROOT / "build/synth/liberty")
    folder = flow.folder(args.config, lib, args.point)
    cells = gates.Cells(lib, flow.ROOT / "build/synth/liberty")
    rows: list[dict[str, Any]] = []
    print(f"{'unit':20}{'verdict':>9}{'functions':>11}{'registers':>11}{'not kept':>10}{'seconds':>9}")
    for name in wanted:
        unit = flow.unit(name)
        area = synth.synthesize(name, args.config, lib, folder, list(table["memories"]), args.point)
        if area.get("problems") or area.get("absent"):
            row = {"unit": name, "verdict": "FAILED", "why": str(area.get("problems") or area.get("absent"))}
        else:
            out = folder / name
            front = flow.ROOT / "build/synth" / args.config / "front" / name
            design = golden(front, unit, out)
            net = json.loads((out / "netlist.json").read_text())["modules"]
            rtl, names = side_of_rtl(design, unit)
            recoded = machines(front / "front.log")
            row = prove(unit, rtl, side_of_netlist(net, unit, cells, names, recoded), names, recoded, out, args.limit)
        rows.append(row)
        print(f"{name:20}{row['verdict']:>9}{row.get('functions', 0):>11,}{row.get('registers', 0):>11,}"
              f"{row.get('lost', 0):>10,}{row.get('seconds', 0):>9.1f}  {row.get('why', '')}", flush=True)  # fmt: skip
    (folder / "equiv.json").write_text(json.dumps({"config": args.config, "library": lib.name, "units": rows}, indent=1) + "\n")
    return 1 if any(r["verdict"] not in ("proved", "open") for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
