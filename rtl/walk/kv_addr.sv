// SPDX-License-Identifier: Apache-2.0
// Address of a row: base[layer][tensor] + block*S_block + head*S_head + (token >> share_log2)*S_token + offset, where
// the plane names its tensor, stride set, offset and share_log2. Modulo 2**AddrW.
//
// Contract: valid/ready on both sides, order kept; user_i comes out beside the address it went in with. layout_i and the
// base table are static while rows are in the pipeline. Bases are written one a cycle; each instance holds its own copy.
// Latency 3 cycles (taken in t, addr_o in t+3), one row a cycle. The stages move together: while valid_o waits, ready_o
// is low, which is the one combinational path (ready_i to ready_o).
//
//   cycle   t                          t+1                         t+2            t+3
//           base RAM read              base                        one sum of     addr_o
//           pick plane and strides     products of 16 bits         five
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

  localparam int unsigned LowW = 16;  // bits of the block number in the first of its two products
  localparam int unsigned HighW = WordW - LowW;
  localparam int unsigned Stages = 3;

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

  addr_t base;
  kv_ram_1r1w #(
      .Words(Layers * Tensors),
      .Width(AddrW)
  ) u_base (
      .clk_i,
      .re_i   (advance && valid_i),
      .raddr_i({layer_i, plane.tensor}),
      .rdata_o(base),
      .we_i   (base_we_i),
      .waddr_i(base_waddr_i),
      .wdata_i(base_wdata_i)
  );

  stride_t stride_q1;
  logic [31:0] offset_q1;
  word_t block_q1;
  kv_head_t head_q1;
  page_token_t token_q1;
  U user_q1, user_q2, user_q3;

  // ---- stage 2: products; the block's in two halves, so that no multiplier is wider than 16 bits on one side
  addr_t low_q2, base_q2, head_q2, token_q2;
  logic [AddrW-LowW-1:0] high_q2;

  // ---- stage 3: the sum
  addr_t addr_q3;

  always_ff @(posedge clk_i) begin
    if (advance) begin
      stride_q1 <= layout_i.stride[plane.stride_set];
      offset_q1 <= plane.offset;
      block_q1 <= block_i;
      head_q1 <= head_i;
      token_q1 <= token_i >> plane.share_log2;
      user_q1 <= user_i;

      low_q2 <= AddrW'(stride_q1.block) * AddrW'(block_q1[LowW-1:0]);
      high_q2 <= (AddrW - LowW)'(stride_q1.block) * (AddrW - LowW)'(block_q1[LowW+:HighW]);
      head_q2 <= AddrW'(stride_q1.head) * AddrW'(head_q1);
      token_q2 <= AddrW'(stride_q1.token) * AddrW'(token_q1);
      base_q2 <= base + AddrW'(offset_q1);
      user_q2 <= user_q1;

      addr_q3 <= low_q2 + {high_q2, LowW'(0)} + head_q2 + token_q2 + base_q2;
      user_q3 <= user_q2;
    end
  end

  assign valid_o = valid_q[Stages];
  assign addr_o  = addr_q3;
  assign user_o  = user_q3;

  `KVS_STREAM(out_stream, valid_o, ready_i, addr_o)

  logic unused_layout;
  assign unused_layout = ^{layout_i.page_log2, layout_i.block_bits, layout_i.layers, plane.valid, plane.row_beats};

endmodule
