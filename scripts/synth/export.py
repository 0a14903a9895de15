#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The block as one file of Verilog-2005 that older tools read, and a check that it does what the RTL does.

usage: export.py [--config small|default|large] [--out FILE] [--check CYCLES] [--verilator COMMAND]

The file has the module kvsink_synth (plain vector ports) with all below it; hierarchy and names of registers are kept.
--check runs one bench (Verilog-2005, written beside the file) on both: Icarus takes the exported file, Verilator the RTL.
The bench holds every input stream to the rules of a stream, answers reads of memory, and prints in each cycle every
handshake and, where it is valid, its payload. The two logs must be the same, line by line.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import flow

STREAMS = {  # prefix of a stream into the block: its valid and ready
    "req": ("req_valid_i", "req_ready_o"), "score": ("score_valid_i", "score_ready_o"),
    "partial": ("partial_valid_i", "partial_ready_o"), "cmd": ("cmd_valid_i", "cmd_ready_o"),
    "s_axil_aw": ("s_axil_awvalid_i", "s_axil_awready_o"), "s_axil_w": ("s_axil_wvalid_i", "s_axil_wready_o"),
    "s_axil_ar": ("s_axil_arvalid_i", "s_axil_arready_o"),
}  # fmt: skip
OUT = {  # valid of a stream out of the block: prefix of its payload
    "sink_valid_o": "sink_", "bulk_valid_o": "bulk_", "out_valid_o": "out_", "done_valid_o": "done_",
    "m_axi_arvalid_o": "m_axi_ar", "s_axil_bvalid_o": "s_axil_b", "s_axil_rvalid_o": "s_axil_r",
}  # fmt: skip


def span(port: dict[str, Any]) -> str:
    return f"[{len(port['bits']) - 1}:0] " if len(port["bits"]) > 1 else ""


