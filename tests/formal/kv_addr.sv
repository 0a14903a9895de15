// SPDX-License-Identifier: Apache-2.0
// Stands for kv_addr in proofs: its pipeline, with any address at the end. The properties that use it hold for every
// address, so neither its multipliers nor the base table have to be looked at.

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
    input  logic        [BaseAddrW-1:0] base_waddr_i,
    input  addr_t                       base_wdata_i,
    input  logic                        valid_i,
    output logic                        ready_o,
    input  layer_t                      layer_i,
    input  kv_head_t                    head_i,
    input  plane_t                      plane_i,
    input  word_t                       block_i,
    input  page_token_t                 token_i,
    input  U                            user_i,
    output logic                        valid_o,
    input  logic                        ready_i,
    output addr_t                       addr_o,
    output U                            user_o
);
  addr_t any_addr;  // undriven: the proof takes any value, in every cycle
  logic [3:1] valid_q;
  U user_q[1:3];
  addr_t addr_q;
  assign ready_o = !valid_q[3] || ready_i;
  assign valid_o = valid_q[3];
  assign user_o  = user_q[3];
  assign addr_o  = addr_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else if (ready_o) valid_q <= {valid_q[2:1], valid_i};
  end
  always_ff @(posedge clk_i) begin
    if (ready_o) begin
      user_q[1] <= user_i;
      user_q[2] <= user_q[1];
      user_q[3] <= user_q[2];
      addr_q <= {any_addr[AddrW-1:BeatShift], BeatShift'(0)};
    end
  end
  logic unused;
  assign unused = ^{layout_i, base_we_i, base_waddr_i, base_wdata_i, layer_i, head_i, plane_i, block_i, token_i,
                    any_addr};
endmodule
