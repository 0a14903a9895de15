// SPDX-License-Identifier: Apache-2.0
// Address of a row: base[layer][tensor] + block*S_block + head*S_head + (token >> share_log2)*S_token + offset, where
// the plane names its tensor, stride set, offset and share_log2. Modulo 2**AddrW. Bases, strides and offsets are whole
// numbers of beats: their bits below one are not looked at.
//
// Contract: valid/ready on both sides, order kept; user_i comes out beside the address it went in with. layout_i and the
// base table are static while rows are in the pipeline. Bases are written one a cycle; each instance holds its own copy.
// Latency 3 cycles (taken in t, addr_o in t+3), one row a cycle. The stages move together: while valid_o waits, ready_o
// is low, which is the one combinational path (ready_i to ready_o).
//
//   cycle   t                          t+1                         t+2            t+3
//           base RAM read              base + offset               one sum of     addr_o
//           pick tensor and set        products (radix 4)          three
//   U  type of the payload that passes along

`include "kvsink_assert.svh"

module kv_addr
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter type U = logic,
    localparam int unsigned BaseAddrW = $clog2(Layers) + $clog2(Tensors)
) (
    input  logic                        clk_i,
    input  logic                        rst_ni,
    input  layout_cfg_t                 layout_i,
    input  logic                        base_we_i,
    input  logic        [BaseAddrW-1:0] base_waddr_i,  // {layer, tensor}
    input  addr_t                       base_wdata_i,
    input  logic                        valid_i,
    output logic                        ready_o,
    input  layer_t                      layer_i,
    input  kv_head_t                    head_i,
    input  plane_t                      plane_i,
    input  word_t                       block_i,       // physical block, generation masked away
    input  page_token_t                 token_i,
    input  U                            user_i,
    output logic                        valid_o,
    input  logic                        ready_i,
    output addr_t                       addr_o,
    output U                            user_o
);

  localparam int unsigned Stages = 3;
  // Everything is a whole number of beats, so addresses and strides are kept in beats.
  localparam int unsigned LineW = AddrW - BeatShift;
  localparam int unsigned BlockStrideW = 40 - BeatShift;
  localparam int unsigned StrideW = 32 - BeatShift;
  localparam int unsigned HeadW = $bits(kv_head_t);
  localparam int unsigned NearW = StrideW + ((HeadW > PageLog2Max) ? HeadW : PageLog2Max) + 1;  // within a page
  typedef logic [LineW-1:0] line_t;

  if (Layers != 2 ** $clog2(Layers)) begin : gen_bad_layers
    $error("kv_addr: Layers %0d is not a power of two", Layers);
  end

  logic advance;
  logic [Stages:1] valid_q;
  assign advance = !valid_q[Stages] || ready_i;
  assign ready_o = advance;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else if (advance) valid_q <= {valid_q[Stages-1:1], valid_i};
  end

  // ---- stage 1: what the plane says, and the base on its way out of the memory
  plane_cfg_t plane;
  assign plane = layout_i.plane[plane_i];

  line_t base;
  kv_ram_1r1w #(
      .Words(Layers * Tensors),
      .Width(LineW)
  ) u_base (
      .clk_i,
      .re_i   (advance && valid_i),
      .raddr_i({layer_i, plane.tensor}),
      .rdata_o(base),
      .we_i   (base_we_i),
      .waddr_i(base_waddr_i),
      .wdata_i(base_wdata_i[AddrW-1:BeatShift])
  );

  plane_t plane_q1;
  logic [1:0] set_q1;
  word_t block_q1;
  kv_head_t head_q1;
  page_token_t token_q1;
  U user_q1, user_q2, user_q3;

  // ---- stage 2: products; what they are made of is static
  stride_t stride;
  logic [31:0] offset;
  line_t block_part, block_q2, base_q2;
  logic [NearW-1:0] head_part, token_part, near_q2;
  assign stride = layout_i.stride[set_q1];
  assign offset = layout_i.plane[plane_q1].offset;
  kv_mul #(
      .DigitsW (WordW),
      .FactorW (BlockStrideW),
      .ProductW(LineW)
  ) u_block (
      .digits_i (block_q1),
      .factor_i (stride.block[39:BeatShift]),
      .product_o(block_part)
  );
  kv_mul #(
      .DigitsW (HeadW),
      .FactorW (StrideW),
      .ProductW(NearW)
  ) u_head (
      .digits_i (head_q1),
      .factor_i (stride.head[31:BeatShift]),
      .product_o(head_part)
  );
  kv_mul #(
      .DigitsW (PageLog2Max),
      .FactorW (StrideW),
      .ProductW(NearW)
  ) u_token (
      .digits_i (token_q1),
      .factor_i (stride.token[31:BeatShift]),
      .product_o(token_part)
  );

  // ---- stage 3: the sum
  line_t line_q3;

  always_ff @(posedge clk_i) begin
    if (advance) begin
      plane_q1 <= plane_i;
      set_q1   <= plane.stride_set;
      block_q1 <= block_i;
      head_q1  <= head_i;
      token_q1 <= token_i >> plane.share_log2;
      user_q1  <= user_i;

      block_q2 <= block_part;
      near_q2  <= head_part + token_part;
      base_q2  <= base + line_t'(offset[31:BeatShift]);
      user_q2  <= user_q1;

      line_q3  <= block_q2 + line_t'(near_q2) + base_q2;
      user_q3  <= user_q2;
    end
  end

  assign valid_o = valid_q[Stages];
  assign addr_o  = {line_q3, BeatShift'(0)};
  assign user_o  = user_q3;

  `KVS_STREAM(out_stream, valid_o, ready_i, addr_o)

  logic unused_layout;
  assign unused_layout = ^{layout_i.page_log2, layout_i.block_bits, layout_i.layers, plane.valid, plane.row_beats,
                           plane.offset, base_wdata_i[BeatShift-1:0], stride.block[BeatShift-1:0],
                           stride.head[BeatShift-1:0], stride.token[BeatShift-1:0], offset[BeatShift-1:0]};

endmodule
