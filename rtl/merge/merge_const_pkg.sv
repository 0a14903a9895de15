// SPDX-License-Identifier: Apache-2.0
// Written by scripts/gen_merge_tables.py; do not edit.
// Constants of lse_merge and the widths of its tables.

package merge_const_pkg;

  // log2 e and ln 2, rounded to nearest.
  localparam int unsigned Log2EFrac = 40;
  localparam logic [40:0] Log2E = 41'h171547652b8;
  localparam int unsigned Ln2Frac = 44;
  localparam logic [43:0] Ln2 = 44'hb17217f7d1d;

  // Fraction bits of the quadratics: c0 and the sum, c1, c2; bits of u that are squared, and kept of the square.
  localparam int unsigned SumFrac = 33;
  localparam int unsigned C1Frac = 26;
  localparam int unsigned C2Frac = 18;
  localparam int unsigned SquareIn = 19;
  localparam int unsigned SquareOut = 20;

  // Widths of the tables' words.
  localparam int unsigned ExpC0W = 34;
  localparam int unsigned ExpC1W = 27;
  localparam int unsigned ExpC2W = 17;
  localparam int unsigned RecC0W = 34;
  localparam int unsigned RecC1W = 26;
  localparam int unsigned RecC2W = 18;
  localparam int unsigned LogC0W = 33;
  localparam int unsigned LogC1W = 27;
  localparam int unsigned LogC2W = 18;

endpackage
