#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the tables of lse_merge, with a proven bound of each unit's error, and the error budget of the whole merge.

The three units (2**f, 1/m, log m) have one shape: the interval is cut into equal pieces, each with a quadratic
c0 + c1*u + c2*u**2 in the distance u from the left end of its piece. Coefficients interpolate the function at the
Chebyshev nodes of the piece, which is close to the best quadratic; the first piece is made exact at its left end, so
that 2**0 = 1, 1/1 = 1 and log 1 = 0 hold without error.

How the bounds are proven: with the rounded coefficients, e(u) = c0 + c1*u + c2*u**2 - f(x0 + u) has a third derivative
of constant sign, so its derivative has at most two zeros, one on each side of the (closed-form) zero of e''. They are
bracketed and bisected in 60-digit decimal arithmetic; the extremes of e are there or at the ends of the piece. What
the datapath truncates is added by interval arithmetic, each truncation being in (-1, 0] units of its last place.

  gen_merge_tables.py [--root DIR]           writes the files
  gen_merge_tables.py [--root DIR] --check   exits 1 when a file differs from what would be written
"""

import argparse
import pathlib
import sys
from decimal import ROUND_HALF_EVEN, Decimal, getcontext

getcontext().prec = 60

ONE = Decimal(1)
LN2 = Decimal(2).ln()
LOG2E = ONE / LN2


def pow2(n):
    return Decimal(2) ** n


def nearest(x, frac):
    """x in units of 2**-frac, rounded to nearest."""
    return int((x * pow2(frac)).to_integral_value(ROUND_HALF_EVEN))


# ------------------------------------------------------------------------------------------------------------ formats
SUM_FRAC = 33  # fraction bits of c0, of both products and of their sum
C1_FRAC = 26
C2_FRAC = 18
UT_BITS = 19  # bits of u that are squared
SQ_BITS = 20  # bits kept of the square
WEIGHT_FRAC = 28
RECIP_FRAC = 29
LOG2E_FRAC = 40
LN2_FRAC = 44
LSE_FRAC = 32  # fraction bits of lse in fixed point
T_FRAC = 30  # fraction bits of the binary logarithm of a weight
ACC_BITS = 40  # significand of the accumulators, truncated
M_FRAC = 32  # fraction bits of the sum's significand that the reciprocal and the logarithm see
FINAL_BITS = 30  # bits of the accumulator that enter the last multiplication
PARTIALS = 64
IGNORE = 224  # nats (320 in base 2) below the maximum from where a partial weighs nothing


class Unit:
    """One function over [low, low + pieces * 2**-index_bits), x = low + piece / pieces + u."""

    def __init__(self, name, index_bits, u_bits, low, f, df, ddf_zero, sign1, sign2):
        self.name, self.index_bits, self.u_bits, self.low = name, index_bits, u_bits, Decimal(low)
        self.f, self.df, self.ddf_zero = f, df, ddf_zero
        self.sign1, self.sign2 = sign1, sign2
        self.u_frac = index_bits + u_bits  # fraction bits of u
        self.rows = [self.fit(i) for i in range(1 << index_bits)]
        self.bounds = [self.prove(i) for i in range(1 << index_bits)]

    def fit(self, i):
        h = pow2(-self.index_bits)
        x0 = self.low + i * h
        c = Decimal(3).sqrt() / 2  # roots of T3: -c, 0, c
        if i == 0:  # the leftmost node at the left end itself
            half = h / (1 + c)
            nodes = [Decimal(0), c * half, 2 * c * half]
        else:
            nodes = [h / 2 * (1 - c), h / 2, h / 2 * (1 + c)]
        y = [self.f(x0 + n) for n in nodes]
        d01 = (y[1] - y[0]) / (nodes[1] - nodes[0])
        d12 = (y[2] - y[1]) / (nodes[2] - nodes[1])
        c2 = (d12 - d01) / (nodes[2] - nodes[0])
        c1 = d01 - c2 * (nodes[0] + nodes[1])
        c0 = y[0] - c1 * nodes[0] - c2 * nodes[0] * nodes[0]
        row = (nearest(c0, SUM_FRAC), nearest(abs(c1), C1_FRAC), nearest(abs(c2), C2_FRAC))
        assert (c1 > 0) == (self.sign1 > 0) and (c2 > 0) == (self.sign2 > 0)
        if i == 0:
            assert row[0] == nearest(self.f(x0), SUM_FRAC) == self.f(x0) * pow2(SUM_FRAC)
        return row

    def coefficients(self, i):
        r = self.rows[i]
        return (r[0] * pow2(-SUM_FRAC), self.sign1 * r[1] * pow2(-C1_FRAC), self.sign2 * r[2] * pow2(-C2_FRAC))

    def prove(self, i):
        """(least, greatest) of (computed sum) - f on piece i, before the sum is rounded."""
        h = pow2(-self.index_bits)
        x0 = self.low + i * h
        c0, c1, c2 = self.coefficients(i)

        def e(u):
            return c0 + c1 * u + c2 * u * u - self.f(x0 + u)

        def de(u):
            return c1 + 2 * c2 * u - self.df(x0 + u)

        points = [Decimal(0), h]
        bend = min(max(self.ddf_zero(c2) - x0, Decimal(0)), h)
        for a, b in ((Decimal(0), bend), (bend, h)):
            if (de(a) > 0) != (de(b) > 0):
                for _ in range(70):
                    mid = (a + b) / 2
                    if (de(mid) > 0) == (de(a) > 0):
                        a = mid
                    else:
                        b = mid
                points.append(a)
        values = [e(u) for u in points]
        slack = pow2(-80)  # of the bisection: |e''| < 4 times the square of 2**-70
        low, high = min(values) - slack, max(values) + slack
        # Truncations. Products: one unit of the sum each. Square: bits of u not squared, and its own last bits.
        product = pow2(-SUM_FRAC)
        drop = self.u_bits - UT_BITS
        square = 2 * h * pow2(drop - self.u_frac) + pow2(-(2 * self.index_bits + SQ_BITS))
        square_term = abs(c2) * square + product
        if self.sign1 > 0:
            low -= product
        else:
            high += product
        if self.sign2 > 0:
            low -= square_term
        else:
            high += square_term
        return low, high

    def model(self, i, u):
        """The datapath, in integers: the sum in units of 2**-SUM_FRAC."""
        c0, c1, c2 = self.rows[i]
        p1 = (c1 * u) >> (C1_FRAC + self.u_frac - SUM_FRAC)
        ut = u >> (self.u_bits - UT_BITS)
        sq = (ut * ut) >> (2 * UT_BITS - SQ_BITS)
        p2 = (c2 * sq) >> (C2_FRAC + 2 * self.index_bits + SQ_BITS - SUM_FRAC)
        return c0 + self.sign1 * p1 + self.sign2 * p2

    def self_test(self):
        """The bound holds at the ends, the middle and some odd places of every piece."""
        for i in range(1 << self.index_bits):
            for u in {0, 1, (1 << self.u_bits) - 1, 1 << (self.u_bits - 1), (i * 7919 * 104729) % (1 << self.u_bits)}:
                x = self.low + i * pow2(-self.index_bits) + u * pow2(-self.u_frac)
                err = self.model(i, u) * pow2(-SUM_FRAC) - self.f(x)
                assert self.bounds[i][0] <= err <= self.bounds[i][1], (self.name, i, u, err)


def make_units():
    def exp2(x):
        return (x * LN2).exp()

    units = {
        "exp": Unit("exp", 7, 23, 0, exp2, lambda x: LN2 * exp2(x),
                    lambda c2: (2 * c2 / (LN2 * LN2)).ln() / LN2, 1, 1),
        "rec": Unit("rec", 8, 24, 1, lambda x: 1 / x, lambda x: -1 / (x * x),
                    lambda c2: (-c2.ln() / 3).exp(), -1, 1),
        "ln": Unit("ln", 7, 25, 1, lambda x: x.ln(), lambda x: 1 / x,
                   lambda c2: (-1 / (2 * c2)).sqrt(), 1, -1),
        "log2": Unit("log2", 7, 25, 1, lambda x: x.ln() * LOG2E, lambda x: LOG2E / x,
                     lambda c2: (-LOG2E / (2 * c2)).sqrt(), 1, -1),
    }
    for u in units.values():
        u.self_test()
    return units


# ------------------------------------------------------------------------------------------------------------- budget
def budget(units, judge=True):
    """Rows (name, how, O in ulp of M, lse of base e and of base 2 in ulp) and the proven ranges of the units. `judge`: what
    the datapath takes for granted holds; tables of other sizes than the built ones may break it."""
    exp, rec = units["exp"], units["rec"]
    w_low, w_high = Decimal(0), Decimal(0)
    for i, (low, high) in enumerate(exp.bounds):
        left = exp.f(i * pow2(-exp.index_bits))
        w_low = min(w_low, (low - pow2(-WEIGHT_FRAC) + pow2(-SUM_FRAC)) / left)
        w_high = max(w_high, high / left)
    # The weight must stay below 2. Within a piece the sum never falls as u grows, so the ends of the pieces decide.
    assert not judge or max(exp.model(i, (1 << exp.u_bits) - 1) for i in range(len(exp.rows))) < 2 << SUM_FRAC

    r_err = Decimal(0)
    for i, (low, high) in enumerate(rec.bounds):
        right = rec.f(1 + (i + 1) * pow2(-rec.index_bits))
        r_err = max(r_err, (max(-low, high) + pow2(-RECIP_FRAC - 1)) / right)
    last = len(rec.rows) - 1
    least = pow2(-1) + pow2(-M_FRAC) / 4 + rec.bounds[last][0]
    assert not judge or least > pow2(-1) - pow2(-RECIP_FRAC - 1)  # so 1/m, rounded, is never below a half

    log_err = {n: max(max(-low, high) for low, high in units[n].bounds) for n in ("ln", "log2")}

    top = pow2(24)  # ulp of M over M, at most (M just below a power of two)
    lse_ulp = pow2(23)  # 1 / ulp of a result in [1, 2)
    log2e_err = abs(nearest(LOG2E, LOG2E_FRAC) * pow2(-LOG2E_FRAC) - LOG2E)
    ln2_err = abs(nearest(LN2, LN2_FRAC) * pow2(-LN2_FRAC) - LN2)
    adds = PARTIALS - 1

    align = 2 * pow2(-LSE_FRAC)  # two lse, each cut towards zero
    t_round = 2 * LN2 * pow2(-T_FRAC - 1)
    const = IGNORE * log2e_err * LN2
    ignored = PARTIALS * pow2(-320)
    # An addition aligns one operand (1 unit), cuts the product (1 unit) and may shift right by up to two places
    # (3 units, in units before the shift); a unit is 2**-(ACC_BITS-2) of the larger operand at most, which is at most
    # M so far.
    # The first term is cut as the others are: one more.
    acc = (adds + 1) * 5 * pow2(-(ACC_BITS - 2))
    ssum = adds * 2 * pow2(-(ACC_BITS - 1))
    m_cut = pow2(-M_FRAC)
    final = pow2(-(FINAL_BITS - 1))
    s_rel = max(-w_low, w_high)
    second = 16 * pow2(-26) * pow2(-26)  # a few products of relative errors, none above 2^-26

    # An error of a weight's relative size r moves lse by r in base e and by r * log2 e in base 2; one of its binary
    # logarithm by as many nats times ln 2, or as it is. log2 e as a constant is used in base e alone, and so is ln 2.
    weight = s_rel * lse_ulp
    rows = [
        ("last rounding", "half an ulp", Decimal("0.5"), Decimal("0.5"), Decimal("0.5")),
        ("lse in fixed point", f"2 x 2^-{LSE_FRAC}, towards zero", align * top, align * lse_ulp, align * lse_ulp),
        ("log2 e", f"{LOG2E_FRAC} fraction bits, difference up to {IGNORE} nats", const * top,
         63 * IGNORE * log2e_err * LN2 * lse_ulp, Decimal(0)),
        ("log2 of the weight", f"rounded to 2^-{T_FRAC}", t_round * top, t_round / 2 * lse_ulp,
         pow2(-T_FRAC - 1) * lse_ulp),
        ("2^f", "width of the proven range of the relative error (a common factor cancels)", (w_high - w_low) * top,
         weight, weight * LOG2E),
        ("accumulator of O", f"64 additions, {ACC_BITS} bits, truncated", acc * top, Decimal(0), Decimal(0)),
        ("sum of the weights", f"63 additions, {ACC_BITS} bits, truncated", ssum * top, ssum * lse_ulp,
         ssum * LOG2E * lse_ulp),
        ("sum as the tables see it", f"{M_FRAC} fraction bits", m_cut * top, m_cut * lse_ulp, m_cut * LOG2E * lse_ulp),
        ("1/m", "proven relative error, rounding included", r_err * top, Decimal(0), Decimal(0)),
        ("accumulator into the last product", f"{FINAL_BITS} bits, truncated", final * top, Decimal(0), Decimal(0)),
        ("log m", "proven absolute error", Decimal(0), log_err["ln"] * lse_ulp, log_err["log2"] * lse_ulp),
        ("exponent times ln 2", f"{LN2_FRAC} fraction bits, 16-bit exponent", Decimal(0),
         (pow2(15) * ln2_err + pow2(-SUM_FRAC)) * lse_ulp, Decimal(0)),
        ("products of two errors", "16 products of relative errors below 2^-26", second * top, second * lse_ulp,
         second * LOG2E * lse_ulp),
        ("ignored partials", "64 x 2^-320 of the largest float, in units of 2^-149", ignored * pow2(128 + 149),
         ignored * lse_ulp, ignored * LOG2E * lse_ulp),
        ("below the denormals", f"{PARTIALS} x 2^-160 in units of 2^-149", PARTIALS * pow2(-160 + 149), Decimal(0),
         Decimal(0)),
    ]
    ranges = {"w_low": w_low, "w_high": w_high, "r_err": r_err, **log_err}
    return rows, ranges


# ------------------------------------------------------------------------------------------------------------- output
HEADER = "// SPDX-License-Identifier: Apache-2.0\n// Written by scripts/gen_merge_tables.py; do not edit.\n"


def log2_of(x):
    return float((x.ln() / LN2))


def widths(rows):
    return [max(r[j] for r in rows).bit_length() for j in range(3)]


def rom_module(name, doc, rows, address_bits):
    w = widths(rows)
    total = sum(w)
    digit = max(len(str(n - 1)) for n in w)  # ports are aligned as the formatter does it
    digits = (total + 3) // 4
    out = [HEADER + f"// {doc}", f"// {len(rows)} words of {{c0, c1, c2}}: {w[0]} + {w[1]} + {w[2]} bits, combinational.",
           "", f"module {name} (",
           f"    input  logic [{address_bits - 1:{digit}}:0] addr_i,",
           f"    output logic [{w[0] - 1:{digit}}:0] c0_o,",
           f"    output logic [{w[1] - 1:{digit}}:0] c1_o,",
           f"    output logic [{w[2] - 1:{digit}}:0] c2_o",
           ");", "", f"  logic [{total - 1}:0] word;", "  assign {c0_o, c1_o, c2_o} = word;", "",
           "  always_comb begin", "    unique case (addr_i)"]
    for i, r in enumerate(rows):
        value = (r[0] << (w[1] + w[2])) | (r[1] << w[2]) | r[2]
        label = "default" if i == len(rows) - 1 else f"{address_bits}'d{i}"
        out.append(f"      {label}: word = {total}'h{value:0{digits}x};")
    out += ["    endcase", "  end", "", "endmodule", ""]
    return "\n".join(out), w


def cpp_table(name, rows):
    out = [f"inline constexpr std::array<Quadratic, {len(rows)}> {name}{{{{"]
    for i in range(0, len(rows), 2):
        out.append("    " + " ".join("{%d, %d, %d}," % r for r in rows[i:i + 2]))
    out.append("}};")
    return "\n".join(out)


def render(units):
    rows, ranges = budget(units)
    total_o = sum(r[2] for r in rows)
    total_lse = [sum(r[column] for r in rows) for column in (3, 4)]
    assert total_o < 1 and max(total_lse) < 1
    log_rows = units["ln"].rows + units["log2"].rows
    files = {}

    def bound(n):
        low = min(b[0] for b in units[n].bounds)
        high = max(b[1] for b in units[n].bounds)
        return f"-2^{log2_of(-low):.2f} .. +2^{log2_of(high):.2f}"

    files["rtl/merge/merge_rom_exp.sv"], we = rom_module(
        "merge_rom_exp", f"2^f on [0, 1), by f[29:23]. Error of the quadratic with its truncations: {bound('exp')}.",
        units["exp"].rows, 7)
    files["rtl/merge/merge_rom_rec.sv"], wr = rom_module(
        "merge_rom_rec", f"1/m on [1, 2), by the 8 first fraction bits of m. Error: {bound('rec')}.",
        units["rec"].rows, 8)
    files["rtl/merge/merge_rom_log.sv"], wl = rom_module(
        "merge_rom_log", "Logarithm on [1, 2), by {base 2, the 7 first fraction bits of m}.\n"
        f"// Error: ln {bound('ln')}; log2 {bound('log2')}.", log_rows, 8)
    files["rtl/merge/merge_const_pkg.sv"] = HEADER + f"""// Constants of lse_merge and the widths of its tables.

