// SPDX-License-Identifier: Apache-2.0
// kv_addr behind flat ports, and an owner_table of three read ports beside it. The payload is a 32-bit number.

module kv_addr_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input  logic        clk_i,
    input  logic        rst_ni,
    output logic [31:0] cfg_layers_o,
    output logic [31:0] cfg_kv_heads_o,
    output logic [31:0] cfg_owners_o,
    // layout
    input  logic [39:0] stride_block_i    [StrideSets],
    input  logic [31:0] stride_head_i     [StrideSets],
    input  logic [31:0] stride_token_i    [StrideSets],
    input  logic [ 1:0] plane_tensor_i    [    Planes],
    input  logic [ 1:0] plane_stride_set_i[    Planes],
    input  logic [31:0] plane_offset_i    [    Planes],
    input  logic [ 2:0] plane_share_log2_i[    Planes],
    // base table
    input  logic        base_we_i,
    input  logic [15:0] base_layer_i,
    input  logic [ 1:0] base_tensor_i,
    input  logic [47:0] base_wdata_i,
    // rows
    input  logic        valid_i,
    output logic        ready_o,
    input  logic [15:0] layer_i,
    input  logic [15:0] head_i,
    input  logic [ 2:0] plane_i,
    input  logic [30:0] block_i,
    input  logic [ 6:0] token_i,
    input  logic [31:0] user_i,
    output logic        valid_o,
    input  logic        ready_i,
    output logic [47:0] addr_o,
    output logic [31:0] user_o,
    // owner table
    input  logic        own_we_i,
    input  logic [15:0] own_owner_i,
    input  logic        own_valid_i,
    input  logic [47:0] own_base_i,
    input  logic [15:0] own_tenant_i,
    input  logic [15:0] own_rd_owner_i    [         3],
    output logic        own_rd_valid_o    [         3],
    output logic [47:0] own_rd_base_o     [         3],
    output logic [15:0] own_rd_tenant_o   [         3]
);

  assign cfg_layers_o   = Layers;
  assign cfg_kv_heads_o = KvHeads;
  assign cfg_owners_o   = Owners;

  layout_cfg_t layout;
  always_comb begin
    layout = '0;
    for (int unsigned s = 0; s < StrideSets; s++) begin
      layout.stride[s] = '{block: stride_block_i[s], head: stride_head_i[s], token: stride_token_i[s]};
    end
    for (int unsigned p = 0; p < Planes; p++) begin
      layout.plane[p].valid = 1'b1;
      layout.plane[p].tensor = plane_tensor_i[p];
      layout.plane[p].stride_set = plane_stride_set_i[p];
      layout.plane[p].offset = plane_offset_i[p];
      layout.plane[p].share_log2 = plane_share_log2_i[p];
    end
  end

  kv_addr #(
      .U(logic [31:0])
  ) u_addr (
      .clk_i,
      .rst_ni,
      .layout_i    (layout),
      .base_we_i,
      .base_waddr_i({layer_t'(base_layer_i), base_tensor_i}),
      .base_wdata_i,
      .valid_i,
      .ready_o,
      .layer_i     (layer_t'(layer_i)),
      .head_i      (kv_head_t'(head_i)),
      .plane_i,
      .block_i,
      .token_i,
      .user_i,
      .valid_o,
      .ready_i,
      .addr_o,
      .user_o
  );

  owner_ctx_t wr_ctx;
  owner_t [2:0] rd_owner;
  owner_ctx_t [2:0] rd_ctx;
  always_comb begin
    wr_ctx = '0;
    wr_ctx.valid = own_valid_i;
    wr_ctx.table_base = own_base_i;
    wr_ctx.tenant = own_tenant_i;
  end
  for (genvar p = 0; p < 3; p++) begin : gen_port
    assign rd_owner[p] = owner_t'(own_rd_owner_i[p]);
    assign own_rd_valid_o[p] = rd_ctx[p].valid;
    assign own_rd_base_o[p] = rd_ctx[p].table_base;
    assign own_rd_tenant_o[p] = rd_ctx[p].tenant;
  end
  owner_table #(
      .ReadPorts(3)
  ) u_owners (
      .clk_i,
      .rst_ni,
      .wr_valid_i(own_we_i),
      .wr_owner_i(owner_t'(own_owner_i)),
      .wr_ctx_i  (wr_ctx),
      .rd_owner_i(rd_owner),
      .rd_ctx_o  (rd_ctx)
  );

  logic unused;  // narrower in this configuration than the port
  assign unused = ^{base_layer_i, layer_i, head_i, own_owner_i, own_rd_owner_i[0], own_rd_owner_i[1], own_rd_owner_i[2],
                    rd_ctx};

endmodule
