# SPDX-License-Identifier: Apache-2.0
"""Memories of a mapped netlist: how many, how large, and what a table (memories.yaml) says of their area and delay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flow
import yaml


@dataclass(frozen=True)
class Memory:
    ports: str  # 1RW or 1R1W
    words: int
    width: int

    @property
    def bits(self) -> int:
        return self.words * self.width

    def row(self, count: int) -> dict[str, Any]:
        return {"ports": self.ports, "words": self.words, "width": self.width, "count": count}


def of_cell(kind: str, netlist: dict[str, Any], elaborated: dict[str, Any], ports: dict[str, Any]) -> Memory:
    """The memory behind a black box: its width from the ports of the netlist, its bits from before it was one."""
    width = len(netlist["modules"][kind]["ports"]["rdata_o"]["bits"])
    bits = int(elaborated["\\" + kind]["num_memory_bits"])
    return Memory(ports[flow.base_name(kind)]["ports"], bits // width, width)


class Model:
    """Area and delay by a table; without one, nothing."""

    def __init__(self, row: dict[str, Any] | None) -> None:
        self._row = row

    def __bool__(self) -> bool:
        return self._row is not None

    def area(self, m: Memory) -> float:
        if not self._row:
            return 0.0
        a = self._row["area"]
        return float(a["macro"] + m.bits * a["bit"][m.ports] + m.words * a["row"] + m.width * a["column"])

    def access_ns(self, m: Memory) -> float:
        if not self._row:
            return 0.0
        a = self._row["access"]
        selects = max(0.0, math.log2(m.words / a["bank"]))
        return float(a["base"] + a["step"] * math.log2(min(m.words, a["bank"])) + a["select"] * selects)

    def setup_ns(self) -> float:
        return float(self._row["setup"]) if self._row else 0.0


def model(choice: str | None, lib: flow.Library | None) -> Model:
    """choice: a file, `none`, or nothing: the table of the project."""
    if choice == "none" or lib is None:
        return Model(None)
    path = Path(choice) if choice else flow.ROOT / "scripts/synth/memories.yaml"
    try:
        table = yaml.safe_load(path.read_text())
        row = table.get(lib.name)
        if row:
            found = Model(row)
            for ports in ("1RW", "1R1W"):
                found.area(Memory(ports, 16, 8))
            found.access_ns(Memory("1RW", 16, 8))
            found.setup_ns()
            return found
    except OSError as error:
        flow.stop(f"memory model {path}: {error.strerror}")
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        flow.stop(f"memory model {path}: not of the form of scripts/synth/memories.yaml ({str(error).splitlines()[0]})")
    return Model(None)
