// SPDX-License-Identifier: Apache-2.0
// residency_ctrl with plain ports of one width in every configuration, an owner table, and the order of its events.

module residency_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    output logic [31:0] cfg_owners_o,
    output logic [31:0] cfg_entries_o,
    output logic [31:0] cfg_slots_o,
    output logic [31:0] cfg_profiles_o,
    output logic [31:0] cfg_positions_o,
    output logic [31:0] cfg_readers_o,
    output logic [31:0] cfg_sram_beats_o,
    output logic [31:0] cfg_kv_heads_o,
    output logic [31:0] cfg_plans_o,
    output logic [31:0] cfg_plan_items_o,

    input logic [47:0] now_i,
    input logic [31:0] sram_budget_i,
    input logic [31:0] t_sink_i,
    input logic [31:0] t_pin_i,
    input logic [31:0] t_promote_i,
    input logic [31:0] t_evict_i,
    input logic [15:0] alpha_i,
    input logic [ 7:0] n_promote_i,
    input logic [15:0] n_dwell_i,
    input logic [ 7:0] n_evict_i,
    input logic        dynamic_i,
    input logic [ 4:0] promo_floor_i,
    input logic [ 2:0] page_log2_i,
    input logic [31:0] layers_i,
    input logic [ 7:0] planes_i,
    input logic [31:0] row_beats_i,
    input logic [ 2:0] share_log2_i,   // of plane 7; 0 elsewhere

    input  logic         cmd_valid_i,
    output logic         cmd_ready_o,
    input  logic [511:0] cmd_i,
    output logic         done_valid_o,
    input  logic         done_ready_i,
    output logic [255:0] done_o,

    // the context written last, by owner
    input  logic [31:0] ctx_owner_i,
    output logic        ctx_valid_o,
    output logic [31:0] ctx_length_o,
    output logic [31:0] ctx_committed_o,
    output logic [47:0] ctx_table_o,

    input  logic [31:0] prof_number_i,
    output logic        prof_valid_o,
    output logic [31:0] prof_slot_beats_o,
    output logic [31:0] prof_layer_beats_o,
    output logic [31:0] prof_head_beats_o,
    output logic [31:0] prof_plane7_o,

    output logic        walk_req_valid_o,
    input  logic        walk_req_ready_i,
    output logic [31:0] walk_req_owner_o,
    output logic [31:0] walk_req_position_o,
    input  logic        walk_rsp_valid_i,
    output logic        walk_rsp_ready_o,
    input  logic [ 7:0] walk_rsp_status_i,
    input  logic [31:0] walk_rsp_owner_i,
    input  logic [31:0] walk_rsp_word_i,
    input  logic        walk_rsp_committed_i,

    output logic        tag_cmd_valid_o,
    input  logic        tag_cmd_ready_i,
    output logic [ 2:0] tag_op_o,
    output logic [31:0] tag_owner_o,
    output logic [31:0] tag_position_o,
    output logic [31:0] tag_entry_o,
    output logic [31:0] tag_slot_o,
    output logic [31:0] tag_profile_o,
    output logic [31:0] tag_word_o,
    output logic [31:0] tag_watermark_o,
    input  logic        tag_ack_valid_i,
    input  logic [ 7:0] tag_ack_status_i,
    input  logic [31:0] tag_ack_entry_i,
    input  logic [31:0] tag_ack_slot_i,
    input  logic [31:0] tag_free_entries_i,
    input  logic        tag_sweep_busy_i,

    output logic        retire_valid_o,
    output logic        retire_all_o,
    output logic [31:0] retire_owner_o,
    output logic [31:0] retire_first_o,
    output logic [31:0] retire_last_o,
    output logic        keep_end_valid_o,
    output logic [31:0] keep_end_owner_o,
    output logic        keep_end_all_o,
    output logic        fence_o,
    input  logic        fence_busy_i,

    output logic        desc_valid_o,
    input  logic        desc_ready_i,
    output logic [31:0] desc_slot_o,
    output logic [31:0] desc_profile_o,
    output logic [31:0] desc_owner_o,
    output logic [31:0] desc_position_o,
    output logic [31:0] desc_word_o,
    output logic [31:0] desc_sram_base_o,
    output logic [ 2:0] desc_tier_o,
    output logic [47:0] desc_deadline_o,
    output logic        abort_valid_o,
    input  logic        abort_ready_i,
    output logic [31:0] abort_slot_o,
    input  logic        progress_valid_i,
    output logic        progress_ready_o,
    input  logic [31:0] progress_slot_i,
    input  logic [31:0] progress_watermark_i,
    input  logic        end_valid_i,
    output logic        end_ready_o,
    input  logic [31:0] end_slot_i,
    input  logic [ 7:0] end_status_i,

    input  logic        batch_valid_i,
    input  logic [31:0] batch_owner_i,
    output logic        sc_valid_o,
    input  logic        sc_ready_i,
    output logic [ 1:0] sc_op_o,
    output logic [31:0] sc_position_o,
    output logic        sc_mark_o,
    output logic [31:0] sc_count_o,
    output logic [31:0] sc_threshold_o,
    output logic        sc_prefill_o,
    input  logic        rsp_valid_i,
    output logic        rsp_ready_o,
    input  logic        rsp_token_i,
    input  logic [31:0] rsp_position_i,
    input  logic [31:0] rsp_score_i,
    input  logic        rsp_last_i,
    output logic        score_flush_o,
    output logic [31:0] score_flush_owner_o,

    output logic        ev_valid_o,
    input  logic        ev_ready_i,
    output logic [ 7:0] ev_kind_o,
    output logic [ 7:0] ev_cause_o,
    output logic [31:0] ev_owner_o,
    output logic [31:0] ev_position_o,
    output logic [31:0] ev_word_o,
    output logic [31:0] ev_slot_o,
    input  logic [31:0] log_room_i,

    input logic        list_open_i        [16],
    input logic [31:0] list_owner_i       [16],
    input logic        list_prefix_valid_i[16],
    input logic [31:0] list_prefix_owner_i[16],
    input logic [31:0] list_serial_of_i   [16],
    input logic [31:0] list_serial_i,

    output logic [31:0] slots_used_o,
    output logic        count_granted_o,
    output logic        count_refused_o,
    output logic        count_resident_o,
    output logic        count_failed_o,
    output logic        count_left_o,
    output logic        count_evicted_o,
    output logic        count_missed_o,
    output logic        count_plan_missed_o,
    output logic        count_denied_promotion_o,
    output logic        count_denied_eviction_o,

    output logic        trace_valid_o,
    output logic [ 3:0] trace_kind_o,
    output logic [31:0] trace_slot_o,
    output logic [15:0] trace_data_o,

    // the contract in a row of the slot table
    input  logic [31:0] peek_slot_i,
    output logic [15:0] peek_dwell_o,

    // for messages: where the loop stands
    output logic [31:0] loop_o,

    // E of the row whose score was taken two cycles after its trace
    output logic        e_valid_o,
    output logic [31:0] e_slot_o,
    output logic [39:0] e_o
);

  assign cfg_owners_o = 32'(Owners);
  assign cfg_entries_o = 32'(Entries);
  assign cfg_slots_o = 32'(Slots);
  assign cfg_profiles_o = 32'(Profiles);
  assign cfg_positions_o = 32'(Positions);
  assign cfg_readers_o = 32'(Readers);
  assign cfg_sram_beats_o = 32'(SramBeats);
  assign cfg_kv_heads_o = 32'(KvHeads);
  assign cfg_plans_o = 32'(Plans);
  assign cfg_plan_items_o = 32'(PlanItems);

  ctl_cfg_t cfg;
  always_comb begin
    cfg = '0;
    cfg.sram_budget = slots_t'(sram_budget_i);
    cfg.t_sink = t_sink_i;
    cfg.t_pin = t_pin_i;
    cfg.t_promote = t_promote_i;
    cfg.t_evict = t_evict_i;
    cfg.alpha = alpha_i;
    cfg.n_promote = n_promote_i;
    cfg.n_dwell = n_dwell_i;
    cfg.n_evict = n_evict_i;
    cfg.dynamic = dynamic_i;
    cfg.promo_floor = promo_floor_i;
  end
  layout_cfg_t layout;
  always_comb begin
    layout = '0;
    layout.page_log2 = page_log2_i;
    layout.block_bits = 5'd24;
    layout.layers = layers_t'(layers_i);
    for (int unsigned i = 0; i < Planes; i++) begin
      layout.plane[i].valid = planes_i[i];
      layout.plane[i].row_beats = row_beats_t'(row_beats_i);
    end
    layout.plane[Planes-1].share_log2 = share_log2_i;
  end

  logic own_wr_valid;
  owner_t own_wr_owner, own_rd_owner;
  owner_ctx_t own_wr_ctx, own_rd_ctx_q;
  owner_ctx_t table_q[Owners];
  always_ff @(posedge clk_i) begin
    if (own_wr_valid) table_q[own_wr_owner] <= own_wr_ctx;
    own_rd_ctx_q <= table_q[own_rd_owner];
  end
  assign ctx_valid_o = table_q[owner_t'(ctx_owner_i)].valid;
  assign ctx_length_o = 32'(table_q[owner_t'(ctx_owner_i)].length);
  assign ctx_committed_o = 32'(table_q[owner_t'(ctx_owner_i)].committed);
  assign ctx_table_o = table_q[owner_t'(ctx_owner_i)].table_base;

  profile_cfg_t [Profiles-1:0] profiles;
  profile_t prof;
  assign prof = profile_t'(prof_number_i);
  assign prof_valid_o = profiles[prof].valid;
  assign prof_slot_beats_o = 32'(profiles[prof].slot_beats);
  assign prof_layer_beats_o = 32'(profiles[prof].layer_beats);
  assign prof_head_beats_o = 32'(profiles[prof].head_beats);
  assign prof_plane7_o = 32'(profiles[prof].plane_beat[Planes-1]);

  walk_req_t walk_req;
  walk_rsp_t walk_rsp;
  assign walk_req_owner_o = 32'(walk_req.owner);
  assign walk_req_position_o = 32'(walk_req.position);
  assign walk_rsp = '{
          status: status_e'(walk_rsp_status_i),
          owner: owner_t'(walk_rsp_owner_i),
          word: word_t'(walk_rsp_word_i),
          committed: walk_rsp_committed_i
      };

  tag_cmd_t tag_cmd;
  tag_ack_t tag_ack;
  assign tag_op_o = tag_cmd.op;
  assign tag_owner_o = 32'(tag_cmd.owner);
  assign tag_position_o = 32'({tag_cmd.granule, tag_cmd.token});
  assign tag_entry_o = 32'(tag_cmd.entry);
  assign tag_slot_o = 32'(tag_cmd.slot);
  assign tag_profile_o = 32'(tag_cmd.profile);
  assign tag_word_o = 32'(tag_cmd.word);
  assign tag_watermark_o = 32'(tag_cmd.watermark);
  assign tag_ack = '{
          status: status_e'(tag_ack_status_i),
          entry: entry_t'(tag_ack_entry_i),
          slot: slot_t'(tag_ack_slot_i)
      };

  retire_t retire;
  owner_t keep_end_owner, score_flush_owner;
  assign retire_valid_o = retire.valid;
  assign retire_all_o = retire.all;
  assign retire_owner_o = 32'(retire.owner);
  assign retire_first_o = 32'(retire.first);
  assign retire_last_o = 32'(retire.last);
  assign keep_end_owner_o = 32'(keep_end_owner);
  assign score_flush_owner_o = 32'(score_flush_owner);

  dma_desc_t desc;
  slot_t abort_slot;
  dma_progress_t progress;
  dma_end_t dma_end;
  assign desc_slot_o = 32'(desc.slot);
  assign desc_profile_o = 32'(desc.profile);
  assign desc_owner_o = 32'(desc.owner);
  assign desc_position_o = 32'(desc.position);
  assign desc_word_o = 32'(desc.word);
  assign desc_sram_base_o = 32'(desc.sram_base);
  assign desc_tier_o = desc.tier;
  assign desc_deadline_o = desc.deadline;
  assign abort_slot_o = 32'(abort_slot);
  assign progress = '{slot: slot_t'(progress_slot_i), watermark: layers_t'(progress_watermark_i)};
  assign dma_end = '{
          slot: slot_t'(end_slot_i),
          status: status_e'(end_status_i),
          bytes: '0,
          cycles: '0,
          stall_ar: '0,
          stall_r: '0
      };

  score_cmd_t sc;
  score_rsp_t rsp;
  assign sc_op_o = sc.op;
  assign sc_position_o = 32'(sc.position);
  assign sc_mark_o = sc.mark;
  assign sc_count_o = 32'(sc.count);
  assign sc_threshold_o = sc.threshold;
  assign sc_prefill_o = sc.prefill;
  assign rsp = '{valid: rsp_token_i, position: pos_t'(rsp_position_i), score: rsp_score_i, last: rsp_last_i};

  log_event_t ev;
  assign ev_kind_o = ev.kind;
  assign ev_cause_o = ev.cause;
  assign ev_owner_o = 32'(ev.owner);
  assign ev_position_o = ev.position;
  assign ev_word_o = ev.word;
  assign ev_slot_o = 32'(ev.slot);

  list_info_t [Readers-1:0] list_info;
  always_comb begin
    for (int unsigned i = 0; i < Readers; i++) begin
      list_info[i] = '{
          open: list_open_i[i],
          owner: owner_t'(list_owner_i[i]),
          prefix_valid: list_prefix_valid_i[i],
          prefix_owner: owner_t'(list_prefix_owner_i[i]),
          serial: list_serial_of_i[i]
      };
    end
  end

  ctrl_count_t count;
  assign slots_used_o = 32'(count.slots_used);
  assign count_granted_o = count.granted;
  assign count_refused_o = count.refused;
  assign count_resident_o = count.resident;
  assign count_failed_o = count.failed;
  assign count_left_o = count.left;
  assign count_evicted_o = count.evicted;
  assign count_missed_o = count.deadline_missed;
  assign count_plan_missed_o = count.plan_missed;
  assign count_denied_promotion_o = count.plan_denied_promotion;
  assign count_denied_eviction_o = count.plan_denied_eviction;

  assign trace_valid_o = u_dut.trace.valid;
  assign trace_kind_o = u_dut.trace.kind;
  assign trace_slot_o = 32'(u_dut.trace.slot);
  assign trace_data_o = u_dut.trace.data;

  logic [1:0] scored_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) scored_q <= '0;
    else scored_q <= {scored_q[0], u_dut.trace.valid && u_dut.trace.kind == residency_pkg::TrScore};
  end
  residency_pkg::row_t peek;
  assign peek = u_dut.u_rows.mem[slot_t'(peek_slot_i)];
  assign peek_dwell_o = peek.dwell;

  assign loop_o = {7'(0), u_dut.s_q.sweeping, 4'(0), u_dut.w_q.sw.phase, 8'(u_dut.s_q.fills), 2'(0), u_dut.s_q.st};
  assign e_valid_o = scored_q[1];
  assign e_slot_o = 32'(u_dut.w_q.slot);
  assign e_o = u_dut.u_sweeps.e_new;

  residency_ctrl u_dut (
      .clk_i,
      .rst_ni,
      .now_i,
      .cfg_i              (cfg),
      .layout_i           (layout),
      .cmd_valid_i,
      .cmd_ready_o,
      .cmd_i,
      .done_valid_o,
      .done_ready_i,
      .done_o,
      .own_wr_valid_o     (own_wr_valid),
      .own_wr_owner_o     (own_wr_owner),
      .own_wr_ctx_o       (own_wr_ctx),
      .own_rd_owner_o     (own_rd_owner),
      .own_rd_ctx_i       (own_rd_ctx_q),
      .profiles_o         (profiles),
      .walk_req_valid_o,
      .walk_req_ready_i,
      .walk_req_o         (walk_req),
      .walk_rsp_valid_i,
      .walk_rsp_ready_o,
      .walk_rsp_i         (walk_rsp),
      .tag_cmd_valid_o,
      .tag_cmd_ready_i,
      .tag_cmd_o          (tag_cmd),
      .tag_ack_valid_i,
      .tag_ack_i          (tag_ack),
      .tag_free_entries_i (entries_t'(tag_free_entries_i)),
      .tag_sweep_busy_i,
      .retire_o           (retire),
      .keep_end_valid_o,
      .keep_end_owner_o   (keep_end_owner),
      .keep_end_all_o,
      .fence_o,
      .fence_busy_i,
      .desc_valid_o,
      .desc_ready_i,
      .desc_o             (desc),
      .abort_valid_o,
      .abort_ready_i,
      .abort_slot_o       (abort_slot),
      .progress_valid_i,
      .progress_ready_o,
      .progress_i         (progress),
      .end_valid_i,
      .end_ready_o,
      .end_i              (dma_end),
      .batch_valid_i,
      .batch_owner_i      (owner_t'(batch_owner_i)),
      .sc_valid_o,
      .sc_ready_i,
      .sc_o               (sc),
      .rsp_valid_i,
      .rsp_ready_o,
      .rsp_i              (rsp),
      .score_flush_o,
      .score_flush_owner_o(score_flush_owner),
      .ev_valid_o,
      .ev_ready_i,
      .ev_o               (ev),
      .log_room_i         (($clog2(LogRecords) + 1)'(log_room_i)),
      .list_info_i        (list_info),
      .list_serial_i,
      .count_o            (count)
  );

endmodule
