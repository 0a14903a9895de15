// SPDX-License-Identifier: Apache-2.0
// kvsink: keeps the key/value rows of attention sinks in SRAM while a transformer decodes.
//
// Joins the units (those that move rows are joined in kvsink_movement) and adds nothing of its own but the reset synchroniser, the cycle counter and the arbiter in front of
// the event log. One instance serves one memory port. Streams are structs of kvsink_pkg with valid/ready; see there for
// their fields, and docs/integration.md for how to connect them.
//
//   weights, scores        commands             row requests            partials
//         |                    |                     |                      |
//   sink_scorer ------> residency_ctrl ---> sink_tag_array <--> bypass_mux  lse_merge --> out
//                          |  |    ^             lookup          |   |  |
//                descriptors  |    | progress               sink |   |  | bulk
//                          v  v    | end                         |   |  |
//               promotion_dma  event_log      slot_sram ---------+   |  |
//                     |   \--- writes ---------^                     |  |
//                     |             block_walker <---- translations -+  |
//                     v                   v                             v
//                     +------------ axi_read_port ----------------------+ ---> AXI4 reads

module kvsink_top
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni, // asserted asynchronously; released in step with the clock inside

    // row requests and rows
    input  logic      req_valid_i,
    output logic      req_ready_o,
    input  row_req_t  req_i,
    output logic      sink_valid_o,
    input  logic      sink_ready_i,
    output row_beat_t sink_o,
    output logic      bulk_valid_o,
    input  logic      bulk_ready_i,
    output row_beat_t bulk_o,

    // attention weights
    input  logic        score_valid_i,
    output logic        score_ready_o,
    input  score_beat_t score_i,

    // partial attentions and their merge
    input  logic     partial_valid_i,
    output logic     partial_ready_o,
    input  partial_t partial_i,
    output logic     out_valid_o,
    input  logic     out_ready_i,
    output merged_t  out_o,

    // commands and completions
    input  logic  cmd_valid_i,
    output logic  cmd_ready_o,
    input  cmd_t  cmd_i,
    output logic  done_valid_o,
    input  logic  done_ready_i,
    output done_t done_o,

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
    output logic           m_axi_rready_o,

    // registers, AXI4-Lite
    input  logic [15:0] s_axil_awaddr_i,
    input  logic [ 2:0] s_axil_awprot_i,
    input  logic        s_axil_awvalid_i,
    output logic        s_axil_awready_o,
    input  logic [31:0] s_axil_wdata_i,
    input  logic [ 3:0] s_axil_wstrb_i,
    input  logic        s_axil_wvalid_i,
    output logic        s_axil_wready_o,
    output logic [ 1:0] s_axil_bresp_o,
    output logic        s_axil_bvalid_o,
    input  logic        s_axil_bready_i,
    input  logic [15:0] s_axil_araddr_i,
    input  logic [ 2:0] s_axil_arprot_i,
    input  logic        s_axil_arvalid_i,
    output logic        s_axil_arready_o,
    output logic [31:0] s_axil_rdata_o,
    output logic [ 1:0] s_axil_rresp_o,
    output logic        s_axil_rvalid_o,
    input  logic        s_axil_rready_i,

    output logic irq_o
);

  // ---- reset and time
  logic [1:0] reset_sync_q;
  logic rst_n;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) reset_sync_q <= '0;
    else reset_sync_q <= {reset_sync_q[0], 1'b1};
  end
  assign rst_n = reset_sync_q[1];

  cycle_t now_q;
  always_ff @(posedge clk_i or negedge rst_n) begin
    if (!rst_n) now_q <= '0;
    else now_q <= now_q + cycle_t'(1);
  end

  // ---- registers
  ctl_cfg_t ctl;
  layout_cfg_t layout;
  profile_cfg_t [Profiles-1:0] profiles;
  logic base_we;
  logic [$clog2(Layers)+1:0] base_waddr;
  addr_t base_wdata;

  logic cmd_valid, cmd_ready, done_valid, done_ready;
  cmd_t  cmd;
  done_t done;

  logic log_pop, log_valid;
  log_record_t log_record;
  logic [$clog2(LogRecords):0] log_level, log_room;
  logic [31:0] log_last_sequence, log_last_crc;

  mux_count_t mux_count;
  port_count_t port_count;
  walk_count_t walk_count;
  ctrl_count_t ctrl_count;
  logic sram_conflict;
  logic merge_done, merge_weighted, merge_nan, merge_error;
  logic [31:0] merge_sink_mass;
  logic score_beat, score_saturated, score_discarded, score_malformed;

  kvsink_csr u_csr (
      .clk_i,
      .rst_ni             (rst_n),
      .s_axil_awaddr_i,
      .s_axil_awprot_i,
      .s_axil_awvalid_i,
      .s_axil_awready_o,
      .s_axil_wdata_i,
      .s_axil_wstrb_i,
      .s_axil_wvalid_i,
      .s_axil_wready_o,
      .s_axil_bresp_o,
      .s_axil_bvalid_o,
      .s_axil_bready_i,
      .s_axil_araddr_i,
      .s_axil_arprot_i,
      .s_axil_arvalid_i,
      .s_axil_arready_o,
      .s_axil_rdata_o,
      .s_axil_rresp_o,
      .s_axil_rvalid_o,
      .s_axil_rready_i,
      .irq_o,
      .ctl_o              (ctl),
      .layout_o           (layout),
      .base_we_o          (base_we),
      .base_waddr_o       (base_waddr),
      .base_wdata_o       (base_wdata),
      .cmd_valid_i,
      .cmd_ready_o,
      .cmd_i,
      .done_valid_o,
      .done_ready_i,
      .done_o,
      .ctrl_cmd_valid_o   (cmd_valid),
      .ctrl_cmd_ready_i   (cmd_ready),
      .ctrl_cmd_o         (cmd),
      .ctrl_done_valid_i  (done_valid),
      .ctrl_done_ready_o  (done_ready),
      .ctrl_done_i        (done),
      .log_pop_o          (log_pop),
      .log_valid_i        (log_valid),
      .log_record_i       (log_record),
      .log_level_i        (log_level),
      .log_last_sequence_i(log_last_sequence),
      .log_last_crc_i     (log_last_crc),
      .mux_count_i        (mux_count),
      .port_count_i       (port_count),
      .walk_count_i       (walk_count),
      .ctrl_count_i       (ctrl_count),
      .sram_conflict_i    (sram_conflict),
      .merge_done_i       (merge_done),
      .merge_weighted_i   (merge_weighted),
      .merge_sink_mass_i  (merge_sink_mass),
      .merge_nan_i        (merge_nan),
      .merge_error_i      (merge_error),
      .score_beat_i       (score_beat),
      .score_saturated_i  (score_saturated),
      .score_discarded_i  (score_discarded),
      .score_malformed_i  (score_malformed),
      .sink_valid_i       (sink_valid_o),
      .sink_ready_i       (sink_ready_i),
      .bulk_valid_i       (bulk_valid_o),
      .bulk_ready_i       (bulk_ready_i)
  );

  // ---- everything that moves rows
  logic own_wr_valid, keep_end_valid, keep_end_all, fence, fence_busy, tag_sweep_busy;
  owner_t own_wr_owner, own_rd_owner, keep_end_owner;
  owner_ctx_t own_wr_ctx, own_rd_ctx;
  logic walk_req_valid, walk_req_ready, walk_rsp_valid, walk_rsp_ready;
  walk_req_t walk_req;
  walk_rsp_t walk_rsp;
  logic tag_cmd_valid, tag_cmd_ready, tag_ack_valid;
  tag_cmd_t tag_cmd;
  tag_ack_t tag_ack;
  entries_t tag_free_entries;
  retire_t retire;
  list_info_t [Readers-1:0] list_info;
  logic [31:0] list_serial;
  logic desc_valid, desc_ready, abort_valid, abort_ready;
  dma_desc_t desc;
  slot_t abort_slot;
  logic progress_valid, progress_ready, end_valid, end_ready;
  dma_progress_t progress;
  dma_end_t dma_end;
  logic read_error_valid, read_error_ready;
  read_error_t read_error;

  kvsink_movement u_move (
      .clk_i,
      .rst_ni            (rst_n),
      .now_i             (now_q),
      .ctl_i             (ctl),
      .layout_i          (layout),
      .profiles_i        (profiles),
      .base_we_i         (base_we),
      .base_waddr_i      (base_waddr),
      .base_wdata_i      (base_wdata),
      .own_wr_valid_i    (own_wr_valid),
      .own_wr_owner_i    (own_wr_owner),
      .own_wr_ctx_i      (own_wr_ctx),
      .own_rd_owner_i    (own_rd_owner),
      .own_rd_ctx_o      (own_rd_ctx),
      .walk_req_valid_i  (walk_req_valid),
      .walk_req_ready_o  (walk_req_ready),
      .walk_req_i        (walk_req),
      .walk_rsp_valid_o  (walk_rsp_valid),
      .walk_rsp_ready_i  (walk_rsp_ready),
      .walk_rsp_o        (walk_rsp),
      .tag_cmd_valid_i   (tag_cmd_valid),
      .tag_cmd_ready_o   (tag_cmd_ready),
      .tag_cmd_i         (tag_cmd),
      .tag_ack_valid_o   (tag_ack_valid),
      .tag_ack_o         (tag_ack),
      .tag_free_entries_o(tag_free_entries),
      .tag_sweep_busy_o  (tag_sweep_busy),
      .retire_i          (retire),
      .keep_end_valid_i  (keep_end_valid),
      .keep_end_owner_i  (keep_end_owner),
      .keep_end_all_i    (keep_end_all),
      .fence_i           (fence),
      .fence_busy_o      (fence_busy),
      .list_info_o       (list_info),
      .list_serial_o     (list_serial),
      .desc_valid_i      (desc_valid),
      .desc_ready_o      (desc_ready),
      .desc_i            (desc),
      .abort_valid_i     (abort_valid),
      .abort_ready_o     (abort_ready),
      .abort_slot_i      (abort_slot),
      .progress_valid_o  (progress_valid),
      .progress_ready_i  (progress_ready),
      .progress_o        (progress),
      .end_valid_o       (end_valid),
      .end_ready_i       (end_ready),
      .end_o             (dma_end),
      .req_valid_i,
      .req_ready_o,
      .req_i,
      .sink_valid_o,
      .sink_ready_i,
      .sink_o,
      .bulk_valid_o,
      .bulk_ready_i,
      .bulk_o,
      .err_valid_o       (read_error_valid),
      .err_ready_i       (read_error_ready),
      .err_o             (read_error),
      .mux_count_o       (mux_count),
      .port_count_o      (port_count),
      .walk_count_o      (walk_count),
      .sram_conflict_o   (sram_conflict),
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

  // ---- scorer
  logic batch_valid, sc_valid, sc_ready, sc_rsp_valid, sc_rsp_ready, score_flush;
  owner_t batch_owner, score_flush_owner;
  score_cmd_t sc;
  score_rsp_t sc_rsp;

  sink_scorer u_scorer (
      .clk_i,
      .rst_ni       (rst_n),
      .cfg_i        (ctl),
      .score_valid_i,
      .score_ready_o,
      .score_i,
      .batch_valid_o(batch_valid),
      .batch_owner_o(batch_owner),
      .cmd_valid_i  (sc_valid),
      .cmd_ready_o  (sc_ready),
      .cmd_i        (sc),
      .rsp_valid_o  (sc_rsp_valid),
      .rsp_ready_i  (sc_rsp_ready),
      .rsp_o        (sc_rsp),
      .flush_i      (score_flush),
      .flush_owner_i(score_flush_owner),
      .beat_o       (score_beat),
      .saturated_o  (score_saturated),
      .discarded_o  (score_discarded),
      .malformed_o  (score_malformed)
  );

  // ---- residency controller
  logic ctrl_ev_valid, ctrl_ev_ready;
  log_event_t ctrl_ev;

  residency_ctrl u_ctrl (
      .clk_i,
      .rst_ni             (rst_n),
      .now_i              (now_q),
      .cfg_i              (ctl),
      .layout_i           (layout),
      .cmd_valid_i        (cmd_valid),
      .cmd_ready_o        (cmd_ready),
      .cmd_i              (cmd),
      .done_valid_o       (done_valid),
      .done_ready_i       (done_ready),
      .done_o             (done),
      .own_wr_valid_o     (own_wr_valid),
      .own_wr_owner_o     (own_wr_owner),
      .own_wr_ctx_o       (own_wr_ctx),
      .own_rd_owner_o     (own_rd_owner),
      .own_rd_ctx_i       (own_rd_ctx),
      .profiles_o         (profiles),
      .walk_req_valid_o   (walk_req_valid),
      .walk_req_ready_i   (walk_req_ready),
      .walk_req_o         (walk_req),
      .walk_rsp_valid_i   (walk_rsp_valid),
      .walk_rsp_ready_o   (walk_rsp_ready),
      .walk_rsp_i         (walk_rsp),
      .tag_cmd_valid_o    (tag_cmd_valid),
      .tag_cmd_ready_i    (tag_cmd_ready),
      .tag_cmd_o          (tag_cmd),
      .tag_ack_valid_i    (tag_ack_valid),
      .tag_ack_i          (tag_ack),
      .tag_free_entries_i (tag_free_entries),
      .tag_sweep_busy_i   (tag_sweep_busy),
      .retire_o           (retire),
      .keep_end_valid_o   (keep_end_valid),
      .keep_end_owner_o   (keep_end_owner),
      .keep_end_all_o     (keep_end_all),
      .fence_o            (fence),
      .fence_busy_i       (fence_busy),
      .desc_valid_o       (desc_valid),
      .desc_ready_i       (desc_ready),
      .desc_o             (desc),
      .abort_valid_o      (abort_valid),
      .abort_ready_i      (abort_ready),
      .abort_slot_o       (abort_slot),
      .progress_valid_i   (progress_valid),
      .progress_ready_o   (progress_ready),
      .progress_i         (progress),
      .end_valid_i        (end_valid),
      .end_ready_o        (end_ready),
      .end_i              (dma_end),
      .batch_valid_i      (batch_valid),
      .batch_owner_i      (batch_owner),
      .sc_valid_o         (sc_valid),
      .sc_ready_i         (sc_ready),
      .sc_o               (sc),
      .rsp_valid_i        (sc_rsp_valid),
      .rsp_ready_o        (sc_rsp_ready),
      .rsp_i              (sc_rsp),
      .score_flush_o      (score_flush),
      .score_flush_owner_o(score_flush_owner),
      .ev_valid_o         (ctrl_ev_valid),
      .ev_ready_i         (ctrl_ev_ready),
      .ev_o               (ctrl_ev),
      .log_room_i         (log_room),
      .list_info_i        (list_info),
      .list_serial_i      (list_serial),
      .count_o            (ctrl_count)
  );

  // ---- event log: records of the controller come first; a read error waits, and while it waits others are not recorded
  logic ev_valid, ev_ready;
  log_event_t ev;
  assign ev_valid = ctrl_ev_valid || read_error_valid;
  assign ctrl_ev_ready = ev_ready;
  assign read_error_ready = ev_ready && !ctrl_ev_valid;
  always_comb begin
    ev = ctrl_ev;
    if (!ctrl_ev_valid) begin
      ev = '{
          kind: EvReadError,
          cause: read_error.cause,
          owner: 16'(read_error.owner),
          position: 32'(read_error.position),
          word: '0,
          slot: '0
      };
    end
  end

  // The choice between the two sources may change while the log is full, so it is made in front of a register slice.
  logic log_ev_valid, log_ev_ready;
  log_event_t log_ev;
  kv_skid #(
      .T(log_event_t)
  ) u_log_slice (
      .clk_i,
      .rst_ni (rst_n),
      .valid_i(ev_valid),
      .ready_o(ev_ready),
      .data_i (ev),
      .valid_o(log_ev_valid),
      .ready_i(log_ev_ready),
      .data_o (log_ev)
  );

  event_log u_log (
      .clk_i,
      .rst_ni         (rst_n),
      .now_i          (now_q),
      .ev_valid_i     (log_ev_valid),
      .ev_ready_o     (log_ev_ready),
      .ev_i           (log_ev),
      .room_o         (log_room),
      .rd_pop_i       (log_pop),
      .rd_valid_o     (log_valid),
      .rd_record_o    (log_record),
      .level_o        (log_level),
      .last_sequence_o(log_last_sequence),
      .last_crc_o     (log_last_crc)
  );

  // ---- merge
  lse_merge u_merge (
      .clk_i,
      .rst_ni          (rst_n),
      .partial_valid_i,
      .partial_ready_o,
      .partial_i,
      .out_valid_o,
      .out_ready_i,
      .out_o,
      .merge_done_o    (merge_done),
      .merge_weighted_o(merge_weighted),
      .sink_mass_o     (merge_sink_mass),
      .nan_o           (merge_nan),
      .error_o         (merge_error)
  );

endmodule
