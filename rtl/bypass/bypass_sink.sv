// SPDX-License-Identifier: Apache-2.0
// Sink engine: reads the resident rows of each request from the slot SRAM and streams them.
//
// Contract: serves the jobs in order, from its list: pages ascending; inside a page by plane, then token ascending; a
// row that tokens share once, under the lowest of them. Then the end marker with the number of rows. Room for a beat is
// kept before its read, so SRAM answers are never held back.
// Throughput: one beat a cycle where the tokens of a list row have 2 beats or more in all; a page costs 2 cycles a plane
// more when there is nothing to hide them behind.
//
//   list rows -> token -> profile fields -> products -> address -> SRAM -> stream
//   (FSM)        T1       T2                T3          B

`include "kvsink_assert.svh"

module bypass_sink
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import bypass_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input layout_cfg_t                 layout_i,
    input profile_cfg_t [Profiles-1:0] profiles_i,
    input job_t         [    Jobs-1:0] jobs_i,
    input job_list_t    [    Jobs-1:0] job_lists_i,
    input job_ptr_t                    ready_i,      // jobs before this one may be served
    input entries_t     [ Readers-1:0] list_rows_i,

    output logic       list_read_o,
    output list_row_t  list_row_o,
    input  hit_row_t   list_hit_i,
    input  slots_row_t list_slots_i,

    output logic       sram_valid_o,
    input  logic       sram_ready_i,
    output sram_addr_t sram_addr_o,
    input  logic       sram_rsp_valid_i,
    input  beat_t      sram_rsp_data_i,

    output logic      sink_valid_o,
    input  logic      sink_ready_i,
    output row_beat_t sink_o,
    output logic      closed_o       // end marker taken
);

  localparam int unsigned Room = 8;  // beats asked for and not yet on the stream

  // -------------------------------------------------------------------------------------------------- list rows
  job_ptr_t job_q;
  job_idx_t job_idx;
  job_t job;
  job_list_t job_list;
  assign job_idx = job_q[JobW-1:0];
  assign job = jobs_i[job_idx];
  assign job_list = job_lists_i[job_idx];

  typedef enum logic [1:0] {
    Idle,
    Read,  // the row at row_q is being read
    Row,   // and is there
    Close
  } state_e;
  state_e state_q, state_d;
  entries_t row_q, row_d;  // in the list
  entries_t first_q, first_d;  // first row of the page
  plane_t plane_q, plane_d;
  gran_t page_q;  // page of first_q

  function automatic gran_t page_of(input gran_t granule, input logic [2:0] page_log2);
    return granule >> (page_log2 - 3'd4);
  endfunction

  // The planes asked for, from the lowest.
  plane_t plane_lowest, plane_next;
  logic plane_is_last;
  always_comb begin
    plane_lowest = '0;
    plane_next = '0;
    plane_is_last = 1'b1;
    for (int unsigned p = Planes; p > 0; p--) begin
      if (job.planes[p-1]) begin
        plane_lowest = plane_t'(p - 1);
        if (plane_t'(p - 1) > plane_q) begin
          plane_next = plane_t'(p - 1);
          plane_is_last = 1'b0;
        end
      end
    end
  end

  entries_t list_rows;
  assign list_rows = list_rows_i[job_list.list];

  // A row that tokens of several granules share came with the first of these that has one.
  logic [2:0] share;
  gran_t row_group, group_q;  // granules that share a row with this one; with that of the last row
  logic group_valid_q, group_done;
  assign share = layout_i.plane[plane_q].share_log2;
  assign row_group = list_hit_i.granule >> ((share > 3'd4) ? share - 3'd4 : 3'd0);
  assign group_done = share > 3'd4 && group_valid_q && group_q == row_group;

  tokens_t tokens;
  assign tokens = group_done ? '0 : covered(
      profiles_i, job.planes, list_hit_i
  ) & tokens_of(
      job.lo, job.hi, job.by_granule, job.mask, wgran_t'(list_hit_i.granule)
  );

  typedef struct packed {
    logic                         is_end;
    job_idx_t                     job;
    plane_t                       plane;
    logic [2:0]                   share;    // log2 of the tokens of the granule that share a row
    gran_t                        granule;
    tokens_t                      tokens;
    profile_t [GranuleTokens-1:0] profile;
    slots_row_t                   slots;
  } gran_work_t;
  gran_work_t work_q;
  logic work_valid_q, work_ready, work_load;

  gran_t page;
  logic in_page, pass_ends, row_done;
  entries_t row_next;
  assign row_next = row_q + entries_t'(1);

  always_comb begin
    state_d = state_q;
    row_d = row_q;
    first_d = first_q;
    plane_d = plane_q;
    list_read_o = 1'b0;
    list_row_o = {job_list.list, row_q[$clog2(Entries)-1:0]};
    work_load = 1'b0;
    page = page_of(list_hit_i.granule, layout_i.page_log2);
    in_page = row_q == first_q || page == page_q;
    pass_ends = 1'b0;
    row_done = 1'b0;
    unique case (state_q)
      Idle: begin
        row_d   = '0;
        first_d = '0;
        plane_d = plane_lowest;
        if (job_q != ready_i) state_d = (job_list.has_list && list_rows != '0) ? Read : Close;
      end
      Read: begin
        list_read_o = 1'b1;
        state_d = Row;
      end
      Row: begin
        if (!in_page) begin
          pass_ends = 1'b1;
        end else if (work_ready || tokens == '0) begin
          work_load = tokens != '0;
          row_done  = 1'b1;
          pass_ends = row_next == list_rows;
        end
        if (row_done && !pass_ends) begin
          row_d = row_next;
          list_read_o = 1'b1;
          list_row_o = {job_list.list, row_next[$clog2(Entries)-1:0]};
        end
        if (pass_ends) begin
          if (!plane_is_last) begin  // the same page, next plane
            plane_d = plane_next;
            row_d   = first_q;
            state_d = Read;
          end else if (row_done) begin  // no more rows
            state_d = Close;
          end else begin  // this row starts the next page
            plane_d = plane_lowest;
            first_d = row_q;
          end
        end
      end
      Close: begin
        work_load = work_ready;
        if (work_ready) state_d = Idle;
      end
      default: state_d = Idle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Idle;
      job_q   <= '0;
    end else begin
      state_q <= state_d;
      if (state_q == Close && work_ready) job_q <= job_q + job_ptr_t'(1);
    end
  end
  always_ff @(posedge clk_i) begin
    row_q   <= row_d;
    first_q <= first_d;
    plane_q <= plane_d;
    if (state_q == Row && row_q == first_q) page_q <= page;
    if (state_q == Idle || pass_ends) begin
      group_valid_q <= 1'b0;
    end else if (work_load) begin
      group_valid_q <= 1'b1;
      group_q <= row_group;
    end
  end

  // -------------------------------------------------------------------------------------------------------- tokens
  logic t1_ready, token_none_unused, token_last;
  token_t token;
  tokens_t token_onehot_unused, token_group;
  kv_first #(
      .Width(GranuleTokens)
  ) u_token (
      .bits_i  (work_q.tokens),
      .none_o  (token_none_unused),
      .index_o (token),
      .onehot_o(token_onehot_unused)
  );
  assign token_group = tokens_t'(sharers(IndexW'(token), work_q.share));
  assign token_last  = work_q.is_end || (work_q.tokens & ~token_group) == '0;
  assign work_ready  = !work_valid_q || (token_last && t1_ready);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) work_valid_q <= 1'b0;
    else if (work_ready) work_valid_q <= work_load;
  end
  always_ff @(posedge clk_i) begin
    if (work_ready) begin
      work_q <= '{
          is_end: state_q == Close,
          job: job_idx,
          plane: plane_q,
          share: (share > 3'd4) ? 3'd4 : share,
          granule: list_hit_i.granule,
          tokens: tokens,
          profile: list_hit_i.profile,
          slots: list_slots_i
      };
    end else if (t1_ready) begin
      work_q.tokens <= work_q.tokens & ~token_group;
    end
  end

  // ------------------------------------------------------------------------------------------------------ addresses
  typedef struct packed {
    logic       is_end;
    job_idx_t   job;
    plane_t     plane;
    pos_t       position;
    row_beats_t beats;
  } row_t;

  row_t t1_q, t2_q, t3_q, b_q;
  logic t1_valid_q, t2_valid_q, t3_valid_q, b_valid_q;
  logic t2_ready, t3_ready, b_ready;
  slot_t t1_slot_q;
  profile_t t1_profile_q;
  sram_addr_t t2_slot_q, t2_slot_beats_q, t2_layer_q, t2_layer_beats_q, t2_head_q, t2_head_beats_q, t2_base_q;
  sram_addr_t t3_slot_q, t3_layer_q, t3_head_q, t3_base_q, b_addr_q;

  assign t1_ready = !t1_valid_q || t2_ready;
  assign t2_ready = !t2_valid_q || t3_ready;
  assign t3_ready = !t3_valid_q || b_ready;

  profile_cfg_t profile;
  job_t t1_job;
  sram_addr_t head_rank;
  assign profile = profiles_i[t1_profile_q];
  assign t1_job  = jobs_i[t1_q.job];
  always_comb begin
    head_rank = '0;
    for (int unsigned h = 0; h < KvHeads; h++) begin
      if (profile.head_mask[h] && kv_head_t'(h) < t1_job.head) head_rank++;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      t1_valid_q <= 1'b0;
      t2_valid_q <= 1'b0;
      t3_valid_q <= 1'b0;
    end else begin
      if (t1_ready) t1_valid_q <= work_valid_q;
      if (t2_ready) t2_valid_q <= t1_valid_q;
      if (t3_ready) t3_valid_q <= t2_valid_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (t1_ready) begin
      t1_q <= '{
          is_end: work_q.is_end,
          job: work_q.job,
          plane: work_q.plane,
          position: {work_q.granule, token},
          beats: layout_i.plane[work_q.plane].row_beats
      };
      t1_slot_q <= work_q.slots[token];
      t1_profile_q <= work_q.profile[token];
    end
    if (t2_ready) begin
      t2_q <= t1_q;
      t2_slot_q <= sram_addr_t'(slot_t'(t1_slot_q - profile.slot_first));
      t2_slot_beats_q <= sram_addr_t'(profile.slot_beats);
      t2_layer_q <= sram_addr_t'(layer_t'(t1_job.layer - profile.layer_first));
      t2_layer_beats_q <= sram_addr_t'(profile.layer_beats);
      t2_head_q <= head_rank;
      t2_head_beats_q <= sram_addr_t'(profile.head_beats);
      t2_base_q <= profile.sram_base + sram_addr_t'(profile.plane_beat[t1_q.plane]);
    end
    if (t3_ready) begin
      t3_q <= t2_q;
      t3_slot_q <= t2_slot_q * t2_slot_beats_q;
      t3_layer_q <= t2_layer_q * t2_layer_beats_q;
      t3_head_q <= t2_head_q * t2_head_beats_q;
      t3_base_q <= t2_base_q;
    end
  end

  // ----------------------------------------------------------------------------------------------------------- beats
  typedef struct packed {
    logic     is_end;
    job_idx_t job;
    plane_t   plane;
    pos_t     position;
    logic     last;
  } beat_meta_t;

  logic meta_ready, meta_push, meta_valid, meta_pop, b_last, b_step;
  beat_meta_t meta;
  logic [$clog2(Room+1)-1:0] meta_count_unused, data_count_unused;
  logic data_ready_unused, data_valid, data_pop;
  beat_t data;

  // meta_ready falls only by a beat of this engine, so valid stays once it is up.
  assign sram_valid_o = b_valid_q && !b_q.is_end && meta_ready;
  assign sram_addr_o = b_addr_q;
  assign b_last = b_q.is_end || b_q.beats <= row_beats_t'(1);
  assign b_step = b_valid_q && meta_ready && (b_q.is_end || sram_ready_i);
  assign b_ready = !b_valid_q || (b_step && b_last);
  assign meta_push = b_step;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) b_valid_q <= 1'b0;
    else if (b_ready) b_valid_q <= t3_valid_q;
  end
  always_ff @(posedge clk_i) begin
    if (b_ready) begin
      b_q <= t3_q;
      b_addr_q <= t3_base_q + t3_slot_q + t3_layer_q + t3_head_q;
    end else if (b_step) begin
      b_q.beats <= b_q.beats - row_beats_t'(1);
      b_addr_q  <= b_addr_q + sram_addr_t'(1);
    end
  end

  kv_fifo #(
      .T    (beat_meta_t),
      .Depth(Room)
  ) u_meta (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(meta_push),
      .ready_o(meta_ready),
      .data_i ('{is_end: b_q.is_end, job: b_q.job, plane: b_q.plane, position: b_q.position, last: b_last}),
      .valid_o(meta_valid),
      .ready_i(meta_pop),
      .data_o (meta),
      .count_o(meta_count_unused)
  );
  kv_fifo #(
      .T    (beat_t),
      .Depth(Room)
  ) u_data (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(sram_rsp_valid_i),
      .ready_o(data_ready_unused),
      .data_i (sram_rsp_data_i),
      .valid_o(data_valid),
      .ready_i(data_pop),
      .data_o (data),
      .count_o(data_count_unused)
  );

  // ---------------------------------------------------------------------------------------------------------- stream
  row_beat_t out;
  logic out_valid, out_ready;
  logic [31:0] rows_q;  // of the job on the stream
  assign out_valid = meta_valid && (meta.is_end || data_valid);
  assign meta_pop  = out_valid && out_ready;
  assign data_pop  = meta_pop && !meta.is_end;
  always_comb begin
    out = '{
        id: jobs_i[meta.job].id,
        is_end: meta.is_end,
        plane: meta.plane,
        position: meta.position,
        error: 1'b0,
        last: meta.last,
        data: data
    };
    if (meta.is_end) begin
      out.plane = '0;
      out.position = '0;
      out.error = job_lists_i[meta.job].keep_failed;
      out.data = beat_t'(rows_q);
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) rows_q <= '0;
    else if (meta_pop) rows_q <= meta.is_end ? '0 : rows_q + 32'(meta.last);
  end

  kv_skid #(
      .T(row_beat_t)
  ) u_out (
      .clk_i,
      .rst_ni,
      .valid_i(out_valid),
      .ready_o(out_ready),
      .data_i (out),
      .valid_o(sink_valid_o),
      .ready_i(sink_ready_i),
      .data_o (sink_o)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) closed_o <= 1'b0;
    else closed_o <= sink_valid_o && sink_ready_i && sink_o.is_end;
  end

  `KVS_ASSERT(sram_answer_has_room, !sram_rsp_valid_i || data_ready_unused)
  `KVS_STREAM(sram, sram_valid_o, sram_ready_i, sram_addr_o)
  `KVS_STREAM(sink, sink_valid_o, sink_ready_i, sink_o)

endmodule
