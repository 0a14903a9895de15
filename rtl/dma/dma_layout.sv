// SPDX-License-Identifier: Apache-2.0
// What lies behind what, worked out from the layout and the profiles for promotion_dma: one plane a cycle, round and round.
//
// Contract: the answers hold from 16 cycles after layout_i and profiles_i changed last.
//   heads_join_o[p]  the row of the next head lies behind this one, in plane p
//   fused_o[f]       the planes of profile f are neighbours, and those of a head lie behind each other
//   fused_join_o[f]  and so do the heads

module dma_layout
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned HeadBeatsW = 10  // bits of the beats of a head
) (
    input logic clk_i,

    input layout_cfg_t                 layout_i,
    input profile_cfg_t [Profiles-1:0] profiles_i,

    output logic [  Planes-1:0] heads_join_o,
    output logic [Profiles-1:0] fused_o,
    output logic [Profiles-1:0] fused_join_o
);

  localparam int unsigned LineW = 32 - BeatShift;
  typedef logic [LineW-1:0] line_t;

  // No reset: whatever they begin with, one round sets them right.
  plane_t plane_q;
  logic [1:0] tensor_q, set_q;
  logic [2:0] share_q;
  line_t end_q;  // where the plane below ends
  logic [Profiles-1:0] seen_q, apart_q;  // this far: a plane of the profile, one not behind the last

  plane_cfg_t plane;
  line_t head_stride;
  logic first, last, behind;
  assign plane = layout_i.plane[plane_q];
  assign head_stride = layout_i.stride[plane.stride_set].head[31:BeatShift];
  assign first = plane_q == '0;
  assign last = plane_q == plane_t'(Planes - 1);
  assign behind = plane.tensor == tensor_q && plane.stride_set == set_q && plane.share_log2 == share_q &&
      plane.offset[31:BeatShift] == end_q;

  logic [Profiles-1:0] here, below, seen, apart;
  always_comb begin
    for (int unsigned f = 0; f < Profiles; f++) begin
      here[f]  = profiles_i[f].plane_mask[plane_q];
      below[f] = profiles_i[f].plane_mask[plane_q-plane_t'(1)];
      seen[f]  = !first && seen_q[f];
      apart[f] = (!first && apart_q[f]) || (here[f] && seen[f] && !(below[f] && behind));
    end
  end

  always_ff @(posedge clk_i) begin
    plane_q <= plane_q + plane_t'(1);
    tensor_q <= plane.tensor;
    set_q <= plane.stride_set;
    share_q <= plane.share_log2;
    end_q <= plane.offset[31:BeatShift] + line_t'(plane.row_beats);
    heads_join_o[plane_q] <= head_stride == line_t'(plane.row_beats);
    seen_q <= seen | here;
    apart_q <= apart;
    for (int unsigned f = 0; f < Profiles; f++) begin
      if (last) fused_o[f] <= !apart[f];
      if (here[f] && !seen[f]) fused_join_o[f] <= head_stride == line_t'(HeadBeatsW'(profiles_i[f].head_beats));
    end
  end

  logic unused;
  assign unused = ^{layout_i, profiles_i, plane};

endmodule
