// SPDX-License-Identifier: Apache-2.0
rtl/score/sink_scorer_pkg.sv
rtl/score/score_bank.sv
rtl/score/score_divider.sv
rtl/score/score_top_k.sv
rtl/score/sink_scorer.sv
