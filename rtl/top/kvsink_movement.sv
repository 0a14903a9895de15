// SPDX-License-Identifier: Apache-2.0
// Everything that moves rows: owner table, block walker, tag array, slot SRAM, bypass mux, promotion DMA and memory port.
//
// Joins these units and adds nothing. What decides (residency_ctrl, or a test in its place) stands outside: it writes
// owners and profiles, translates as client 0 of the walker, installs and removes tags, hands out descriptors and
// retires. Requests go in, rows come out on two streams, reads go to one AXI4 port. Contracts and latencies are those
// of the units; see their headers.

module kvsink_movement
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input cycle_t now_i,

    // configuration: static while rows move, but for the limits and floors in ctl_i
    input ctl_cfg_t                          ctl_i,
    input layout_cfg_t                       layout_i,
    input profile_cfg_t [      Profiles-1:0] profiles_i,
    input logic                              base_we_i,
    input logic         [$clog2(Layers)+1:0] base_waddr_i,
    input addr_t                             base_wdata_i,

    // owners
    input  logic       own_wr_valid_i,
    input  owner_t     own_wr_owner_i,
    input  owner_ctx_t own_wr_ctx_i,
    input  owner_t     own_rd_owner_i,
    output owner_ctx_t own_rd_ctx_o,

    // translations for the controller
    input  logic      walk_req_valid_i,
    output logic      walk_req_ready_o,
    input  walk_req_t walk_req_i,
    output logic      walk_rsp_valid_o,
    input  logic      walk_rsp_ready_i,
    output walk_rsp_t walk_rsp_o,

    // tags
    input  logic     tag_cmd_valid_i,
    output logic     tag_cmd_ready_o,
    input  tag_cmd_t tag_cmd_i,
    output logic     tag_ack_valid_o,
    output tag_ack_t tag_ack_o,
    output entries_t tag_free_entries_o,
    output logic     tag_sweep_busy_o,

    // retire, fence, end of kept lists
    input  retire_t                  retire_i,
    input  logic                     keep_end_valid_i,
    input  owner_t                   keep_end_owner_i,
    input  logic                     keep_end_all_i,
    input  logic                     fence_i,
    output logic                     fence_busy_o,
    output list_info_t [Readers-1:0] list_info_o,
    output logic       [       31:0] list_serial_o,

    // descriptors
    input  logic          desc_valid_i,
    output logic          desc_ready_o,
    input  dma_desc_t     desc_i,
    input  logic          abort_valid_i,
    output logic          abort_ready_o,
    input  slot_t         abort_slot_i,
    output logic          progress_valid_o,
    input  logic          progress_ready_i,
    output dma_progress_t progress_o,
    output logic          end_valid_o,
    input  logic          end_ready_i,
    output dma_end_t      end_o,

    // row requests and rows
    input  logic        req_valid_i,
    output logic        req_ready_o,
    input  row_req_t    req_i,
    output logic        sink_valid_o,
    input  logic        sink_ready_i,
    output row_beat_t   sink_o,
    output logic        bulk_valid_o,
    input  logic        bulk_ready_i,
    output row_beat_t   bulk_o,
    output logic        err_valid_o,
    input  logic        err_ready_i,
    output read_error_t err_o,

    // what the units count
    output mux_count_t  mux_count_o,
    output port_count_t port_count_o,
    output walk_count_t walk_count_o,
    output logic        sram_conflict_o,

    // backing memory, AXI4 reads
    output axi_id_t        m_axi_arid_o,
    output addr_t          m_axi_araddr_o,
    output axi_len_t       m_axi_arlen_o,
    output logic     [2:0] m_axi_arsize_o,
    output logic     [1:0] m_axi_arburst_o,
    output logic     [3:0] m_axi_arcache_o,
    output logic     [2:0] m_axi_arprot_o,
    output logic           m_axi_arvalid_o,
    input  logic           m_axi_arready_i,
    input  axi_id_t        m_axi_rid_i,
    input  beat_t          m_axi_rdata_i,
    input  logic     [1:0] m_axi_rresp_i,
    input  logic           m_axi_rlast_i,
    input  logic           m_axi_rvalid_i,
    output logic           m_axi_rready_o
);

  // ---- owners: one writer, three readers (controller, walker, mux)
  localparam int unsigned OwnerReaders = 3;
  owner_t [OwnerReaders-1:0] own_rd_owner;
  owner_ctx_t [OwnerReaders-1:0] own_rd_ctx;

  owner_table #(
      .ReadPorts(OwnerReaders)
  ) u_owners (
      .clk_i,
      .rst_ni    (rst_ni),
      .wr_valid_i(own_wr_valid_i),
      .wr_owner_i(own_wr_owner_i),
      .wr_ctx_i  (own_wr_ctx_i),
      .rd_owner_i(own_rd_owner),
      .rd_ctx_o  (own_rd_ctx)
  );

  // The controller reads owners and translations as number 0.
  assign own_rd_owner[0] = own_rd_owner_i;
  assign own_rd_ctx_o = own_rd_ctx[0];

  // ---- block walker: clients 0 controller, 1 lookups of the mux, 2 bulk reads of the mux
  localparam int unsigned WalkClients = 3;
  logic [WalkClients-1:0] walk_req_valid, walk_req_ready, walk_rsp_valid, walk_rsp_ready;
  walk_req_t [WalkClients-1:0] walk_req;
  walk_rsp_t [WalkClients-1:0] walk_rsp;
  logic table_rd_valid, table_rd_ready, table_mem_valid;
  rd_req_t table_rd;
  rd_rsp_t table_mem;

  assign walk_req_valid[0] = walk_req_valid_i;
  assign walk_req_ready_o = walk_req_ready[0];
  assign walk_req[0] = walk_req_i;
  assign walk_rsp_valid_o = walk_rsp_valid[0];
  assign walk_rsp_ready[0] = walk_rsp_ready_i;
  assign walk_rsp_o = walk_rsp[0];

  block_walker #(
      .Clients(WalkClients)
  ) u_walker (
      .clk_i,
      .rst_ni     (rst_ni),
      .layout_i   (layout_i),
      .retire_i   (retire_i),
      .req_valid_i(walk_req_valid),
      .req_ready_o(walk_req_ready),
      .req_i      (walk_req),
      .rsp_valid_o(walk_rsp_valid),
      .rsp_ready_i(walk_rsp_ready),
      .rsp_o      (walk_rsp),
      .rd_owner_o (own_rd_owner[1]),
      .rd_ctx_i   (own_rd_ctx[1]),
      .rd_valid_o (table_rd_valid),
      .rd_ready_i (table_rd_ready),
      .rd_o       (table_rd),
      .mem_valid_i(table_mem_valid),
      .mem_i      (table_mem),
      .count_o    (walk_count_o)
  );

  // ---- tag array
  logic tag_next_valid, tag_next_ready, tag_next_rsp_valid;
  tag_next_req_t tag_next;
  tag_next_rsp_t tag_next_rsp;
  logic tag_lookup_valid, tag_hit_valid;
  tag_lookup_t tag_lookup;
  tag_hit_t tag_hit;

  sink_tag_array u_tags (
      .clk_i,
      .rst_ni          (rst_ni),
      .profiles_i      (profiles_i),
      .retire_i        (retire_i),
      .sweep_busy_o    (tag_sweep_busy_o),
      .free_entries_o  (tag_free_entries_o),
      .next_valid_i    (tag_next_valid),
      .next_ready_o    (tag_next_ready),
      .next_i          (tag_next),
      .next_rsp_valid_o(tag_next_rsp_valid),
      .next_rsp_o      (tag_next_rsp),
      .lookup_valid_i  (tag_lookup_valid),
      .lookup_i        (tag_lookup),
      .hit_valid_o     (tag_hit_valid),
      .hit_o           (tag_hit),
      .cmd_valid_i     (tag_cmd_valid_i),
      .cmd_ready_o     (tag_cmd_ready_o),
      .cmd_i           (tag_cmd_i),
      .ack_valid_o     (tag_ack_valid_o),
      .ack_o           (tag_ack_o)
  );

  // ---- slot SRAM
  logic sram_wr_valid, sram_rd_valid, sram_rd_ready, sram_rsp_valid;
  sram_write_t sram_wr;
  sram_addr_t sram_rd_addr;
  beat_t sram_rsp_data;

  slot_sram u_sram (
      .clk_i,
      .rst_ni     (rst_ni),
      .wr_valid_i (sram_wr_valid),
      .wr_i       (sram_wr),
      .rd_valid_i (sram_rd_valid),
      .rd_ready_o (sram_rd_ready),
      .rd_addr_i  (sram_rd_addr),
      .rsp_valid_o(sram_rsp_valid),
      .rsp_data_o (sram_rsp_data),
      .conflict_o (sram_conflict_o)
  );

  // ---- bypass mux
  logic bulk_rd_valid, bulk_rd_ready, bulk_mem_valid;
  rd_req_t bulk_rd;
  rd_rsp_t bulk_mem;
  logic bulk_ahead;

  bypass_mux u_mux (
      .clk_i,
      .rst_ni           (rst_ni),
      .cfg_i            (ctl_i),
      .layout_i         (layout_i),
      .profiles_i       (profiles_i),
      .base_we_i        (base_we_i),
      .base_waddr_i     (base_waddr_i),
      .base_wdata_i     (base_wdata_i),
      .retire_i         (retire_i),
      .keep_end_valid_i (keep_end_valid_i),
      .keep_end_owner_i (keep_end_owner_i),
      .keep_end_all_i   (keep_end_all_i),
      .req_valid_i,
      .req_ready_o,
      .req_i,
      .sink_valid_o,
      .sink_ready_i,
      .sink_o,
      .bulk_valid_o,
      .bulk_ready_i,
      .bulk_o,
      .rd_owner_o       (own_rd_owner[2]),
      .rd_ctx_i         (own_rd_ctx[2]),
      .lwalk_req_valid_o(walk_req_valid[1]),
      .lwalk_req_ready_i(walk_req_ready[1]),
      .lwalk_req_o      (walk_req[1]),
      .lwalk_rsp_valid_i(walk_rsp_valid[1]),
      .lwalk_rsp_ready_o(walk_rsp_ready[1]),
      .lwalk_rsp_i      (walk_rsp[1]),
      .bwalk_req_valid_o(walk_req_valid[2]),
      .bwalk_req_ready_i(walk_req_ready[2]),
      .bwalk_req_o      (walk_req[2]),
      .bwalk_rsp_valid_i(walk_rsp_valid[2]),
      .bwalk_rsp_ready_o(walk_rsp_ready[2]),
      .bwalk_rsp_i      (walk_rsp[2]),
      .next_valid_o     (tag_next_valid),
      .next_ready_i     (tag_next_ready),
      .next_o           (tag_next),
      .next_rsp_valid_i (tag_next_rsp_valid),
      .next_rsp_i       (tag_next_rsp),
      .lookup_valid_o   (tag_lookup_valid),
      .lookup_o         (tag_lookup),
      .hit_valid_i      (tag_hit_valid),
      .hit_i            (tag_hit),
      .sram_valid_o     (sram_rd_valid),
      .sram_ready_i     (sram_rd_ready),
      .sram_addr_o      (sram_rd_addr),
      .sram_rsp_valid_i (sram_rsp_valid),
      .sram_rsp_data_i  (sram_rsp_data),
      .rd_valid_o       (bulk_rd_valid),
      .rd_ready_i       (bulk_rd_ready),
      .rd_o             (bulk_rd),
      .mem_valid_i      (bulk_mem_valid),
      .mem_i            (bulk_mem),
      .ahead_o          (bulk_ahead),
      .list_info_o      (list_info_o),
      .list_serial_o    (list_serial_o),
      .err_valid_o      (err_valid_o),
      .err_ready_i      (err_ready_i),
      .err_o            (err_o),
      .count_o          (mux_count_o)
  );

  // ---- promotion DMA
  logic promo_rd_valid, promo_rd_ready, promo_mem_valid;
  rd_req_t promo_rd;
  rd_rsp_t promo_mem;
  logic [$clog2(PromoChannels)-1:0] promo_chan, promo_mem_chan;
  logic [PromoChannels-1:0] promo_lost;

  promotion_dma u_dma (
      .clk_i,
      .rst_ni          (rst_ni),
      .now_i           (now_i),
      .layout_i        (layout_i),
      .profiles_i      (profiles_i),
      .limit_i         (ctl_i.promo_reads),
      .base_we_i       (base_we_i),
      .base_waddr_i    (base_waddr_i),
      .base_wdata_i    (base_wdata_i),
      .retire_i        (retire_i),
      .desc_valid_i    (desc_valid_i),
      .desc_ready_o    (desc_ready_o),
      .desc_i          (desc_i),
      .abort_valid_i   (abort_valid_i),
      .abort_ready_o   (abort_ready_o),
      .abort_slot_i    (abort_slot_i),
      .rd_valid_o      (promo_rd_valid),
      .rd_ready_i      (promo_rd_ready),
      .rd_o            (promo_rd),
      .rd_chan_o       (promo_chan),
      .mem_valid_i     (promo_mem_valid),
      .mem_i           (promo_mem),
      .mem_chan_i      (promo_mem_chan),
      .mem_lost_i      (promo_lost),
      .wr_valid_o      (sram_wr_valid),
      .wr_o            (sram_wr),
      .progress_valid_o(progress_valid_o),
      .progress_ready_i(progress_ready_i),
      .progress_o      (progress_o),
      .end_valid_o     (end_valid_o),
      .end_ready_i     (end_ready_i),
      .end_o           (end_o)
  );

  // ---- memory port
  axi_read_port u_port (
      .clk_i,
      .rst_ni           (rst_ni),
      .cfg_i            (ctl_i),
      .table_req_valid_i(table_rd_valid),
      .table_req_ready_o(table_rd_ready),
      .table_req_i      (table_rd),
      .table_rsp_valid_o(table_mem_valid),
      .table_rsp_o      (table_mem),
      .bulk_req_valid_i (bulk_rd_valid),
      .bulk_req_ready_o (bulk_rd_ready),
      .bulk_req_i       (bulk_rd),
      .bulk_rsp_valid_o (bulk_mem_valid),
      .bulk_rsp_o       (bulk_mem),
      .bulk_ahead_i     (bulk_ahead),
      .promo_req_valid_i(promo_rd_valid),
      .promo_req_ready_o(promo_rd_ready),
      .promo_req_i      (promo_rd),
      .promo_chan_i     (promo_chan),
      .promo_rsp_valid_o(promo_mem_valid),
      .promo_rsp_o      (promo_mem),
      .promo_rsp_chan_o (promo_mem_chan),
      .promo_lost_o     (promo_lost),
      .fence_i          (fence_i),
      .fence_busy_o     (fence_busy_o),
      .count_o          (port_count_o),
      .m_axi_arid_o,
      .m_axi_araddr_o,
      .m_axi_arlen_o,
      .m_axi_arsize_o,
      .m_axi_arburst_o,
      .m_axi_arcache_o,
      .m_axi_arprot_o,
      .m_axi_arvalid_o,
      .m_axi_arready_i,
      .m_axi_rid_i,
      .m_axi_rdata_i,
      .m_axi_rresp_i,
      .m_axi_rlast_i,
      .m_axi_rvalid_i,
      .m_axi_rready_o
  );

endmodule
