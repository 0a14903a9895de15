#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes what comes from rtl/csr/kvsink.rdl: the register RTL, its write checker, the C header and the manual's tables.
#
# usage: gen_csr.sh [--check]     --check writes nothing; it fails when a file in the tree is not what would be written
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
bin=${VENV_BIN:-.venv/bin}
rdl=rtl/csr/kvsink.rdl
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

"$bin/peakrdl" regblock "$rdl" -o "$out" --cpuif passthrough --default-reset rst_n --err-if-bad-addr --err-if-bad-rw \
  --addr-width 16 --module-name kvsink_regs --type-style hier
"$bin/peakrdl" c-header "$rdl" -o "$out/kvsink_regs.h" --type-style hier
"$bin/peakrdl" markdown "$rdl" -o "$out/registers.md" 2>"$out/markdown.log" || { cat "$out/markdown.log" >&2; exit 1; }
# The tool has no words for a reset value that is a signal.
sed -i 's/<SignalNode [^>]*>/by configuration/' "$out/registers.md"
"$bin/python" scripts/gen_csr_check.py "$rdl" "$out/kvsink_csr_check.sv"

status=0
# place NAME PATH PREFIX SUFFIX: NAME of the output belongs at PATH, below a licence line between PREFIX and SUFFIX.
place() {
  { printf '%s SPDX-License-Identifier: Apache-2.0%s\n' "$3" "$4"; cat "$out/$1"; } >"$out/placed"
  if [ "${check:-}" ]; then
    if ! cmp -s "$out/placed" "$2"; then
      echo "$2 is not what $rdl gives: run scripts/gen_csr.sh" >&2
      status=1
    fi
  else
    mkdir -p "$(dirname "$2")"
    cmp -s "$out/placed" "$2" || cp "$out/placed" "$2"
  fi
}

check=
[ "${1:-}" = "--check" ] && check=1
place kvsink_regs_pkg.sv rtl/csr/gen/kvsink_regs_pkg.sv '//' ''
place kvsink_regs.sv rtl/csr/gen/kvsink_regs.sv '//' ''
place kvsink_csr_check.sv rtl/csr/gen/kvsink_csr_check.sv '//' ''
place kvsink_regs.h sw/driver/include/kvsink_regs.h '//' ''
place registers.md docs/registers.md '<!--' ' -->'
exit $status
