// SPDX-License-Identifier: Apache-2.0
// lse_merge with one plain port a field, for its tests.

module lse_merge_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input  logic                clk_i,
    input  logic                rst_ni,
    output logic [        31:0] cfg_lanes_o,
    output logic [        31:0] cfg_max_beats_o,
    input  logic                partial_valid_i,
    output logic                partial_ready_o,
    input  logic [        15:0] partial_id_i,
    input  logic                partial_first_i,
    input  logic                partial_last_partial_i,
    input  logic                partial_is_sink_i,
    input  logic [        31:0] partial_lse_i,
    input  logic                partial_base2_i,
    input  logic [         1:0] partial_fmt_i,
    input  logic [         7:0] partial_beats_i,
    input  logic [Lanes*32-1:0] partial_data_i,
    output logic                out_valid_o,
    input  logic                out_ready_i,
    output logic [        15:0] out_id_o,
    output logic                out_first_o,
    output logic                out_last_o,
    output logic [        31:0] out_lse_o,
    output logic                out_nan_o,
    output logic [        31:0] out_sink_mass_o,
    output logic [         1:0] out_fmt_o,
    output logic [Lanes*32-1:0] out_data_o,
    output logic                merge_done_o,
    output logic                merge_weighted_o,
    output logic [        31:0] sink_mass_o,
    output logic                nan_o,
    output logic                error_o
);

  partial_t partial;
  merged_t  merged;

  assign cfg_lanes_o = Lanes;
  assign cfg_max_beats_o = u_dut.MaxBeats;
  assign partial = '{
          id: partial_id_i,
          first: partial_first_i,
          last_partial: partial_last_partial_i,
          is_sink: partial_is_sink_i,
          lse: partial_lse_i,
          base2: partial_base2_i,
          fmt: fmt_e'(partial_fmt_i),
          beats: partial_beats_i,
          data: partial_data_i
      };
  assign out_id_o = merged.id;
  assign out_first_o = merged.first;
  assign out_last_o = merged.last;
  assign out_lse_o = merged.lse;
  assign out_nan_o = merged.nan;
  assign out_sink_mass_o = merged.sink_mass;
  assign out_fmt_o = merged.fmt;
  assign out_data_o = merged.data;

  lse_merge u_dut (
      .clk_i,
      .rst_ni,
      .partial_valid_i,
      .partial_ready_o,
      .partial_i(partial),
      .out_valid_o,
      .out_ready_i,
      .out_o    (merged),
      .merge_done_o,
      .merge_weighted_o,
      .sink_mass_o,
      .nan_o,
      .error_o
  );

endmodule
