// SPDX-License-Identifier: Apache-2.0
// kvsink_movement on plain ports: the test plays the controller, the requester and the memory.
//   cfg_addr_i     cfg_data_i
//   0, 1, 2        page_log2, block_bits, layers
//   3, 4, 5        promo_floor, bus_timeout, burst_cost
//   6              promotion reads in flight: 16 bits a channel
//   16 + 4*s + f   f = 0 block, 1 head, 2 token stride of set s
//   32 + p         plane p: offset [31:0], row_beats [47:32], tensor [49:48], set [51:50], share_log2 [54:52], valid [55]
//   64 + 16*p + f  profile p: f = 0 valid, 1 layer_first, 2 layer_count, 3 head_mask, 4 plane_mask, 5 layer_beats,
//                  6 head_beats, 7 slot_first, 8 slot_count, 9 sram_base, 10 slot_beats
//   192 + 8*p + q  plane_beat[q] of profile p

module movement_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    output logic [31:0] cfg_bus_bits_o,
    output logic [31:0] cfg_sram_beats_o,
    output logic [31:0] cfg_row_reads_o,
    output logic [47:0] now_o,

    input logic        cfg_we_i,
    input logic [ 8:0] cfg_addr_i,
    input logic [63:0] cfg_data_i,

    input logic        base_we_i,
    input logic [31:0] base_layer_i,
    input logic [ 1:0] base_tensor_i,
    input logic [47:0] base_wdata_i,

    input logic        own_we_i,
    input logic [15:0] own_i,
    input logic        own_valid_i,
    input logic [47:0] own_table_i,
    input logic [31:0] own_length_i,

    input  logic        retire_valid_i,
    input  logic        retire_all_i,
    input  logic [15:0] retire_owner_i,
    input  logic [31:0] retire_first_i,
    input  logic [31:0] retire_last_i,
    input  logic        fence_i,
    output logic        fence_busy_o,

    // tag array
    input  logic        cmd_valid_i,
    output logic        cmd_ready_o,
    input  logic [ 2:0] cmd_op_i,
    input  logic [15:0] cmd_owner_i,
    input  logic [31:0] cmd_position_i,
    input  logic [15:0] cmd_entry_i,
    input  logic [15:0] cmd_slot_i,
    input  logic [ 7:0] cmd_profile_i,
    input  logic [31:0] cmd_word_i,
    input  logic [15:0] cmd_watermark_i,
    output logic        ack_valid_o,
    output logic [ 7:0] ack_status_o,
    output logic [15:0] ack_entry_o,

    // descriptors
    input  logic        desc_valid_i,
    output logic        desc_ready_o,
    input  logic [15:0] desc_slot_i,
    input  logic [ 7:0] desc_profile_i,
    input  logic [15:0] desc_owner_i,
    input  logic [31:0] desc_position_i,
    input  logic [31:0] desc_word_i,
    input  logic [31:0] desc_sram_base_i,
    input  logic [ 2:0] desc_tier_i,
    input  logic [47:0] desc_deadline_i,
    input  logic        abort_valid_i,
    input  logic [15:0] abort_slot_i,
    output logic        progress_valid_o,
    output logic [15:0] progress_slot_o,
    output logic [15:0] progress_watermark_o,
    output logic        end_valid_o,
    output logic [15:0] end_slot_o,
    output logic [ 7:0] end_status_o,
    output logic [31:0] end_bytes_o,
    output logic [31:0] end_cycles_o,
    output logic [31:0] end_stall_ar_o,
    output logic [31:0] end_stall_r_o,

    // row requests and rows
    input  logic         req_valid_i,
    output logic         req_ready_o,
    input  logic  [ 7:0] req_id_i,
    input  logic  [15:0] req_owner_i,
    input  logic  [15:0] req_layer_i,
    input  logic  [15:0] req_head_i,
    input  logic  [ 7:0] req_planes_i,
    input  logic  [31:0] req_first_i,
    input  logic  [31:0] req_count_i,
    input  logic         req_bulk_only_i,
    output logic         sink_valid_o,
    input  logic         sink_ready_i,
    output logic  [ 7:0] sink_id_o,
    output logic         sink_is_end_o,
    output logic  [ 2:0] sink_plane_o,
    output logic  [31:0] sink_position_o,
    output logic         sink_error_o,
    output logic         sink_last_o,
    output beat_t        sink_data_o,
    output logic         bulk_valid_o,
    input  logic         bulk_ready_i,
    output logic  [ 7:0] bulk_id_o,
    output logic         bulk_is_end_o,
    output logic  [ 2:0] bulk_plane_o,
    output logic  [31:0] bulk_position_o,
    output logic         bulk_error_o,
    output logic         bulk_last_o,
    output beat_t        bulk_data_o,

    // memory
    output logic  [ 2:0] m_axi_arid_o,
    output logic  [47:0] m_axi_araddr_o,
    output logic  [ 7:0] m_axi_arlen_o,
    output logic  [ 2:0] m_axi_arsize_o,
    output logic  [ 1:0] m_axi_arburst_o,
    output logic         m_axi_arvalid_o,
    input  logic         m_axi_arready_i,
    input  logic  [ 2:0] m_axi_rid_i,
    input  beat_t        m_axi_rdata_i,
    input  logic  [ 1:0] m_axi_rresp_i,
    input  logic         m_axi_rlast_i,
    input  logic         m_axi_rvalid_i,
    output logic         m_axi_rready_o,

    // what the DMA writes, for who checks it there
    output logic         sram_wr_valid_o,
    output logic  [31:0] sram_wr_addr_o,
    output beat_t        sram_wr_data_o,

    // what the units count
    output logic count_table_beat_o,
    output logic count_bulk_beat_o,
    output logic count_promo_beat_o,
    output logic count_dropped_o,
    output logic count_stray_o
);

  assign cfg_bus_bits_o   = BusBits;
  assign cfg_sram_beats_o = SramBeats;
  assign cfg_row_reads_o  = RowReads;

  cycle_t now_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) now_q <= '0;
    else now_q <= now_q + cycle_t'(1);
  end
  assign now_o = now_q;

  // ---- configuration
  localparam int unsigned SramW = $clog2(SramBeats) + 1;
  ctl_cfg_t ctl_q;
  layout_cfg_t layout_q;
  profile_cfg_t [Profiles-1:0] profiles_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ctl_q <= '0;
      layout_q <= '0;
      profiles_q <= '0;
    end else if (cfg_we_i) begin
      unique case (cfg_addr_i)
        9'd0: layout_q.page_log2 <= cfg_data_i[2:0];
        9'd1: layout_q.block_bits <= cfg_data_i[4:0];
        9'd2: layout_q.layers <= layers_t'(cfg_data_i);
        9'd3: ctl_q.promo_floor <= cfg_data_i[4:0];
        9'd4: ctl_q.bus_timeout <= cfg_data_i[23:0];
        9'd5: ctl_q.burst_cost <= cfg_data_i[7:0];
        9'd6: for (int unsigned c = 0; c < PromoChannels; c++) ctl_q.promo_reads[c] <= cfg_data_i[16*c+:9];
        default: ;
      endcase
      if (cfg_addr_i[8:4] == 5'd1) begin
        if (cfg_addr_i[1:0] == 2'd0) layout_q.stride[cfg_addr_i[3:2]].block <= cfg_data_i[39:0];
        if (cfg_addr_i[1:0] == 2'd1) layout_q.stride[cfg_addr_i[3:2]].head <= cfg_data_i[31:0];
        if (cfg_addr_i[1:0] == 2'd2) layout_q.stride[cfg_addr_i[3:2]].token <= cfg_data_i[31:0];
      end
      if (cfg_addr_i[8:3] == 6'd4) begin
        layout_q.plane[cfg_addr_i[2:0]] <= '{
            valid: cfg_data_i[55],
            tensor: cfg_data_i[49:48],
            stride_set: cfg_data_i[51:50],
            offset: cfg_data_i[31:0],
            row_beats: row_beats_t'(cfg_data_i[47:32]),
            share_log2: cfg_data_i[54:52]
        };
      end
      for (int unsigned p = 0; p < Profiles; p++) begin
        if (cfg_addr_i[8:4] == 5'(4 + p)) begin
          unique case (cfg_addr_i[3:0])
            4'd0: profiles_q[p].valid <= cfg_data_i[0];
            4'd1: profiles_q[p].layer_first <= layer_t'(cfg_data_i);
            4'd2: profiles_q[p].layer_count <= layers_t'(cfg_data_i);
            4'd3: profiles_q[p].head_mask <= head_mask_t'(cfg_data_i);
            4'd4: profiles_q[p].plane_mask <= plane_mask_t'(cfg_data_i);
            4'd5: profiles_q[p].layer_beats <= SramW'(cfg_data_i);
            4'd6: profiles_q[p].head_beats <= SramW'(cfg_data_i);
            4'd7: profiles_q[p].slot_first <= slot_t'(cfg_data_i);
            4'd8: profiles_q[p].slot_count <= slots_t'(cfg_data_i);
            4'd9: profiles_q[p].sram_base <= sram_addr_t'(cfg_data_i);
            4'd10: profiles_q[p].slot_beats <= SramW'(cfg_data_i);
            default: ;
          endcase
        end
        if (cfg_addr_i[8:3] == 6'(24 + p)) profiles_q[p].plane_beat[cfg_addr_i[2:0]] <= SramW'(cfg_data_i);
      end
    end
  end

  logic [$clog2(Layers)+1:0] base_waddr;
  assign base_waddr = {layer_t'(base_layer_i), base_tensor_i};

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
  always_comb begin
    own_ctx = '0;
    own_ctx.valid = own_valid_i;
    own_ctx.table_base = own_table_i;
    own_ctx.length = len_t'(own_length_i);
    own_ctx.committed = len_t'(own_length_i);
  end

  // ---- tags
  tag_cmd_t cmd;
  tag_ack_t ack;
  assign cmd = '{
          op: tag_op_e'(cmd_op_i),
          owner: owner_t'(cmd_owner_i),
          granule: gran_t'(cmd_position_i >> 4),
          token: cmd_position_i[3:0],
          entry: entry_t'(cmd_entry_i),
          slot: slot_t'(cmd_slot_i),
          profile: profile_t'(cmd_profile_i),
          word: word_t'(cmd_word_i),
          watermark: layers_t'(cmd_watermark_i)
      };
  assign ack_status_o = ack.status;
  assign ack_entry_o = 16'(ack.entry);

  // ---- rows
  row_req_t req;
  row_beat_t sink, bulk;
  assign req = '{
          id: req_id_i,
          owner: owner_t'(req_owner_i),
          layer: layer_t'(req_layer_i),
          head: kv_head_t'(req_head_i),
          planes: req_planes_i,
          by_granule: 1'b0,
          first: pos_t'(req_first_i),
          count: len_t'(req_count_i),
          mask: '0,
          keep: 1'b0,
          follow: 1'b0,
          follow_id: '0,
          bulk_only: req_bulk_only_i
      };
  assign sink_id_o = sink.id;
  assign sink_is_end_o = sink.is_end;
  assign sink_plane_o = sink.plane;
  assign sink_position_o = 32'(sink.position);
  assign sink_error_o = sink.error;
  assign sink_last_o = sink.last;
  assign sink_data_o = sink.data;
  assign bulk_id_o = bulk.id;
  assign bulk_is_end_o = bulk.is_end;
  assign bulk_plane_o = bulk.plane;
  assign bulk_position_o = 32'(bulk.position);
  assign bulk_error_o = bulk.error;
  assign bulk_last_o = bulk.last;
  assign bulk_data_o = bulk.data;


  // ---- descriptors
  dma_desc_t desc;
  dma_progress_t progress;
  dma_end_t done;
  assign desc = '{
          slot: slot_t'(desc_slot_i),
          profile: profile_t'(desc_profile_i),
          owner: owner_t'(desc_owner_i),
          position: pos_t'(desc_position_i),
          word: word_t'(desc_word_i),
          sram_base: sram_addr_t'(desc_sram_base_i),
          tier: desc_tier_i,
          deadline: desc_deadline_i
      };
  assign progress_slot_o = 16'(progress.slot);
  assign progress_watermark_o = 16'(progress.watermark);
  assign end_slot_o = 16'(done.slot);
  assign end_status_o = done.status;
  assign end_bytes_o = done.bytes;
  assign end_cycles_o = done.cycles;
  assign end_stall_ar_o = done.stall_ar;
  assign end_stall_r_o = done.stall_r;


  // ---- what is under test; the controller's reads and translations rest, its streams are always taken
  owner_ctx_t ctx_unused;
  logic walk_ready_unused, walk_rsp_unused, sweep_unused, abort_ready_unused, err_valid_unused, conflict_unused;
  walk_rsp_t translation_unused;
  entries_t free_unused;
  list_info_t [Readers-1:0] list_unused;
  logic [31:0] serial_unused;
  read_error_t err_unused;
  mux_count_t mux_count;
  port_count_t port_count;
  walk_count_t walk_count_unused;
  logic [3:0] cache_unused;
  logic [2:0] prot_unused;

  kvsink_movement u_move (
      .clk_i,
      .rst_ni,
      .now_i             (now_q),
      .ctl_i             (ctl_q),
      .layout_i          (layout_q),
      .profiles_i        (profiles_q),
      .base_we_i,
      .base_waddr_i      (base_waddr),
      .base_wdata_i,
      .own_wr_valid_i    (own_we_i),
      .own_wr_owner_i    (owner_t'(own_i)),
      .own_wr_ctx_i      (own_ctx),
      .own_rd_owner_i    ('0),
      .own_rd_ctx_o      (ctx_unused),
      .walk_req_valid_i  (1'b0),
      .walk_req_ready_o  (walk_ready_unused),
      .walk_req_i        ('0),
      .walk_rsp_valid_o  (walk_rsp_unused),
      .walk_rsp_ready_i  (1'b1),
      .walk_rsp_o        (translation_unused),
      .tag_cmd_valid_i   (cmd_valid_i),
      .tag_cmd_ready_o   (cmd_ready_o),
      .tag_cmd_i         (cmd),
      .tag_ack_valid_o   (ack_valid_o),
      .tag_ack_o         (ack),
      .tag_free_entries_o(free_unused),
      .tag_sweep_busy_o  (sweep_unused),
      .retire_i          (retire),
      .keep_end_valid_i  (1'b0),
      .keep_end_owner_i  ('0),
      .keep_end_all_i    (1'b0),
      .fence_i,
      .fence_busy_o,
      .list_info_o       (list_unused),
      .list_serial_o     (serial_unused),
      .desc_valid_i,
      .desc_ready_o,
      .desc_i            (desc),
      .abort_valid_i,
      .abort_ready_o     (abort_ready_unused),
      .abort_slot_i      (slot_t'(abort_slot_i)),
      .progress_valid_o,
      .progress_ready_i  (1'b1),
      .progress_o        (progress),
      .end_valid_o,
      .end_ready_i       (1'b1),
      .end_o             (done),
      .req_valid_i,
      .req_ready_o,
      .req_i             (req),
      .sink_valid_o,
      .sink_ready_i,
      .sink_o            (sink),
      .bulk_valid_o,
      .bulk_ready_i,
      .bulk_o            (bulk),
      .err_valid_o       (err_valid_unused),
      .err_ready_i       (1'b1),
      .err_o             (err_unused),
      .mux_count_o       (mux_count),
      .port_count_o      (port_count),
      .walk_count_o      (walk_count_unused),
      .sram_conflict_o   (conflict_unused),
      .m_axi_arid_o,
      .m_axi_araddr_o,
      .m_axi_arlen_o,
      .m_axi_arsize_o,
      .m_axi_arburst_o,
      .m_axi_arcache_o   (cache_unused),
      .m_axi_arprot_o    (prot_unused),
      .m_axi_arvalid_o,
      .m_axi_arready_i,
      .m_axi_rid_i,
      .m_axi_rdata_i,
      .m_axi_rresp_i,
      .m_axi_rlast_i,
      .m_axi_rvalid_i,
      .m_axi_rready_o
  );

  assign sram_wr_valid_o = u_move.sram_wr_valid;
  assign sram_wr_addr_o = 32'(u_move.sram_wr.addr);
  assign sram_wr_data_o = u_move.sram_wr.data;

  assign count_table_beat_o = port_count.table_beat;
  assign count_bulk_beat_o = port_count.bulk_beat;
  assign count_promo_beat_o = port_count.promo_beat;
  assign count_dropped_o = mux_count.dropped_beat;
  assign count_stray_o = port_count.stray_beat;

  logic unused;
  assign unused = ^{cfg_data_i, cmd_position_i, mux_count, port_count};

endmodule