package merge_const_pkg;

  // log2 e and ln 2, rounded to nearest.
  localparam int unsigned Log2EFrac = {LOG2E_FRAC};
  localparam logic [{LOG2E_FRAC}:0] Log2E = {LOG2E_FRAC + 1}'h{nearest(LOG2E, LOG2E_FRAC):x};
  localparam int unsigned Ln2Frac = {LN2_FRAC};
  localparam logic [{LN2_FRAC - 1}:0] Ln2 = {LN2_FRAC}'h{nearest(LN2, LN2_FRAC):x};

  // Fraction bits of the quadratics: c0 and the sum, c1, c2; bits of u that are squared, and kept of the square.
  localparam int unsigned SumFrac = {SUM_FRAC};
  localparam int unsigned C1Frac = {C1_FRAC};
  localparam int unsigned C2Frac = {C2_FRAC};
  localparam int unsigned SquareIn = {UT_BITS};
  localparam int unsigned SquareOut = {SQ_BITS};

  // Widths of the tables' words.
  localparam int unsigned ExpC0W = {we[0]};
  localparam int unsigned ExpC1W = {we[1]};
  localparam int unsigned ExpC2W = {we[2]};
  localparam int unsigned RecC0W = {wr[0]};
  localparam int unsigned RecC1W = {wr[1]};
  localparam int unsigned RecC2W = {wr[2]};
  localparam int unsigned LogC0W = {wl[0]};
  localparam int unsigned LogC1W = {wl[1]};
  localparam int unsigned LogC2W = {wl[2]};

