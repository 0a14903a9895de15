// SPDX-License-Identifier: Apache-2.0
tb/score/sink_scorer_tb.sv
