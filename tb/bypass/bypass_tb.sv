// SPDX-License-Identifier: Apache-2.0
// bypass_mux with the tag array, the slot SRAM and the owner table that belong to it, on plain ports; walker, memory and
// controller are the test's. Fields have one width in every configuration.

module bypass_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic [7:0] burst_cost_i,

    output logic [31:0] cfg_entries_o,
    output logic [31:0] cfg_profiles_o,
    output logic [31:0] cfg_owners_o,
    output logic [31:0] cfg_positions_o,
    output logic [31:0] cfg_slots_o,
    output logic [31:0] cfg_layers_o,
    output logic [31:0] cfg_heads_o,
    output logic [31:0] cfg_readers_o,
    output logic [31:0] cfg_beat_bytes_o,
    output logic [31:0] cfg_sram_beats_o,
    output logic [31:0] cfg_row_beats_o,
    output logic [31:0] cfg_bulk_beats_o,

    // layout and bases
    input logic [ 2:0] page_log2_i,
    input logic [ 4:0] block_bits_i,
    input logic [31:0] layers_i,
    input logic [63:0] stride_block_i[StrideSets],
    input logic [31:0] stride_head_i [StrideSets],
    input logic [31:0] stride_token_i[StrideSets],
    input logic        plane_valid_i [    Planes],
    input logic [ 1:0] plane_tensor_i[    Planes],
    input logic [ 1:0] plane_set_i   [    Planes],
    input logic [31:0] plane_offset_i[    Planes],
    input logic [31:0] plane_beats_i [    Planes],
    input logic [ 2:0] plane_share_i [    Planes],
    input logic        base_we_i,
    input logic [31:0] base_layer_i,
    input logic [ 1:0] base_tensor_i,
    input logic [63:0] base_wdata_i,

    // profiles
    input logic        prof_valid_i      [       Profiles],
    input logic [31:0] prof_layer_first_i[       Profiles],
    input logic [31:0] prof_layer_count_i[       Profiles],
    input logic [63:0] prof_heads_i      [       Profiles],
    input logic [ 7:0] prof_planes_i     [       Profiles],
    input logic [31:0] prof_slot_first_i [       Profiles],
    input logic [31:0] prof_base_i       [       Profiles],
    input logic [31:0] prof_slot_beats_i [       Profiles],
    input logic [31:0] prof_layer_beats_i[       Profiles],
    input logic [31:0] prof_head_beats_i [       Profiles],
    input logic [31:0] prof_plane_beat_i [Profiles*Planes],

    // owners
    input logic        own_we_i,
    input logic [31:0] own_i,
    input logic        own_valid_i,
    input logic [31:0] own_length_i,
    input logic [31:0] own_committed_i,
    input logic        own_prefix_valid_i,
    input logic [31:0] own_prefix_i,
    input logic [31:0] own_prefix_len_i,

    // controller
    input  logic               retire_valid_i,
    input  logic               retire_all_i,
    input  logic [       31:0] retire_owner_i,
    input  logic [       31:0] retire_first_i,
    input  logic [       31:0] retire_last_i,
    input  logic               keep_end_valid_i,
    input  logic               keep_end_all_i,
    input  logic [       31:0] keep_end_owner_i,
    input  logic               cmd_valid_i,
    output logic               cmd_ready_o,
    input  logic [        2:0] cmd_op_i,
    input  logic [       31:0] cmd_owner_i,
    input  logic [       31:0] cmd_granule_i,
    input  logic [        3:0] cmd_token_i,
    input  logic [       31:0] cmd_entry_i,
    input  logic [       31:0] cmd_slot_i,
    input  logic [       31:0] cmd_profile_i,
    input  logic [       31:0] cmd_word_i,
    input  logic [       31:0] cmd_watermark_i,
    output logic               ack_valid_o,
    output logic [        7:0] ack_status_o,
    output logic [       31:0] ack_entry_o,
    output logic               sweep_busy_o,
    input  logic               sram_wr_valid_i,
    input  logic [       31:0] sram_wr_addr_i,
    input  logic [BusBits-1:0] sram_wr_data_i,

    // requests and rows
    input  logic               req_valid_i,
    output logic               req_ready_o,
    input  logic [        7:0] req_id_i,
    input  logic [       31:0] req_owner_i,
    input  logic [       31:0] req_layer_i,
    input  logic [       31:0] req_head_i,
    input  logic [        7:0] req_planes_i,
    input  logic               req_by_granule_i,
    input  logic [       31:0] req_first_i,
    input  logic [       31:0] req_count_i,
    input  logic [       15:0] req_mask_i,
    input  logic               req_keep_i,
    input  logic               req_follow_i,
    input  logic [        7:0] req_follow_id_i,
    input  logic               req_bulk_only_i,
    output logic               sink_valid_o,
    input  logic               sink_ready_i,
    output logic [        7:0] sink_id_o,
    output logic               sink_is_end_o,
    output logic [        7:0] sink_plane_o,
    output logic [       31:0] sink_position_o,
    output logic               sink_error_o,
    output logic               sink_last_o,
    output logic [BusBits-1:0] sink_data_o,
    output logic               bulk_valid_o,
    input  logic               bulk_ready_i,
    output logic [        7:0] bulk_id_o,
    output logic               bulk_is_end_o,
    output logic [        7:0] bulk_plane_o,
    output logic [       31:0] bulk_position_o,
    output logic               bulk_error_o,
    output logic               bulk_last_o,
    output logic [BusBits-1:0] bulk_data_o,

    // walker: client 0 lookups, 1 bulk
    output logic        walk_req_valid_o    [2],
    input  logic        walk_req_ready_i    [2],
    output logic [31:0] walk_req_owner_o    [2],
    output logic [31:0] walk_req_position_o [2],
    input  logic        walk_rsp_valid_i    [2],
    output logic        walk_rsp_ready_o    [2],
    input  logic [ 7:0] walk_rsp_status_i   [2],
    input  logic [31:0] walk_rsp_owner_i    [2],
    input  logic [31:0] walk_rsp_word_i     [2],
    input  logic        walk_rsp_committed_i[2],

    // memory
    output logic               rd_valid_o,
    input  logic               rd_ready_i,
    output logic [       63:0] rd_addr_o,
    output logic [        7:0] rd_len_o,
    input  logic               mem_valid_i,
    input  logic [BusBits-1:0] mem_data_i,
    input  logic               mem_last_i,
    input  logic               mem_error_i,

    // lists, events, counters
    output logic        list_open_o        [Readers],
    output logic [31:0] list_owner_o       [Readers],
    output logic        list_prefix_valid_o[Readers],
    output logic [31:0] list_prefix_o      [Readers],
    output logic [31:0] list_number_o      [Readers],
    output logic [31:0] list_serial_o,
    output logic        lookup_valid_o,
    output logic        err_valid_o,
    input  logic        err_ready_i,
    output logic [31:0] err_owner_o,
    output logic [31:0] err_position_o,
    output logic [ 7:0] err_cause_o,
    output logic [ 9:0] count_o
);

  assign cfg_entries_o = Entries;
  assign cfg_profiles_o = Profiles;
  assign cfg_owners_o = Owners;
  assign cfg_positions_o = Positions;
  assign cfg_slots_o = Slots;
  assign cfg_layers_o = Layers;
  assign cfg_heads_o = KvHeads;
  assign cfg_readers_o = Readers;
  assign cfg_beat_bytes_o = BeatBytes;
  assign cfg_sram_beats_o = SramBeats;
  assign cfg_row_beats_o = RowBeatsMax;
  assign cfg_bulk_beats_o = BulkBeats;

  layout_cfg_t layout;
  always_comb begin
    layout = '0;
    layout.page_log2 = page_log2_i;
    layout.block_bits = block_bits_i;
    layout.layers = layers_t'(layers_i);
    for (int unsigned s = 0; s < StrideSets; s++) begin
      layout.stride[s] = '{block: 40'(stride_block_i[s]), head: stride_head_i[s], token: stride_token_i[s]};
    end
    for (int unsigned p = 0; p < Planes; p++) begin
      layout.plane[p] = '{
          valid: plane_valid_i[p],
          tensor: plane_tensor_i[p],
          stride_set: plane_set_i[p],
          offset: plane_offset_i[p],
          row_beats: row_beats_t'(plane_beats_i[p]),
          share_log2: plane_share_i[p]
      };
    end
  end

  localparam int unsigned SramW = $clog2(SramBeats) + 1;
  profile_cfg_t [Profiles-1:0] profiles;
  always_comb begin
    profiles = '0;
    for (int unsigned p = 0; p < Profiles; p++) begin
      profiles[p].valid = prof_valid_i[p];
      profiles[p].layer_first = layer_t'(prof_layer_first_i[p]);
      profiles[p].layer_count = layers_t'(prof_layer_count_i[p]);
      profiles[p].head_mask = head_mask_t'(prof_heads_i[p]);
      profiles[p].plane_mask = prof_planes_i[p];
      profiles[p].slot_first = slot_t'(prof_slot_first_i[p]);
      profiles[p].sram_base = sram_addr_t'(prof_base_i[p]);
      profiles[p].slot_beats = SramW'(prof_slot_beats_i[p]);
      profiles[p].layer_beats = SramW'(prof_layer_beats_i[p]);
      profiles[p].head_beats = SramW'(prof_head_beats_i[p]);
      for (int unsigned q = 0; q < Planes; q++) profiles[p].plane_beat[q] = SramW'(prof_plane_beat_i[p*Planes+q]);
    end
  end

  retire_t retire;
  assign retire = '{
          valid: retire_valid_i,
          all: retire_all_i,
          owner: owner_t'(retire_owner_i),
          first: pos_t'(retire_first_i),
          last: pos_t'(retire_last_i)
      };

  // ---- owners
  owner_ctx_t own_ctx;
  owner_t [0:0] rd_owner;
  owner_ctx_t [0:0] rd_ctx;
  always_comb begin
    own_ctx = '0;
    own_ctx.valid = own_valid_i;
    own_ctx.length = len_t'(own_length_i);
    own_ctx.committed = len_t'(own_committed_i);
    own_ctx.prefix_valid = own_prefix_valid_i;
    own_ctx.prefix_owner = owner_t'(own_prefix_i);
    own_ctx.prefix_len = len_t'(own_prefix_len_i);
  end
  owner_table #(
      .ReadPorts(1)
  ) u_owners (
      .clk_i,
      .rst_ni,
      .wr_valid_i(own_we_i),
      .wr_owner_i(owner_t'(own_i)),
      .wr_ctx_i  (own_ctx),
      .rd_owner_i(rd_owner),
      .rd_ctx_o  (rd_ctx)
  );

  // ---- tags
  logic next_valid, next_ready, next_rsp_valid, hit_valid;
  tag_next_req_t next;
  tag_next_rsp_t next_rsp;
  tag_lookup_t lookup;
  tag_hit_t hit;
  tag_cmd_t cmd;
  tag_ack_t ack;
  entries_t free_unused;
  assign cmd = '{
          op: tag_op_e'(cmd_op_i),
          owner: owner_t'(cmd_owner_i),
          granule: gran_t'(cmd_granule_i),
          token: cmd_token_i,
          entry: entry_t'(cmd_entry_i),
          slot: slot_t'(cmd_slot_i),
          profile: profile_t'(cmd_profile_i),
          word: word_t'(cmd_word_i),
          watermark: layers_t'(cmd_watermark_i)
      };
  assign ack_status_o = ack.status;
  assign ack_entry_o = 32'(ack.entry);
  sink_tag_array u_tags (
      .clk_i,
      .rst_ni,
      .profiles_i      (profiles),
      .retire_i        (retire),
      .sweep_busy_o,
      .free_entries_o  (free_unused),
      .next_valid_i    (next_valid),
      .next_ready_o    (next_ready),
      .next_i          (next),
      .next_rsp_valid_o(next_rsp_valid),
      .next_rsp_o      (next_rsp),
      .lookup_valid_i  (lookup_valid_o),
      .lookup_i        (lookup),
      .hit_valid_o     (hit_valid),
      .hit_o           (hit),
      .cmd_valid_i,
      .cmd_ready_o,
      .cmd_i           (cmd),
      .ack_valid_o,
      .ack_o           (ack)
  );

  // ---- slots
  logic sram_valid, sram_ready, sram_rsp_valid, conflict_unused;
  sram_addr_t sram_addr;
  beat_t sram_data;
  slot_sram u_sram (
      .clk_i,
      .rst_ni,
      .wr_valid_i (sram_wr_valid_i),
      .wr_i       ('{addr: sram_addr_t'(sram_wr_addr_i), data: sram_wr_data_i}),
      .rd_valid_i (sram_valid),
      .rd_ready_o (sram_ready),
      .rd_addr_i  (sram_addr),
      .rsp_valid_o(sram_rsp_valid),
      .rsp_data_o (sram_data),
      .conflict_o (conflict_unused)
  );

  // ---- the mux
  row_req_t req;
  row_beat_t sink, bulk;
  walk_req_t [1:0] walk_req;
  walk_rsp_t [1:0] walk_rsp;
  rd_req_t rd;
  rd_rsp_t mem;
  list_info_t [Readers-1:0] list_info;
  read_error_t err;
  mux_count_t count;
  ctl_cfg_t ctl;
  always_comb begin
    ctl = '0;
    ctl.burst_cost = burst_cost_i;
  end
  assign req = '{
          id: req_id_i,
          owner: owner_t'(req_owner_i),
          layer: layer_t'(req_layer_i),
          head: kv_head_t'(req_head_i),
          planes: req_planes_i,
          by_granule: req_by_granule_i,
          first: pos_t'(req_first_i),
          count: len_t'(req_count_i),
          mask: req_mask_i,
          keep: req_keep_i,
          follow: req_follow_i,
          follow_id: req_follow_id_i,
          bulk_only: req_bulk_only_i
      };
  assign sink_id_o = sink.id;
  assign sink_is_end_o = sink.is_end;
  assign sink_plane_o = 8'(sink.plane);
  assign sink_position_o = 32'(sink.position);
  assign sink_error_o = sink.error;
  assign sink_last_o = sink.last;
  assign sink_data_o = sink.data;
  assign bulk_id_o = bulk.id;
  assign bulk_is_end_o = bulk.is_end;
  assign bulk_plane_o = 8'(bulk.plane);
  assign bulk_position_o = 32'(bulk.position);
  assign bulk_error_o = bulk.error;
  assign bulk_last_o = bulk.last;
  assign bulk_data_o = bulk.data;
  for (genvar c = 0; c < 2; c++) begin : gen_walk
    assign walk_req_owner_o[c] = 32'(walk_req[c].owner);
    assign walk_req_position_o[c] = 32'(walk_req[c].position);
    assign walk_rsp[c] = '{
            status: status_e'(walk_rsp_status_i[c]),
            owner: owner_t'(walk_rsp_owner_i[c]),
            word: word_t'(walk_rsp_word_i[c]),
            committed: walk_rsp_committed_i[c]
        };
  end
  assign rd_addr_o = 64'(rd.addr);
  assign rd_len_o = rd.len;
  assign mem = '{data: mem_data_i, last: mem_last_i, error: mem_error_i};
  for (genvar l = 0; l < Readers; l++) begin : gen_list
    assign list_open_o[l] = list_info[l].open;
    assign list_owner_o[l] = 32'(list_info[l].owner);
    assign list_prefix_valid_o[l] = list_info[l].prefix_valid;
    assign list_prefix_o[l] = 32'(list_info[l].prefix_owner);
    assign list_number_o[l] = list_info[l].serial;
  end
  assign err_owner_o = 32'(err.owner);
  assign err_position_o = 32'(err.position);
  assign err_cause_o = err.cause;
  assign count_o = count;

  bypass_mux u_dut (
      .clk_i,
      .rst_ni,
      .cfg_i            (ctl),
      .layout_i         (layout),
      .profiles_i       (profiles),
      .base_we_i,
      .base_waddr_i     ({layer_t'(base_layer_i), base_tensor_i}),
      .base_wdata_i     (addr_t'(base_wdata_i)),
      .retire_i         (retire),
      .keep_end_valid_i,
      .keep_end_owner_i (owner_t'(keep_end_owner_i)),
      .keep_end_all_i,
      .req_valid_i,
      .req_ready_o,
      .req_i            (req),
      .sink_valid_o,
      .sink_ready_i,
      .sink_o           (sink),
      .bulk_valid_o,
      .bulk_ready_i,
      .bulk_o           (bulk),
      .rd_owner_o       (rd_owner[0]),
      .rd_ctx_i         (rd_ctx[0]),
      .lwalk_req_valid_o(walk_req_valid_o[0]),
      .lwalk_req_ready_i(walk_req_ready_i[0]),
      .lwalk_req_o      (walk_req[0]),
      .lwalk_rsp_valid_i(walk_rsp_valid_i[0]),
      .lwalk_rsp_ready_o(walk_rsp_ready_o[0]),
      .lwalk_rsp_i      (walk_rsp[0]),
      .bwalk_req_valid_o(walk_req_valid_o[1]),
      .bwalk_req_ready_i(walk_req_ready_i[1]),
      .bwalk_req_o      (walk_req[1]),
      .bwalk_rsp_valid_i(walk_rsp_valid_i[1]),
      .bwalk_rsp_ready_o(walk_rsp_ready_o[1]),
      .bwalk_rsp_i      (walk_rsp[1]),
      .next_valid_o     (next_valid),
      .next_ready_i     (next_ready),
      .next_o           (next),
      .next_rsp_valid_i (next_rsp_valid),
      .next_rsp_i       (next_rsp),
      .lookup_valid_o,
      .lookup_o         (lookup),
      .hit_valid_i      (hit_valid),
      .hit_i            (hit),
      .sram_valid_o     (sram_valid),
      .sram_ready_i     (sram_ready),
      .sram_addr_o      (sram_addr),
      .sram_rsp_valid_i (sram_rsp_valid),
      .sram_rsp_data_i  (sram_data),
      .rd_valid_o,
      .rd_ready_i,
      .rd_o             (rd),
      .mem_valid_i,
      .mem_i            (mem),
      .ahead_o          (),
      .list_info_o      (list_info),
      .list_serial_o,
      .err_valid_o,
      .err_ready_i,
      .err_o            (err),
      .count_o          (count)
  );

endmodule
