// SPDX-License-Identifier: Apache-2.0
// block_walker and owner_table behind flat ports, one a field. Fields have one width in every configuration.

module walker_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    localparam int unsigned Clients = 3
) (
    input  logic                clk_i,
    input  logic                rst_ni,
    output logic  [       31:0] cfg_owners_o,
    output logic  [       31:0] cfg_positions_o,
    output logic  [       31:0] cfg_bus_bits_o,
    output logic  [       31:0] cfg_translations_o,
    input  logic  [        2:0] page_log2_i,
    // owner context
    input  logic                own_we_i,
    input  logic  [       15:0] own_owner_i,
    input  logic                own_valid_i,
    input  logic  [       47:0] own_base_i,
    input  logic  [       31:0] own_length_i,
    input  logic  [       31:0] own_committed_i,
    input  logic                own_prefix_valid_i,
    input  logic  [       15:0] own_prefix_owner_i,
    input  logic  [       31:0] own_prefix_len_i,
    // retire
    input  logic                retire_i,
    input  logic                retire_all_i,
    input  logic  [       15:0] retire_owner_i,
    input  logic  [       31:0] retire_first_i,
    input  logic  [       31:0] retire_last_i,
    // clients
    input  logic  [Clients-1:0] req_valid_i,
    output logic  [Clients-1:0] req_ready_o,
    input  logic  [       15:0] req_owner_i       [Clients],
    input  logic  [       31:0] req_position_i    [Clients],
    output logic  [Clients-1:0] rsp_valid_o,
    input  logic  [Clients-1:0] rsp_ready_i,
    output logic  [        7:0] rsp_status_o      [Clients],
    output logic  [       15:0] rsp_owner_o       [Clients],
    output logic  [       31:0] rsp_word_o        [Clients],
    output logic                rsp_committed_o   [Clients],
    // table reads
    output logic                rd_valid_o,
    input  logic                rd_ready_i,
    output logic  [       47:0] rd_addr_o,
    output logic  [        7:0] rd_len_o,
    input  logic                mem_valid_i,
    input  beat_t               mem_data_i,
    input  logic                mem_error_i,
    // counters
    output logic  [        1:0] count_answers_o,
    output logic                count_hit_o,
    output logic                count_read_o,
    output logic                count_prefetch_o,
    output logic                count_dropped_o
);

  assign cfg_owners_o = Owners;
  assign cfg_positions_o = Positions;
  assign cfg_bus_bits_o = BusBits;
  assign cfg_translations_o = Translations;

  layout_cfg_t layout;
  always_comb begin
    layout = '0;
    layout.page_log2 = page_log2_i;
    layout.block_bits = 5'd24;
  end

  owner_ctx_t wr_ctx, rd_ctx;
  owner_t rd_owner;
  always_comb begin
    wr_ctx = '1;  // the fields that the walker has no business with
    wr_ctx.valid = own_valid_i;
    wr_ctx.table_base = own_base_i;
    wr_ctx.length = len_t'(own_length_i);
    wr_ctx.committed = len_t'(own_committed_i);
    wr_ctx.prefix_valid = own_prefix_valid_i;
    wr_ctx.prefix_owner = owner_t'(own_prefix_owner_i);
    wr_ctx.prefix_len = len_t'(own_prefix_len_i);
  end

  owner_table #(
      .ReadPorts(1)
  ) u_owners (
      .clk_i,
      .rst_ni,
      .wr_valid_i(own_we_i),
      .wr_owner_i(owner_t'(own_owner_i)),
      .wr_ctx_i  (wr_ctx),
      .rd_owner_i(rd_owner),
      .rd_ctx_o  (rd_ctx)
  );

  retire_t retire;
  assign retire = '{
          valid: retire_i,
          all: retire_all_i,
          owner: owner_t'(retire_owner_i),
          first: pos_t'(retire_first_i),
          last: pos_t'(retire_last_i)
      };

  walk_req_t [Clients-1:0] req;
  walk_rsp_t [Clients-1:0] rsp;
  for (genvar c = 0; c < int'(Clients); c++) begin : gen_client
    assign req[c] = '{owner: owner_t'(req_owner_i[c]), position: pos_t'(req_position_i[c])};
    assign rsp_status_o[c] = rsp[c].status;
    assign rsp_owner_o[c] = 16'(rsp[c].owner);
    assign rsp_word_o[c] = 32'(rsp[c].word);
    assign rsp_committed_o[c] = rsp[c].committed;
  end

  rd_req_t rd;
  rd_rsp_t mem;
  walk_count_t count;
  assign rd_addr_o = rd.addr;
  assign rd_len_o = rd.len;
  assign mem = '{data: mem_data_i, last: 1'b1, error: mem_error_i};
  assign count_answers_o = count.answers;
  assign count_hit_o = count.hit;
  assign count_read_o = count.read;
  assign count_prefetch_o = count.prefetch;
  assign count_dropped_o = count.dropped;

  block_walker #(
      .Clients(Clients)
  ) u_walker (
      .clk_i,
      .rst_ni,
      .layout_i  (layout),
      .retire_i  (retire),
      .req_valid_i,
      .req_ready_o,
      .req_i     (req),
      .rsp_valid_o,
      .rsp_ready_i,
      .rsp_o     (rsp),
      .rd_owner_o(rd_owner),
      .rd_ctx_i  (rd_ctx),
      .rd_valid_o,
      .rd_ready_i,
      .rd_o      (rd),
      .mem_valid_i,
      .mem_i     (mem),
      .count_o   (count)
  );

  logic unused;  // narrower in this configuration than the port
  assign unused = ^{own_owner_i, own_length_i, own_committed_i, own_prefix_owner_i, own_prefix_len_i, retire_owner_i,
                    retire_first_i, retire_last_i};
  for (genvar c = 0; c < int'(Clients); c++) begin : gen_unused
    logic unused_req;
    assign unused_req = ^{req_owner_i[c], req_position_i[c]};
  end

endmodule
