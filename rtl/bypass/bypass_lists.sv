// SPDX-License-Identifier: Apache-2.0
// The lists: for each, rows of {granule, hit bitmap, profiles, slots} in ascending order of granules.
//
// Contract: written by the lookup engine, read by the sink engine (whole rows) and by the bulk engine (without slots),
// each on a port of its own; data a cycle after the read, held until the next one. A row is not read in the cycle it is
// written in.

module bypass_lists
  import kvsink_pkg::*;
  import bypass_pkg::*;
(
    input  logic       clk_i,
    input  logic       wr_valid_i,
    input  list_row_t  wr_row_i,
    input  hit_row_t   wr_hit_i,
    input  slots_row_t wr_slots_i,
    input  logic       sink_read_i,
    input  list_row_t  sink_row_i,
    output hit_row_t   sink_hit_o,
    output slots_row_t sink_slots_o,
    input  logic       bulk_read_i,
    input  list_row_t  bulk_row_i,
    output hit_row_t   bulk_hit_o
);

  kv_ram_1r1w #(
      .Words(ListRows),
      .Width($bits(hit_row_t) + $bits(slots_row_t))
  ) u_sink (
      .clk_i,
      .re_i   (sink_read_i),
      .raddr_i(sink_row_i),
      .rdata_o({sink_hit_o, sink_slots_o}),
      .we_i   (wr_valid_i),
      .waddr_i(wr_row_i),
      .wdata_i({wr_hit_i, wr_slots_i})
  );

  kv_ram_1r1w #(
      .Words(ListRows),
      .Width($bits(hit_row_t))
  ) u_bulk (
      .clk_i,
      .re_i   (bulk_read_i),
      .raddr_i(bulk_row_i),
      .rdata_o(bulk_hit_o),
      .we_i   (wr_valid_i),
      .waddr_i(wr_row_i),
      .wdata_i(wr_hit_i)
  );

endmodule