endpackage
"""
    files["sw/models/lse_merge_tables.hpp"] = HEADER + f"""// Tables of the bit-exact model of lse_merge: c0, |c1|, |c2| with {SUM_FRAC}, {C1_FRAC} and {C2_FRAC} fraction bits.
#pragma once

#include <array>
#include <cstdint>

namespace kvsink::model::merge_tables {{

struct Quadratic {{
  uint64_t c0;
  uint32_t c1;
  uint32_t c2;
}};

// log2 e with {LOG2E_FRAC} and ln 2 with {LN2_FRAC} fraction bits.
inline constexpr uint64_t kLog2E = {nearest(LOG2E, LOG2E_FRAC)};
inline constexpr uint64_t kLn2 = {nearest(LN2, LN2_FRAC)};

// clang-format off
// 2^f, f = i/128 + u
{cpp_table("kExp", units["exp"].rows)}

// 1/m, m = 1 + i/256 + u
{cpp_table("kRec", units["rec"].rows)}

// ln m, m = 1 + i/128 + u
{cpp_table("kLn", units["ln"].rows)}

// log2 m, m = 1 + i/128 + u
{cpp_table("kLog2", units["log2"].rows)}
// clang-format on

}}  // namespace kvsink::model::merge_tables
"""
    md = ["<!-- SPDX-License-Identifier: Apache-2.0 -->",
          "<!-- Written by scripts/gen_merge_tables.py; do not edit. -->",
          "# Tables and error budget of lse_merge", "",
          "| unit | pieces | bits of c0, c1, c2 | ROM bits | proven error of the sum |", "|---|---|---|---|---|"]
    for n, title in (("exp", "2^f, f in [0, 1)"), ("rec", "1/m, m in [1, 2)"), ("ln", "ln m"), ("log2", "log2 m")):
        w = {"exp": we, "rec": wr, "ln": wl, "log2": wl}[n]
        count = len(units[n].rows)
        md.append(f"| {title} | {count} | {w[0]}, {w[1]}, {w[2]} | {count * sum(w)} | {bound(n)} |")
    md += ["", "Absolute errors, truncations of the datapath included, before the last rounding of the unit. Behind it: the",
           f"weight 2^f cut to {WEIGHT_FRAC} fraction bits has a relative error in -2^{log2_of(-ranges['w_low']):.2f} .. "
           f"+2^{log2_of(ranges['w_high']):.2f}; 1/m rounded to {RECIP_FRAC} fraction bits has at most "
           f"2^{log2_of(ranges['r_err']):.2f} relative.", "",
           "Worst cases, all added up, for 64 partials. O in ulp(fp32) of M = sum w|O| at the worst mantissa of M (just below",
           "a power of two), lse in ulp(fp32) of max(1, |lse|). Why these rows and no others: [the argument](lse_merge_error.md).",
           "", "| source | how | O | lse, base e | lse, base 2 |", "|---|---|---|---|---|"]

    def show(x):
        return "0" if x == 0 else (f"{x:.4f}" if x > Decimal("0.00005") else "< 0.0001")

    md += [f"| {a} | {b} | {show(c)} | {show(d)} | {show(e)} |" for a, b, c, d, e in rows]
    md += [f"| **sum** | bound asked for: 1 | **{show(total_o)}** | **{show(total_lse[0])}** | **{show(total_lse[1])}** |", ""]
    files["docs/theory/lse_merge_tables.md"] = "\n".join(md)
    return files


def main():
    parser = argparse.ArgumentParser(description="tables and error budget of lse_merge")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--check", action="store_true", help="compare instead of write")
    args = parser.parse_args()
    bad = 0
    for name, text in render(make_units()).items():
        path = args.root / name
        if args.check:
            if not path.is_file() or path.read_text() != text:
                print(f"{name}: differs from what scripts/gen_merge_tables.py makes; run it", file=sys.stderr)
                bad = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return bad


if __name__ == "__main__":
    sys.exit(main())
