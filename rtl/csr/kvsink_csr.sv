// SPDX-License-Identifier: Apache-2.0
// Registers: AXI4-Lite in front of the bank that PeakRDL writes from kvsink.rdl, and what a register map cannot say.
//
//   AXI4-Lite -> kv_axil -> write checker -> kvsink_regs (generated) -> ctl_o, layout_o
//                                               |-> counters (kv_counters)
//                                               |-> base addresses (written to every unit that makes addresses)
//                                               |-> command window -+
//                                            command stream --------+-> kv_cmd_join -> residency_ctrl
//
// Contract: the map is docs/registers.md. A write out of range, with a reserved bit, of a part of a word, or to an address
// without a register gets SLVERR, changes nothing and sets a bit of ERRORS. Everything is answered: within 4 cycles, a
// counter within 70. Registers take effect in the cycle after the access. ctl_o and layout_o come from flops.
// stream_timeout: a stream that has not been taken for that many cycles in a row sets its bit once.

`include "kvsink_assert.svh"

module kvsink_csr
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

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
    output logic        irq_o,

    output ctl_cfg_t                         ctl_o,
    output layout_cfg_t                      layout_o,
    output logic                             base_we_o,
    output logic        [$clog2(Layers)+1:0] base_waddr_o,
    output addr_t                            base_wdata_o,

    // command stream of the top, and the joined one to the controller
    input  logic  cmd_valid_i,
    output logic  cmd_ready_o,
    input  cmd_t  cmd_i,
    output logic  done_valid_o,
    input  logic  done_ready_i,
    output done_t done_o,
    output logic  ctrl_cmd_valid_o,
    input  logic  ctrl_cmd_ready_i,
    output cmd_t  ctrl_cmd_o,
    input  logic  ctrl_done_valid_i,
    output logic  ctrl_done_ready_o,
    input  done_t ctrl_done_i,

    output logic                               log_pop_o,
    input  logic                               log_valid_i,
    input  log_record_t                        log_record_i,
    input  logic        [$clog2(LogRecords):0] log_level_i,
    input  logic        [                31:0] log_last_sequence_i,
    input  logic        [                31:0] log_last_crc_i,

    // what is counted
    input mux_count_t         mux_count_i,
    input port_count_t        port_count_i,
    input walk_count_t        walk_count_i,
    input ctrl_count_t        ctrl_count_i,
    input logic               sram_conflict_i,
    input logic               merge_done_i,
    input logic               merge_weighted_i,
    input logic        [31:0] merge_sink_mass_i,
    input logic               merge_nan_i,
    input logic               merge_error_i,
    input logic               score_beat_i,
    input logic               score_saturated_i,
    input logic               score_discarded_i,
    input logic               score_malformed_i,
    input logic               sink_valid_i,
    input logic               sink_ready_i,
    input logic               bulk_valid_i,
    input logic               bulk_ready_i
);

  localparam logic [15:0] CountFirst = 16'h0600;
  localparam logic [15:0] CountEnd = 16'h0800;
  localparam logic [15:0] BaseFirst = 16'h1000;
  localparam logic [15:0] BaseEnd = 16'h2000;
  localparam logic [15:0] CmdFirst = 16'h0340;
  localparam logic [15:0] CmdEnd = 16'h0380;
  localparam logic [15:0] Doorbell = 16'h0380;
  localparam logic [15:0] DonePop = 16'h0384;
  localparam logic [15:0] LogPop = 16'h0420;
  localparam int unsigned BaseAddrW = $clog2(Layers) + 2;

  if (Layers * Tensors * 8 > 4096) begin : gen_bad_layers
    $error("kvsink_csr: Layers %0d do not fit in the window of base addresses", Layers);
  end
  if (QHeads > 128) begin : gen_bad_heads
    $error("kvsink_csr: QHeads %0d is above the 128 bits of head_mask", QHeads);
  end

  // ----------------------------------------------------------------------------------------------------------- access
  logic req_valid, req_write, rsp_valid, rsp_error;
  logic [15:0] req_addr;
  logic [31:0] req_data, rsp_data;
  logic [3:0] req_strb;

  kv_axil u_axil (
      .clk_i,
      .rst_ni,
      .s_axil_awaddr_i,
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
      .s_axil_arvalid_i,
      .s_axil_arready_o,
      .s_axil_rdata_o,
      .s_axil_rresp_o,
      .s_axil_rvalid_o,
      .s_axil_rready_i,
      .req_valid_o(req_valid),
      .req_write_o(req_write),
      .req_addr_o (req_addr),
      .req_data_o (req_data),
      .req_strb_o (req_strb),
      .rsp_valid_i(rsp_valid),
      .rsp_error_i(rsp_error),
      .rsp_data_i (rsp_data)
  );

  logic checker_bad;
  kvsink_csr_check u_check (
      .addr_i(req_addr),
      .data_i(req_data),
      .bad_o (checker_bad)
  );

  // What the map alone cannot judge. The verdict is that of the first cycle of an access, before anything is changed.
  logic bad_range, bad_address, bad_window, refused;
  logic bank_sent_q;  // the bank works on it
  logic in_base, in_count, in_cmd, base_bad, cmd_busy, done_waits;
  logic [8:0] base_entry;
  logic [8:0] low_entry_q;  // entry whose low word is held
  logic low_valid_q, base_ack_q;
  logic [31:0] low_q;

  assign in_base = req_addr >= BaseFirst && req_addr < BaseEnd;
  assign in_count = req_addr >= CountFirst && req_addr < CountEnd;
  assign in_cmd = req_addr >= CmdFirst && req_addr < CmdEnd;
  assign base_entry = req_addr[11:3];
  assign base_bad = 32'(base_entry) >= 32'(Layers * Tensors) ||
      (req_addr[2] ? (req_data[31:AddrW-32] != '0 || !low_valid_q || low_entry_q != base_entry)
                   : req_data[BeatShift-1:0] != '0);

  assign bad_address = req_addr[1:0] != '0 || (req_write ? (req_strb != '1 || in_count) : in_base);
  assign bad_range = req_write && !bad_address && (checker_bad || (in_base && base_bad));
  assign bad_window = req_write && !bad_address && !bad_range &&
      ((cmd_busy && (in_cmd || (req_addr == Doorbell && req_data[0]))) ||
       (!done_waits && req_addr == DonePop && req_data[0]) || (!log_valid_i && req_addr == LogPop && req_data[0]));
  assign refused = !bank_sent_q && (bad_address || bad_range || bad_window);

  // ------------------------------------------------------------------------------------------------- generated registers
  kvsink_regs_pkg::kvsink_regs__in_t  hwif_in;
  kvsink_regs_pkg::kvsink_regs__out_t hwif_out;
  logic bank_req, bank_ack, bank_error, bank_rd_ack, bank_wr_ack, bank_rd_err, bank_wr_err;
  logic stall_wr_unused, stall_rd_unused;
  logic [31:0] bank_data;

  assign bank_req   = req_valid && !refused && !bank_sent_q;
  assign bank_ack   = bank_rd_ack || bank_wr_ack;
  assign bank_error = (bank_rd_ack && bank_rd_err) || (bank_wr_ack && bank_wr_err);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) bank_sent_q <= 1'b0;
    else bank_sent_q <= req_valid && !rsp_valid && (bank_sent_q || bank_req);
  end

  kvsink_regs u_regs (
      .clk                 (clk_i),
      .rst_n               (rst_ni),
      .s_cpuif_req         (bank_req),
      .s_cpuif_req_is_wr   (req_write),
      .s_cpuif_addr        (req_addr),
      .s_cpuif_wr_data     (req_data),
      .s_cpuif_wr_biten    ('1),
      .s_cpuif_req_stall_wr(stall_wr_unused),
      .s_cpuif_req_stall_rd(stall_rd_unused),
      .s_cpuif_rd_ack      (bank_rd_ack),
      .s_cpuif_rd_err      (bank_rd_err),
      .s_cpuif_rd_data     (bank_data),
      .s_cpuif_wr_ack      (bank_wr_ack),
      .s_cpuif_wr_err      (bank_wr_err),
      .hwif_in,
      .hwif_out
  );

  assign rsp_valid = req_valid && (refused || bank_ack);
  assign rsp_error = refused || bank_error;
  assign rsp_data  = bank_data;

  // ----------------------------------------------------------------------------------------------------- configuration
  always_comb begin
    ctl_o.sram_budget = slots_t'(hwif_out.sram_budget.value.value);
    ctl_o.t_sink = hwif_out.t_sink.value.value;
    ctl_o.t_pin = hwif_out.t_pin.value.value;
    ctl_o.t_promote = hwif_out.t_promote.value.value;
    ctl_o.t_evict = hwif_out.t_evict.value.value;
    ctl_o.alpha = hwif_out.alpha.value.value;
    ctl_o.n_promote = hwif_out.n_promote.value.value;
    ctl_o.n_dwell = hwif_out.n_dwell.value.value;
    ctl_o.n_evict = hwif_out.n_evict.value.value;
    ctl_o.score_layer_first = layer_t'(hwif_out.layer_range.first.value);
    ctl_o.score_layer_count = layers_t'(hwif_out.layer_range.count.value);
    ctl_o.score_head_mask = QHeads'({
      hwif_out.head_mask_3.value.value,
      hwif_out.head_mask_2.value.value,
      hwif_out.head_mask_1.value.value,
      hwif_out.head_mask_0.value.value
    });
    for (int unsigned i = 0; i < LayerRanges; i++) begin
      ctl_o.score_layer_weight[i].first  = layer_t'(hwif_out.layer_weight[i].first.value);
      ctl_o.score_layer_weight[i].count  = layers_t'(hwif_out.layer_weight[i].count.value);
      ctl_o.score_layer_weight[i].weight = hwif_out.layer_weight[i].weight.value;
    end
    ctl_o.score_min_distance = len_t'(hwif_out.score_min_distance.value.value);
    ctl_o.score_min_queries = len_t'(hwif_out.score_min_queries.value.value);
    ctl_o.score_raw = hwif_out.score_mode.raw.value;
    ctl_o.score_raw_shift = hwif_out.score_mode.raw_shift.value;
    ctl_o.dynamic = hwif_out.dynamic.enable.value;
    ctl_o.promo_floor = hwif_out.promo_floor.value.value;
    for (int unsigned c = 0; c < PromoChannels; c++) ctl_o.promo_reads[c] = hwif_out.promo_reads[c].value.value;
    ctl_o.burst_cost = hwif_out.burst_cost.value.value;
    ctl_o.bus_timeout = hwif_out.bus_timeout.value.value;
    ctl_o.stream_timeout = hwif_out.stream_timeout.value.value;

    layout_o.page_log2 = hwif_out.page.page_log2.value;
    layout_o.block_bits = hwif_out.page.block_bits.value;
    layout_o.layers = layers_t'(hwif_out.model_layers.value.value);
    for (int unsigned s = 0; s < StrideSets; s++) begin
      layout_o.stride[s].block = {hwif_out.stride[s].block_hi.value.value, hwif_out.stride[s].block_lo.value.value};
      layout_o.stride[s].head  = hwif_out.stride[s].head.value.value;
      layout_o.stride[s].token = hwif_out.stride[s].token.value.value;
    end
    for (int unsigned p = 0; p < Planes; p++) begin
      layout_o.plane[p].valid = hwif_out.plane[p].shape.valid.value;
      layout_o.plane[p].tensor = hwif_out.plane[p].shape.tensor.value;
      layout_o.plane[p].stride_set = hwif_out.plane[p].shape.stride_set.value;
      layout_o.plane[p].share_log2 = hwif_out.plane[p].shape.share_log2.value;
      layout_o.plane[p].row_beats = row_beats_t'(hwif_out.plane[p].shape.row_beats.value);
      layout_o.plane[p].offset = hwif_out.plane[p].offset.value.value;
    end
  end

  // ----------------------------------------------------------------------------------------------------- base addresses
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      low_valid_q <= 1'b0;
      base_we_o   <= 1'b0;
      base_ack_q  <= 1'b0;
    end else begin
      base_ack_q <= hwif_out.base.req;
      base_we_o  <= hwif_out.base.req && hwif_out.base.addr[2];
      if (hwif_out.base.req) low_valid_q <= !hwif_out.base.addr[2];
    end
  end

  always_ff @(posedge clk_i) begin
    if (hwif_out.base.req && !hwif_out.base.addr[2]) begin
      low_q <= hwif_out.base.wr_data;
      low_entry_q <= hwif_out.base.addr[11:3];
    end
    if (hwif_out.base.req && hwif_out.base.addr[2]) begin
      base_waddr_o <= hwif_out.base.addr[BaseAddrW+2:3];
      base_wdata_o <= {hwif_out.base.wr_data[AddrW-33:0], low_q};
    end
  end

  // ----------------------------------------------------------------------------------------------------------- commands
  cmd_t  window_cmd;
  done_t window_done;
  logic  window_ready;

  always_comb begin
    window_cmd = '0;
    for (int unsigned w = 0; w < 12; w++) window_cmd[32*w+:32] = hwif_out.cmd[w].value.value;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) cmd_busy <= 1'b0;
    else if (bank_req && req_write && req_addr == Doorbell && req_data[0]) cmd_busy <= 1'b1;
    else if (window_ready) cmd_busy <= 1'b0;
  end

  kv_cmd_join u_join (
      .clk_i,
      .rst_ni,
      .cmd_valid_i ({cmd_busy, cmd_valid_i}),
      .cmd_ready_o ({window_ready, cmd_ready_o}),
      .cmd_i       ({window_cmd, cmd_i}),
      .done_valid_o({done_waits, done_valid_o}),
      .done_ready_i({hwif_out.done_pop.go.value, done_ready_i}),
      .done_o      ({window_done, done_o}),
      .ctrl_cmd_valid_o,
      .ctrl_cmd_ready_i,
      .ctrl_cmd_o,
      .ctrl_done_valid_i,
      .ctrl_done_ready_o,
      .ctrl_done_i
  );

  // ---------------------------------------------------------------------------------------------------------------- log
  logic [31:0] last_crc_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) last_crc_q <= '0;
    else if (hwif_out.log_last_sequence.value.swacc) last_crc_q <= log_last_crc_i;
  end
  assign log_pop_o = hwif_out.log_pop.go.value;

  // ---------------------------------------------------------------------------------------------------- stream timeouts
  logic [1:0] stream_waits, timeout;
  logic [1:0][24:0] waiting_q;  // which cycle of waiting this is, were it one: from 1 to 2^24 + 1
  assign stream_waits = {bulk_valid_i && !bulk_ready_i, sink_valid_i && !sink_ready_i};
  for (genvar s = 0; s < 2; s++) begin : gen_timeout
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        waiting_q[s] <= 25'd1;
        timeout[s]   <= 1'b0;
      end else begin
        timeout[s] <= stream_waits[s] && ctl_o.stream_timeout != '0 && waiting_q[s] == {1'b0, ctl_o.stream_timeout};
        if (!stream_waits[s]) waiting_q[s] <= 25'd1;
        else if (!(waiting_q[s][24] && waiting_q[s][0])) waiting_q[s] <= waiting_q[s] + 25'd1;
      end
    end
  end

  // ----------------------------------------------------------------------------------------------------------- counters
  // The order is that of the map.
  localparam int unsigned Events = 39;
  localparam int unsigned Wides = 5;
  localparam int unsigned FirstWides = 2;  // of these, those that stand in front of the tail in the map
  localparam int unsigned Tail = 20;  // events behind them in the map
  logic [Events+Tail-1:0] count_event;
  logic refused_pulse, command_pulse, done_pulse;
  logic range_pulse, address_pulse, window_pulse;
  logic count_done, count_rd;
  logic [63:0] count_data;
  logic [31:0] count_high_q;
  logic [ 5:0] count_index;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      refused_pulse <= 1'b0;
      range_pulse <= 1'b0;
      address_pulse <= 1'b0;
      window_pulse <= 1'b0;
      command_pulse <= 1'b0;
      done_pulse <= 1'b0;
    end else begin
      refused_pulse <= rsp_valid && rsp_error;
      range_pulse <= refused && req_valid && bad_range;
      address_pulse <= req_valid && (refused ? bad_address : bank_error);
      window_pulse <= refused && req_valid && bad_window;
      command_pulse <= ctrl_cmd_valid_o && ctrl_cmd_ready_i;
      done_pulse <= ctrl_done_valid_i && ctrl_done_ready_o;
    end
  end

  always_comb begin
    count_event = '0;
    count_event[0] = 1'b1;
    count_event[1] = port_count_i.table_beat;
    count_event[2] = port_count_i.bulk_beat;
    count_event[3] = port_count_i.promo_beat;
    count_event[4] = port_count_i.table_burst;
    count_event[5] = port_count_i.bulk_burst;
    count_event[6] = port_count_i.promo_burst;
    count_event[7] = port_count_i.ar_stall;
    count_event[8] = port_count_i.r_idle;
    count_event[9] = port_count_i.error_beat;
    count_event[10] = mux_count_i.sink_row;
    count_event[11] = mux_count_i.sink_beat;
    count_event[12] = mux_count_i.bulk_row;
    count_event[13] = mux_count_i.bulk_beat;
    count_event[14] = mux_count_i.error_row;
    count_event[15] = mux_count_i.dropped_beat;
    count_event[16] = mux_count_i.request;
    count_event[17] = mux_count_i.keep_refused;
    count_event[18] = mux_count_i.sink_stall;
    count_event[19] = mux_count_i.bulk_stall;
    count_event[20] = sram_conflict_i;
    count_event[21] = ctrl_count_i.granted;
    count_event[22] = ctrl_count_i.refused;
    count_event[23] = ctrl_count_i.resident;
    count_event[24] = ctrl_count_i.failed;
    count_event[25] = ctrl_count_i.left;
    count_event[26] = ctrl_count_i.evicted;
    count_event[27] = ctrl_count_i.deadline_missed;
    count_event[28] = merge_done_i;
    count_event[29] = merge_done_i && merge_weighted_i;
    count_event[30] = merge_done_i && merge_nan_i;
    count_event[31] = merge_error_i;
    count_event[32] = score_beat_i;
    count_event[33] = score_saturated_i;
    count_event[34] = score_discarded_i;
    count_event[35] = score_malformed_i;
    count_event[36] = timeout[0];
    count_event[37] = timeout[1];
    count_event[38] = port_count_i.stray_beat;
    count_event[39] = command_pulse;
    count_event[40] = done_pulse;
    count_event[41] = refused_pulse;
    count_event[42] = walk_count_i.hit;
    count_event[43] = walk_count_i.read;
    count_event[44] = walk_count_i.prefetch;
    count_event[45] = walk_count_i.dropped;
    count_event[46] = ctrl_count_i.rollback;
    count_event[47] = ctrl_count_i.referenced;
    count_event[48] = ctrl_count_i.released;
    count_event[49] = ctrl_count_i.refused_budget;
    count_event[50] = ctrl_count_i.refused_no_slot;
    count_event[51] = ctrl_count_i.refused_no_entry;
    count_event[52] = ctrl_count_i.refused_window;
    count_event[53] = ctrl_count_i.refused_log_full;
    count_event[54] = ctrl_count_i.placed;
    count_event[55] = ctrl_count_i.plan_missed;
    count_event[56] = ctrl_count_i.plan_denied_promotion;
    count_event[57] = ctrl_count_i.plan_denied_eviction;
    count_event[58] = port_count_i.promo_far_beat;
  end

  logic [Wides-1:0][31:0] count_wide;
  always_comb begin
    count_wide[0] = 32'(ctrl_count_i.slots_used);
    count_wide[1] = merge_done_i ? merge_sink_mass_i : 32'd0;
    count_wide[2] = 32'(walk_count_i.answers);
    count_wide[3] = 32'(ctrl_count_i.filling);
    count_wide[4] = 32'(ctrl_count_i.records);
  end

  // Pairs of words; the first wide counters stand in front of the tail in the map and behind it in the memory.
  logic [5:0] map_index;
  assign map_index = hwif_out.count.addr[8:3];
  always_comb begin
    count_index = map_index;
    if (32'(map_index) >= Events + FirstWides + Tail) count_index = map_index;
    else if (32'(map_index) >= Events + FirstWides) count_index = map_index - 6'(FirstWides);
    else if (32'(map_index) >= Events) count_index = map_index + 6'(Tail);
  end

  logic count_pending_q, count_high_ack_q;
  logic [5:0] count_index_q;
  assign count_rd = hwif_out.count.req && !hwif_out.count.req_is_wr && !hwif_out.count.addr[2];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      count_pending_q  <= 1'b0;
      count_high_ack_q <= 1'b0;
    end else begin
      if (count_rd) count_pending_q <= 1'b1;
      else if (count_done) count_pending_q <= 1'b0;
      count_high_ack_q <= hwif_out.count.req && !hwif_out.count.req_is_wr && hwif_out.count.addr[2];
    end
  end
  always_ff @(posedge clk_i) begin
    if (count_rd) count_index_q <= count_index;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) count_high_q <= '0;  // a high word may be read before any low one
    else if (count_done) count_high_q <= count_data[63:32];
  end

  kv_counters #(
      .Events(Events + Tail),
      .Wides (Wides),
      .WideW (32)
  ) u_counters (
      .clk_i,
      .rst_ni,
      .event_i   (count_event),
      .wide_i    (count_wide),
      .rd_valid_i(count_pending_q),
      .rd_index_i(count_index_q),
      .rd_done_o (count_done),
      .rd_data_o (count_data)
  );

  // --------------------------------------------------------------------------------------------------- into the registers
  logic sticky_stream, sticky_other, irq_d;
  assign sticky_stream = hwif_out.errors.sink_timeout.value || hwif_out.errors.bulk_timeout.value;
  assign sticky_other = hwif_out.errors.range.value || hwif_out.errors.address.value || hwif_out.errors.window.value ||
      hwif_out.errors.bus.value || hwif_out.errors.merge_nan.value || hwif_out.errors.merge_malformed.value ||
      hwif_out.errors.score_saturated.value || hwif_out.errors.score_malformed.value;
  logic log_reached;
  assign log_reached = 32'(log_level_i) >= 32'(hwif_out.log_threshold.value.value);

  logic [7:0][31:0] done_words, log_words;
  assign done_words = done_waits ? window_done : '0;
  assign log_words  = log_valid_i ? log_record_i : '0;

  always_comb begin
    hwif_in.reset_slots = 16'(Slots);
    hwif_in.reset_layers = 16'(Layers);
    {hwif_in.reset_head_mask_3, hwif_in.reset_head_mask_2, hwif_in.reset_head_mask_1, hwif_in.reset_head_mask_0} =
        128'({QHeads{1'b1}});
    hwif_in.cap_config_id.value.next = ConfigId;
    hwif_in.cap_layers.value.next = Layers;
    hwif_in.cap_q_heads.value.next = QHeads;
    hwif_in.cap_kv_heads.value.next = KvHeads;
    hwif_in.cap_row_bytes.value.next = RowBytes;
    hwif_in.cap_positions.value.next = Positions;
    hwif_in.cap_scored.value.next = Scored;
    hwif_in.cap_owners.value.next = Owners;
    hwif_in.cap_entries.value.next = Entries;
    hwif_in.cap_slots.value.next = Slots;
    hwif_in.cap_sram_bytes.value.next = SramBytes;
    hwif_in.cap_translations.value.next = Translations;
    hwif_in.cap_readers.value.next = Readers;
    hwif_in.cap_profiles.value.next = Profiles;
    hwif_in.cap_lanes.value.next = Lanes;
    hwif_in.cap_bus_bits.value.next = BusBits;
    hwif_in.cap_row_reads.value.next = RowReads;
    hwif_in.cap_log_records.value.next = LogRecords;
    hwif_in.cap_top_k.value.next = TopK;
    hwif_in.cap_bulk_beats.value.next = BulkBeats;
    hwif_in.cap_planes.value.next = Planes;
    hwif_in.cap_tensors.value.next = Tensors;
    hwif_in.cap_stride_sets.value.next = StrideSets;
    hwif_in.cap_score_lanes.value.next = ScoreLanes;
    hwif_in.cap_plans.value.next = Plans;
    hwif_in.cap_plan_items.value.next = PlanItems;

    hwif_in.status.cmd_busy.next = cmd_busy;
    hwif_in.status.done_available.next = done_waits;
    hwif_in.status.log_available.next = log_valid_i;

    hwif_in.errors.range.hwset = range_pulse;
    hwif_in.errors.address.hwset = address_pulse;
    hwif_in.errors.window.hwset = window_pulse;
    hwif_in.errors.bus.hwset = port_count_i.error_beat;
    hwif_in.errors.sink_timeout.hwset = timeout[0];
    hwif_in.errors.bulk_timeout.hwset = timeout[1];
    hwif_in.errors.merge_nan.hwset = merge_done_i && merge_nan_i;
    hwif_in.errors.merge_malformed.hwset = merge_error_i;
    hwif_in.errors.score_saturated.hwset = score_saturated_i;
    hwif_in.errors.score_malformed.hwset = score_malformed_i;

    hwif_in.irq_state.done.next = done_waits;
    hwif_in.irq_state.log.next = log_reached;
    hwif_in.irq_state.stream.next = sticky_stream;
    hwif_in.irq_state.error.next = sticky_other;

    for (int unsigned w = 0; w < 8; w++) begin
      hwif_in.done[w].value.next = done_words[w];
      hwif_in.log[w].value.next  = log_words[w];
    end
    hwif_in.log_level.value.next = 32'(log_level_i);
    hwif_in.log_last_sequence.value.next = log_last_sequence_i;
    hwif_in.log_last_crc.value.next = last_crc_q;

    hwif_in.count.rd_ack = count_done || count_high_ack_q;
    hwif_in.count.rd_data = count_done ? count_data[31:0] : count_high_q;
    hwif_in.count.wr_ack = 1'b0;  // writes never come here
    hwif_in.base.rd_ack = 1'b0;  // nor do reads
    hwif_in.base.rd_data = '0;
    hwif_in.base.wr_ack = base_ack_q;
  end

  assign irq_d = (hwif_out.irq_enable.done.value && done_waits) || (hwif_out.irq_enable.log.value && log_reached) ||
      (hwif_out.irq_enable.stream.value && sticky_stream) || (hwif_out.irq_enable.error.value && sticky_other);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) irq_o <= 1'b0;
    else irq_o <= irq_d;
  end

  logic unused;
  assign unused = ^{s_axil_awprot_i, s_axil_arprot_i, stall_wr_unused, stall_rd_unused, hwif_out.count.wr_data,
                    hwif_out.count.wr_biten, hwif_out.count.addr, hwif_out.base.wr_biten, hwif_out.base.req_is_wr,
                    hwif_out.base.addr, hwif_out.doorbell.go.value};

endmodule