def bench(ports: dict[str, Any], cycles: int) -> str:
    """The bench: pseudo-random streams that keep to the rules, memory that answers, a line a cycle."""
    lines = [
        "// SPDX-License-Identifier: Apache-2.0",
        "// Written by scripts/synth/export.py: the same bench for the exported netlist and for the RTL.",
        "`timescale 1ns / 1ps",
        "module export_tb;",
        "  reg [63:0] lfsr;",
        "  integer cycle;",
    ]
    for name, port in ports.items():
        lines.append(f"  {'reg' if port['direction'] == 'input' else 'wire'} {span(port)}{name};")
    lines.append(f"  kvsink_synth dut ({', '.join(f'.{p}({p})' for p in ports)});")
    lines += [
        "  function [63:0] after;  // xorshift",
        "    input [63:0] x;",
        "    reg [63:0] y;",
        "    begin y = x ^ (x << 13); y = y ^ (y >> 7); after = y ^ (y << 17); end",
        "  endfunction",
        "  // reads of memory: up to 64 wait, answered in order, data made from the address",
        "  reg [15:0] want_id[0:63]; reg [7:0] want_len[0:63]; reg [63:0] want_addr[0:63];",
        "  reg [5:0] put, get; reg [6:0] count; reg [7:0] beat;",
        "  initial begin",
        "    lfsr = 64'h9E3779B97F4A7C15; put = 0; get = 0; count = 0; beat = 0;",
    ]
    lines += [f"    {p} = 0;" for p, i in ports.items() if i["direction"] == "input"]
    lines += [
        "    rst_ni = 1; #1 rst_ni = 0;",
        "    for (cycle = 0; cycle < 8; cycle = cycle + 1) begin #4 clk_i = 1; #5 clk_i = 0; #1; end",
        "    rst_ni = 1;",
        "    for (cycle = 0; cycle < 8; cycle = cycle + 1) begin #4 clk_i = 1; #5 clk_i = 0; #1; end",
        f"    for (cycle = 0; cycle < {cycles}; cycle = cycle + 1) begin",
        "      drive; #4;",
        "      show;",
        "      settle;",
        "      clk_i = 1; #5 clk_i = 0; #1;",
        "    end",
        "    $finish;",
        "  end",
        "  reg taken_req, taken_score, taken_partial, taken_cmd, taken_s_axil_aw, taken_s_axil_w, taken_s_axil_ar, taken_r;",
        "  initial begin " + " ".join(f"taken_{s} = 1;" for s in [*STREAMS, "r"]) + " end",
        "  task drive;",
        "    begin",
    ]
    plain = {"m_axi_arready_i", "sink_ready_i", "bulk_ready_i", "out_ready_i", "done_ready_i", "s_axil_bready_i", "s_axil_rready_i"}
    for p in sorted(plain):
        lines.append(f"      lfsr = after(lfsr); {p} = lfsr[17:16] != 0;")
    for stream, (valid, _) in STREAMS.items():
        payload = [p for p, i in ports.items() if i["direction"] == "input" and p.startswith(stream + "_" if not
                   stream.startswith("s_axil") else stream) and p not in (valid, *plain)]  # fmt: skip
        lines.append(f"      if (taken_{stream}) begin")
        lines.append(f"        lfsr = after(lfsr); {valid} = lfsr[20:19] {'== 0' if stream in ('cmd', 'req') else '!= 0'};")
        for p in payload:
            width = len(ports[p]["bits"])
            words = -(-width // 32)
            for w in range(words):
                high = min(width, 32 * w + 32) - 1
                part = f"[{high}:{32 * w}]" if width > 1 else ""
                lines.append(f"        lfsr = after(lfsr); {p}{part} = lfsr[{high - 32 * w + 8}:8];")
        if stream == "partial":
            # well-formed partials: four beats each, two partials a merge, plain numbers
            lines += [
                "        partial_beats_i = 4; partial_fmt_i = 0; partial_first_i = pbeat == 0;",
                "        partial_last_partial_i = ppart; partial_id_i = pid; partial_lse_i[30:24] = 7'h40;",
            ]
        if stream.startswith("s_axil_a"):
            lines.append(f"        {stream}addr_i = {{4'd0, {stream}addr_i[11:2], 2'b00}};")
        lines.append("      end")
    lines += [
        "      if (taken_r) begin",
        "        lfsr = after(lfsr); m_axi_rvalid_i = count != 0 && lfsr[9:8] != 0;",
        "        if (m_axi_rvalid_i) begin",
        "          m_axi_rid_i = want_id[get]; m_axi_rresp_i = 0; m_axi_rlast_i = beat == want_len[get];",
        "          m_axi_rdata_i = {8{want_addr[get] ^ {56'd0, beat}}};",
        "        end",
        "      end",
        "    end",
        "  endtask",
        "  reg [15:0] pid; reg ppart; reg [1:0] pbeat;",
        "  initial begin pid = 0; ppart = 0; pbeat = 0; end",
        "  task settle;  // what was taken in this cycle",
        "    begin",
    ]
    for stream, (valid, ready) in STREAMS.items():
        lines.append(f"      taken_{stream} = !{valid} || {ready} === 1'b1;")
    lines += [
        "      if (partial_valid_i && partial_ready_o === 1'b1) begin",
        "        pbeat = pbeat + 1;",
        "        if (pbeat == 0) begin if (ppart) pid = pid + 1; ppart = !ppart; end",
        "      end",
        "      taken_r = !m_axi_rvalid_i || m_axi_rready_o === 1'b1;",
        "      if (m_axi_rvalid_i && m_axi_rready_o === 1'b1) begin",
        "        if (m_axi_rlast_i) begin get = get + 1; count = count - 1; beat = 0; end else beat = beat + 1;",
        "      end",
        "      if (m_axi_arvalid_o === 1'b1 && m_axi_arready_i) begin",
        "        want_id[put] = m_axi_arid_o; want_len[put] = m_axi_arlen_o; want_addr[put] = m_axi_araddr_o;",
        "        put = put + 1; count = count + 1;",
        "      end",
        "      if (count > 48) m_axi_arready_i = 0;",
        "    end",
        "  endtask",
        "  task show;",
        "    begin",
    ]
    handshakes = [p for p, i in ports.items() if i["direction"] == "output" and len(i["bits"]) == 1
                  and re.search(r"(valid|ready)_o$|^irq_o$", p)]  # fmt: skip
    lines.append(f'      $write("%0d %b", cycle, {{{", ".join(handshakes)}}});')
    for valid, prefix in OUT.items():
        payload = [p for p, i in ports.items() if i["direction"] == "output" and p.startswith(prefix) and p not in handshakes]
        if payload:
            lines.append(f'      if ({valid} === 1\'b1) $write(" {prefix} %h", {{{", ".join(payload)}}});')
    lines += ['      $write("\\n");', "    end", "  endtask", "endmodule"]
    return "\n".join(lines) + "\n"


def check(out: Path, netlist: Path, config: str, cycles: int, verilator: list[str]) -> int:
    ports = json.loads((out / "ports.json").read_text())["modules"]["kvsink_synth"]["ports"]
    tb = out / "export_tb.v"
    tb.write_text(bench(ports, cycles))
    sources = flow.read_flist("rtl/kvsink.f")
    sources += [] if "rtl/top/kvsink_synth.sv" in sources else ["rtl/top/kvsink_synth.sv"]
    commands = [
        (["iverilog", "-g2005", "-o", str(out / "icarus"), str(tb), str(netlist)], "icarus build"),
        (["vvp", "-n", str(out / "icarus")], "icarus"),
        ([*verilator, "--binary", "--timing", "-j", "1", "--Mdir", str(out / "rtl"), "--top-module", "export_tb", "-Wno-fatal",
          "-Wno-lint", "-Wno-style", "--x-initial", "unique", "-DSYNTHESIS", f"-DKVSINK_CONFIG_{config.upper()}",
          "-MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include", "-MAKEFLAGS", "OPT_FAST=-O0", "-CFLAGS",
          "-std=c++20 -fcoroutines", "-Irtl/include", *sources, str(tb)], "verilator build"),
        ([str(out / "rtl/Vexport_tb"), "+verilator+rand+reset+2", "+verilator+seed+1"], "verilator"),
    ]  # fmt: skip
    logs: dict[str, list[str]] = {}
    for command, what in commands:
        try:
            done = subprocess.run(command, cwd=flow.ROOT, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            flow.stop(f"{command[0]} is not installed (make doctor)")
        (out / f"{what.replace(' ', '_')}.log").write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            print(f"FAIL export: {what} stopped (status {done.returncode}): {(done.stderr or done.stdout).strip()[-300:]}")
            return 1
        logs[what] = [line for line in done.stdout.splitlines() if re.match(r"\d+ [01xz]+", line)]
    ours, theirs = logs["icarus"], logs["verilator"]
    unknown = sum("x" in line.split()[1] for line in ours)
    different = [i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b]
    shown = {p: sum(f" {p} " in line for line in theirs) for p in OUT.values()}
    print("cycles with a payload: " + ", ".join(f"{p.strip('_')} {n}" for p, n in shown.items()))
    if len(ours) != cycles or len(theirs) != cycles or different or unknown:
        where = f"first in cycle {different[0]}" if different else ""
        print(f"FAIL export: {len(different)} of {len(ours)} cycles differ {where}; {unknown} with an unknown handshake")
        if different:
            print(f"  netlist {ours[different[0]][:200]}\n  RTL     {theirs[different[0]][:200]}")
        return 1
    print(f"pass  {cycles} cycles: the exported Verilog in Icarus and the RTL in Verilator print the same")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="small", choices=flow.CONFIGS)
    parser.add_argument("--out", type=Path, default=flow.ROOT / "build/export/kvsink.v")
    parser.add_argument("--check", type=int, default=0, help="cycles to compare; 0: none")
    parser.add_argument("--verilator", default=os.environ.get("VERILATOR", ""))
    args = parser.parse_args()
    netlist: Path = args.out.resolve()
    out = netlist.parent
    out.mkdir(parents=True, exist_ok=True)
    unit = flow.Unit("kvsink_synth", [], [], {})
    unit.sources = flow.read_flist("rtl/kvsink.f")
    unit.sources += [] if "rtl/top/kvsink_synth.sv" in unit.sources else ["rtl/top/kvsink_synth.sv"]
    text = "\n".join(
        [
            "# SPDX-License-Identifier: Apache-2.0",
            flow.read_slang(unit, args.config, "--keep-hierarchy", "-DSYNTHESIS"),
            "hierarchy -check -top kvsink_synth",
            "proc",
            "opt_expr; opt_clean",
            "memory_dff; memory_collect",
            "bwmuxmap",  # write_verilog has no text for it
            f"write_verilog -noattr {netlist}",
            f"write_json {out}/ports.json",
        ]
    )
    key = flow._digest(text, *((flow.ROOT / s).read_bytes() for s in unit.sources))
    try:
        flow._step(out, "export", text + "\n", key, [netlist.name, "ports.json"])
    except flow.YosysFailed as error:
        print(f"FAIL export: {error}")
        return 1
    lines = netlist.read_text().count("\n")
    print(f"written: {netlist} ({lines:,} lines, configuration {args.config})")
    if not args.check:
        return 0
    if args.verilator:
        command = args.verilator.split()
    else:
        found = list((flow.ROOT / ".venv/lib").glob("python3*/site-packages/verilator/bin/verilator"))
        if not found:
            flow.stop("no Verilator in .venv: make setup, or set VERILATOR=")
        command = ["env", f"VERILATOR_ROOT={found[0].parents[1]}", str(found[0])]
    return check(out, netlist, args.config, args.check, command)


if __name__ == "__main__":
    sys.exit(main())
