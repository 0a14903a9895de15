// SPDX-License-Identifier: Apache-2.0
// The owner contexts: written by the residency controller, read by whoever acts for an owner.
//
// Contract: one write and ReadPorts reads a cycle, never refused. An owner asked for in cycle t (rd_owner_i) is at
// rd_ctx_o in t+1, for one cycle; a write in cycle t is seen by reads of t+1 and later. After reset every owner reads as
// not valid; the other fields of such an owner mean nothing. One copy of the memory a read port; the valid bits are
// flip-flops beside them, because a memory has no reset.
//   ReadPorts  1 or more

module owner_table
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned ReadPorts = 3
) (
    input  logic                       clk_i,
    input  logic                       rst_ni,
    input  logic                       wr_valid_i,
    input  owner_t                     wr_owner_i,
    input  owner_ctx_t                 wr_ctx_i,
    input  owner_t     [ReadPorts-1:0] rd_owner_i,
    output owner_ctx_t [ReadPorts-1:0] rd_ctx_o
);

  localparam int unsigned Width = $bits(owner_ctx_t);

  if (ReadPorts < 1) begin : gen_bad_ports
    $error("owner_table: ReadPorts %0d is below 1", ReadPorts);
  end
  if (Owners < 2 || Owners != 2 ** $clog2(Owners)) begin : gen_bad_owners
    $error("owner_table: Owners %0d is not a power of two of 2 or more", Owners);
  end

  logic [Owners-1:0] valid_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else if (wr_valid_i) valid_q[wr_owner_i] <= wr_ctx_i.valid;
  end

  for (genvar p = 0; p < int'(ReadPorts); p++) begin : gen_port
    logic [Width-1:0] word;
    logic rd_valid_q;
    owner_ctx_t ctx;

    kv_ram_1r1w #(
        .Words(Owners),
        .Width(Width)
    ) u_ctx (
        .clk_i,
        .re_i   (1'b1),
        .raddr_i(rd_owner_i[p]),
        .rdata_o(word),
        .we_i   (wr_valid_i),
        .waddr_i(wr_owner_i),
        .wdata_i(wr_ctx_i)
    );

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) rd_valid_q <= 1'b0;
      else rd_valid_q <= valid_q[rd_owner_i[p]];
    end

    always_comb begin
      ctx = word;
      ctx.valid = rd_valid_q;
    end
    assign rd_ctx_o[p] = ctx;
  end

endmodule
