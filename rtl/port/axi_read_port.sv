// SPDX-License-Identifier: Apache-2.0
// The one AXI4 read manager of the block: three clients share a bus.
//
// Contract
//   Requests  A read is taken when valid and ready; it is a legal burst already (aligned to a beat, whole beats, within
//             4 KiB; checked by assertions here). Channels: 0 table, 1 bulk, 2.. promotion (promo_chan_i). The reads of a
//             channel return in order. AXI IDs: {spare, channel}.
//   Responses No ready: a client owns room for every beat before it asks, so RREADY is always high. `last` is that of the
//             read as it was asked for. A beat with an ID that has nothing outstanding is dropped and counted (stray_beat).
//   Order     Table reads first, but after TableRun of them in a row one of a waiting other client. Promotion goes when
//             bulk needs nothing (asks for nothing and has nothing outstanding, or bulk_ahead_i: its consumer is the
//             limit), and otherwise on credit: before bulk while the credit is not negative, not at all while it is. A
//             promotion beat granted while bulk needs the bus costs 1 - share; a beat granted to bulk (to table as well,
//             when bulk does not wait), or a cycle in
//             which R is idle and bulk does not wait for AR, pays share, as long as there is a debt, and 4 beats beyond
//             while promotion asks. So promotion is sure of share of the beats, and takes no more of them from bulk.
//             share = promo_floor / 32; promo_floor 0 means 1 / 256, so that promotion never waits for ever.
//   Bounds    While the memory takes addresses: bulk waits for promotion for one burst and (4 + 256 * share) / (1 - share)
//             beats at most (with its own bursts of n beats: n for 256); promotion waits for 256 * (1 - share) / share
//             beats at most; either waits for TableRun table reads in between.
//   Loss      bus_timeout cycles without a beat while a channel has reads outstanding, or an RLAST that does not come with
//             the last beat of a read and only there: the channel loses its reads. Their beats to come are made up for table
//             and bulk, with error, one a cycle; promotion is told by promo_lost_o, a cycle later, for all its reads of the
//             channel taken before. The ID is quarantined: its beats are dropped and counted as stray, until the last beats
//             of all lost reads have come; after a wrong RLAST nothing can be told from its beats any more, and it stays so
//             until reset. The channel goes on with its spare ID; while that is quarantined as well, or while an address has
//             not been taken by the memory for bus_timeout cycles, reads are taken and lost at once. So every read ends
//             within a bounded time, whatever the memory does. bus_timeout 0: never.
//   Fence     After a pulse of fence_i, fence_busy_o is high from the next cycle until each read that was taken up to and
//             in the cycle of the pulse has shown its last beat to its client or was lost. A later pulse extends it.
// Latency: a read taken in cycle t is on AR in t+1 when the bus is free; a beat on R in cycle t is at its client in t+1.
// Throughput: a burst and a beat a cycle.
//   TableReads, BulkReads, PromoReads  reads outstanding a channel at most, 4 or more; further ones wait
//   TableRun                           table reads in a row while another client waits

`include "kvsink_assert.svh"

module axi_read_port
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned TableReads = 16,
    parameter int unsigned BulkReads = BulkBeats,
    parameter int unsigned PromoReads = RowReads,
    parameter int unsigned TableRun = 16,
    localparam int unsigned PromoW = (PromoChannels > 1) ? $clog2(PromoChannels) : 1
) (
    input  logic                            clk_i,
    input  logic                            rst_ni,
    input  ctl_cfg_t                        cfg_i,
    input  logic                            table_req_valid_i,
    output logic                            table_req_ready_o,
    input  rd_req_t                         table_req_i,
    output logic                            table_rsp_valid_o,
    output rd_rsp_t                         table_rsp_o,
    input  logic                            bulk_req_valid_i,
    output logic                            bulk_req_ready_o,
    input  rd_req_t                         bulk_req_i,
    output logic                            bulk_rsp_valid_o,
    output rd_rsp_t                         bulk_rsp_o,
    input  logic                            bulk_ahead_i,       // the consumer of bulk rows has enough for a while
    input  logic                            promo_req_valid_i,
    output logic                            promo_req_ready_o,
    input  rd_req_t                         promo_req_i,
    input  logic        [       PromoW-1:0] promo_chan_i,
    output logic                            promo_rsp_valid_o,
    output rd_rsp_t                         promo_rsp_o,
    output logic        [       PromoW-1:0] promo_rsp_chan_o,
    output logic        [PromoChannels-1:0] promo_lost_o,
    input  logic                            fence_i,
    output logic                            fence_busy_o,
    output port_count_t                     count_o,
    // AXI4 read channels
    output axi_id_t                         m_axi_arid_o,
    output addr_t                           m_axi_araddr_o,
    output axi_len_t                        m_axi_arlen_o,
    output logic        [              2:0] m_axi_arsize_o,
    output logic        [              1:0] m_axi_arburst_o,
    output logic        [              3:0] m_axi_arcache_o,
    output logic        [              2:0] m_axi_arprot_o,
    output logic                            m_axi_arvalid_o,
    input  logic                            m_axi_arready_i,
    input  axi_id_t                         m_axi_rid_i,
    input  beat_t                           m_axi_rdata_i,
    input  logic        [              1:0] m_axi_rresp_i,
    input  logic                            m_axi_rlast_i,
    input  logic                            m_axi_rvalid_i,
    output logic                            m_axi_rready_o
);

  localparam int unsigned Clients = 3;
  localparam int unsigned Table = 0;
  localparam int unsigned Bulk = 1;
  localparam int unsigned Promo = 2;  // client, and first of its channels
  localparam int unsigned Channels = 2 + PromoChannels;
  localparam int unsigned ChanW = AxiIdW - 1;
  localparam int unsigned LongestReads = (BulkReads > PromoReads) ? BulkReads : PromoReads;
  localparam int unsigned CountW = $clog2(LongestReads + TableReads + 1);
  localparam int unsigned BeatsW = CountW + 8;
  localparam int unsigned RunW = $clog2(TableRun + 1);
  localparam int unsigned TimerW = 24;
  localparam logic [1:0] BurstIncr = 2'b01;
  localparam logic [3:0] CacheNormal = 4'b0011;  // modifiable, bufferable, not allocated
  localparam logic [2:0] ProtData = 3'b010;  // unprivileged, non-secure, data
  // Credit in 1/256 beats, signed. The deepest debt is that of a burst of 256 beats.
  localparam int unsigned ShareW = 8;
  localparam int unsigned CreditW = 17;
  typedef logic signed [CreditW-1:0] credit_t;
  typedef logic [CountW-1:0] count_t;
  typedef logic [BeatsW-1:0] beats_t;
  typedef logic [ChanW-1:0] chan_t;
  localparam logic [ShareW-1:0] ShareLeast = ShareW'(1);
  localparam credit_t CreditMost = credit_t'(4 << ShareW);  // 4 beats, for the cycles between two short bursts

  if (TableReads < 4 || BulkReads < 4 || PromoReads < 4 || LongestReads > 4096) begin : gen_bad_reads
    $error(
        "axi_read_port: TableReads %0d, BulkReads %0d, PromoReads %0d: not all in 4..4096",
        TableReads,
        BulkReads,
        PromoReads
    );
  end
  if (TableRun < 1) begin : gen_bad_run
    $error("axi_read_port: TableRun %0d is below 1", TableRun);
  end
  if (Channels > 2 ** ChanW) begin : gen_bad_channels
    $error("axi_read_port: %0d channels and their spares do not fit %0d bits of ID", Channels, AxiIdW);
  end
  if (BusBits < 32 || BusBits > 1024 || BusBits != 2 ** $clog2(BusBits)) begin : gen_bad_bus
    $error("axi_read_port: BusBits %0d is not a power of two in 32..1024", BusBits);
  end

  function automatic count_t most_reads(input int unsigned channel);
    if (channel == Table) return count_t'(TableReads);
    return (channel == Bulk) ? count_t'(BulkReads) : count_t'(PromoReads);
  endfunction

  // ------------------------------------------------------------------------------------------------- state of a channel
  logic [Channels-1:0] spare_q;  // goes on with the spare ID
  logic [Channels-1:0][1:0] away_q;  // quarantined, by spare
  logic [Channels-1:0][1:0] dead_q;  // until reset
  count_t [Channels-1:0][1:0] owed_q;  // lost reads whose last beat has not come
  count_t [Channels-1:0] out_q;  // reads taken and not shown in full
  beats_t [Channels-1:0] out_beats_q;
  beats_t [Channels-1:0] made_q;  // beats to be made up
  logic [Channels-1:0] take, lose, refuse, shown, shown_last, no_id;
  logic stuck;  // an address has waited for bus_timeout cycles

  // ------------------------------------------------------------------------------------------------------ who is next
  logic [Clients-1:0] req_valid, asks, able, grant;
  rd_req_t [Clients-1:0] req;
  chan_t   [Clients-1:0] chan;
  logic ar_ready, taken, refused;
  logic [RunW-1:0] run_q;
  credit_t credit_q, credit_d;

  assign req_valid = {promo_req_valid_i, bulk_req_valid_i, table_req_valid_i};
  assign req = {promo_req_i, bulk_req_i, table_req_i};
  assign chan = {chan_t'(Promo) + chan_t'(promo_chan_i), chan_t'(Bulk), chan_t'(Table)};
  always_comb begin
    for (int unsigned k = 0; k < Channels; k++) begin
      no_id[k]  = away_q[k][spare_q[k]];
      refuse[k] = no_id[k] || (stuck && out_q[k] == '0);
    end
    for (int unsigned c = 0; c < Clients; c++) begin
      asks[c] = req_valid[c] && out_q[chan[c]] != most_reads(c) && made_q[chan[c]] == '0;
      able[c] = asks[c] && (refuse[chan[c]] || ar_ready);
    end
  end

  logic table_first, promo_first, in_debt, bulk_rests;
  assign table_first = run_q != RunW'(TableRun) || !(able[Bulk] || (able[Promo] && promo_first));
  assign in_debt = {credit_q[CreditW-1]};
  assign bulk_rests = bulk_ahead_i || (!asks[Bulk] && out_q[Bulk] == '0);
  assign promo_first = !in_debt || bulk_rests;
  always_comb begin
    grant = '0;
    if (able[Table] && table_first) grant[Table] = 1'b1;
    else if (able[Promo] && promo_first) grant[Promo] = 1'b1;
    else if (able[Bulk]) grant[Bulk] = 1'b1;
  end
  assign taken = grant != '0;
  assign {promo_req_ready_o, bulk_req_ready_o, table_req_ready_o} = grant;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) run_q <= '0;
    else if (!(asks[Bulk] || (asks[Promo] && promo_first))) run_q <= '0;
    else if (taken) run_q <= grant[Table] ? run_q + RunW'(1) : '0;
  end

  rd_req_t chosen;
  chan_t   chosen_chan;
  always_comb begin
    chosen = req[Table];
    chosen_chan = chan[Table];
    if (grant[Bulk]) begin
      chosen = req[Bulk];
      chosen_chan = chan[Bulk];
    end
    if (grant[Promo]) begin
      chosen = req[Promo];
      chosen_chan = chan[Promo];
    end
    take = '0;
    for (int unsigned k = 0; k < Channels; k++) take[k] = taken && chosen_chan == chan_t'(k);
    refused = (take & refuse) != '0;
  end

  // ------------------------------------------------------------------------------------------- credit of the promotion
  logic [ShareW-1:0] share;
  logic [8:0] beats, paid_beats;
  credit_t gain, price;
  logic r_valid_q;
  assign share = (cfg_i.promo_floor == '0) ? ShareLeast : {cfg_i.promo_floor, 3'b0};
  assign beats = 9'(chosen.len) + 9'd1;

  always_comb begin
    paid_beats = '0;
    // A table read beside which bulk waits pays nothing: it would keep promotion ahead of bulk for ever.
    if (grant[Bulk] || (grant[Table] && !asks[Bulk])) paid_beats = beats;
    else if (!m_axi_rvalid_i && !asks[Bulk]) paid_beats = 9'd1;
    gain = credit_t'({1'b0, paid_beats}) * credit_t'({1'b0, share});
    price = (credit_t'({1'b0, beats}) <<< ShareW) - credit_t'({1'b0, beats}) * credit_t'({1'b0, share});
    credit_d = credit_q;
    if (taken && grant[Promo]) credit_d = bulk_rests ? credit_q : credit_q - price;
    else if (in_debt || (asks[Promo] && credit_q < CreditMost)) credit_d = credit_q + gain;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) credit_q <= '0;
    else credit_q <= credit_d;
  end

  // ---------------------------------------------------------------------------------------------------------------- AR
  typedef struct packed {
    axi_id_t id;
    rd_req_t req;
  } ar_t;
  ar_t ar_in, ar;
  assign ar_in = '{id: {spare_q[chosen_chan], chosen_chan}, req: chosen};

  kv_skid #(
      .T(ar_t)
  ) u_ar (
      .clk_i,
      .rst_ni,
      .valid_i(taken && !refused),
      .ready_o(ar_ready),
      .data_i (ar_in),
      .valid_o(m_axi_arvalid_o),
      .ready_i(m_axi_arready_i),
      .data_o (ar)
  );
  assign m_axi_arid_o = ar.id;
  assign m_axi_araddr_o = ar.req.addr;
  assign m_axi_arlen_o = ar.req.len;
  assign m_axi_arsize_o = 3'(BeatShift);
  assign m_axi_arburst_o = BurstIncr;
  assign m_axi_arcache_o = CacheNormal;
  assign m_axi_arprot_o = ProtData;

  logic [TimerW-1:0] ar_timer_q;
  assign stuck = cfg_i.bus_timeout != '0 && ar_timer_q >= cfg_i.bus_timeout;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) ar_timer_q <= '0;
    else if (!m_axi_arvalid_o || m_axi_arready_i) ar_timer_q <= '0;
    else if (!(&ar_timer_q)) ar_timer_q <= ar_timer_q + TimerW'(1);
  end

  // ----------------------------------------------------------------------------------------------------------------- R
  // A beat is judged in the cycle after it came, when the length of its read is known.
  axi_id_t r_id_q;
  beat_t   r_data_q;
  logic r_last_q, r_error_q, r_spare, stray;
  chan_t r_chan;
  assign m_axi_rready_o = 1'b1;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) r_valid_q <= 1'b0;
    else r_valid_q <= m_axi_rvalid_i;
  end
  always_ff @(posedge clk_i) begin
    r_id_q <= m_axi_rid_i;
    r_data_q <= m_axi_rdata_i;
    r_last_q <= m_axi_rlast_i;
    r_error_q <= m_axi_rresp_i[1];
  end
  assign {r_spare, r_chan} = r_id_q;

  logic [Channels-1:0] wrong_last, timed_out, late_last;
  for (genvar k = 0; k < Channels; k++) begin : gen_channel
    localparam int unsigned Depth = (k == Table) ? TableReads : ((k == Bulk) ? BulkReads : PromoReads);
    logic here, len_valid, len_ready_unused;
    axi_len_t len, nth_q;
    logic [$clog2(Depth+1)-1:0] len_count_unused;
    logic [TimerW-1:0] timer_q;
    logic next_spare;

    assign here = r_valid_q && r_chan == chan_t'(k);
    assign shown[k] = here && r_spare == spare_q[k] && !no_id[k] && out_q[k] != '0 && len_valid;
    assign shown_last[k] = shown[k] && nth_q == len;
    assign wrong_last[k] = shown[k] && r_last_q != (nth_q == len);
    assign late_last[k] = here && away_q[k][r_spare] && r_last_q;
    assign timed_out[k] = cfg_i.bus_timeout != '0 && timer_q >= cfg_i.bus_timeout && out_q[k] != '0 && !shown[k];
    assign lose[k] = wrong_last[k] || timed_out[k];

    kv_fifo_ram #(
        .T    (axi_len_t),
        .Depth(Depth)
    ) u_len (
        .clk_i,
        .rst_ni,
        .flush_i(lose[k]),
        .valid_i(take[k] && !refuse[k]),
        .ready_o(len_ready_unused),
        .data_i (chosen.len),
        .valid_o(len_valid),
        .ready_i(shown_last[k]),
        .data_o (len),
        .count_o(len_count_unused)
    );

    // What is outstanding, and what of it is lost.
    count_t out_d;
    beats_t out_beats_d, made_d;
    assign out_d = out_q[k] + count_t'(take[k] && !refuse[k]) - count_t'(shown_last[k]);
    assign out_beats_d = out_beats_q[k] + ((take[k] && !refuse[k]) ? beats_t'(beats) : '0) - beats_t'(shown[k]);
    always_comb begin
      made_d = made_q[k];
      if (made_q[k] != '0) made_d = made_q[k] - beats_t'(1);
      if (take[k] && refuse[k]) made_d = beats_t'(beats);
      if (lose[k]) made_d = out_beats_d;
      if (k >= Promo) made_d = '0;
    end
    // The other ID, when this one goes and that one is free.
    assign next_spare = (lose[k] || no_id[k]) && !away_q[k][!spare_q[k]] ? !spare_q[k] : spare_q[k];

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        spare_q[k] <= 1'b0;
        away_q[k] <= '0;
        dead_q[k] <= '0;
        owed_q[k] <= '0;
        out_q[k] <= '0;
        out_beats_q[k] <= '0;
        made_q[k] <= '0;
        nth_q <= '0;
        timer_q <= '0;
      end else begin
        spare_q[k] <= next_spare;
        out_q[k] <= lose[k] ? '0 : out_d;
        out_beats_q[k] <= lose[k] ? '0 : out_beats_d;
        made_q[k] <= made_d;
        if (lose[k] || shown_last[k]) nth_q <= '0;
        else if (shown[k]) nth_q <= nth_q + axi_len_t'(1);
        if (shown[k] || out_q[k] == '0) timer_q <= '0;
        else if (!(&timer_q)) timer_q <= timer_q + TimerW'(1);
        for (int unsigned i = 0; i < 2; i++) begin
          if (lose[k] && spare_q[k] == 1'(i)) begin
            away_q[k][i] <= 1'b1;
            dead_q[k][i] <= wrong_last[k];
            owed_q[k][i] <= out_d;
          end else if (late_last[k] && r_spare == 1'(i) && !dead_q[k][i]) begin
            owed_q[k][i] <= owed_q[k][i] - count_t'(1);
            if (owed_q[k][i] == count_t'(1)) away_q[k][i] <= 1'b0;
          end
        end
      end
    end
  end
  assign stray = r_valid_q && shown == '0;

  logic [Clients-1:0] rsp_valid, rsp_last, rsp_error;
  logic promo_shown;
  assign promo_shown = |shown[Channels-1:Promo];
  always_comb begin
    rsp_valid = {promo_shown, shown[Bulk] || made_q[Bulk] != '0, shown[Table] || made_q[Table] != '0};
    rsp_last = {|shown_last[Channels-1:Promo], shown_last[Bulk], shown_last[Table]};
    rsp_error[Promo] = r_error_q || wrong_last != '0;
    for (int unsigned c = 0; c < Promo; c++) begin
      rsp_error[c] = !shown[c] || r_error_q || wrong_last[c];
      if (!shown[c]) rsp_last[c] = made_q[c] == beats_t'(1);
    end
  end
  assign {promo_rsp_valid_o, bulk_rsp_valid_o, table_rsp_valid_o} = rsp_valid;
  assign table_rsp_o = '{data: r_data_q, last: rsp_last[Table], error: rsp_error[Table]};
  assign bulk_rsp_o = '{data: r_data_q, last: rsp_last[Bulk], error: rsp_error[Bulk]};
  assign promo_rsp_o = '{data: r_data_q, last: rsp_last[Promo], error: rsp_error[Promo]};
  assign promo_rsp_chan_o = PromoW'(r_chan - chan_t'(Promo));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) promo_lost_o <= '0;
    else promo_lost_o <= lose[Channels-1:Promo] | (take[Channels-1:Promo] & refuse[Channels-1:Promo]);
  end

  // ------------------------------------------------------------------------------------------------------- the fence
  // fence_q[k]: of the reads of k not yet shown in full, how many, from the oldest on, the fence waits for.
  logic [Channels-1:0] fenced;
  for (genvar k = 0; k < Channels; k++) begin : gen_fence
    count_t fence_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) fence_q <= '0;
      else if (lose[k]) fence_q <= '0;
      else if (fence_i) fence_q <= out_q[k] + count_t'(take[k] && !refuse[k]) - count_t'(shown_last[k]);
      else if (shown_last[k] && fence_q != '0) fence_q <= fence_q - count_t'(1);
    end
    assign fenced[k] = fence_q != '0;
  end
  assign fence_busy_o = fenced != '0;

  // ----------------------------------------------------------------------------------------------------------- counting
  port_count_t count_d;
  logic more_to_come;
  always_comb begin
    more_to_come = 1'b0;
    for (int unsigned k = 0; k < Channels; k++) begin
      if (out_q[k] != count_t'(shown_last[k])) more_to_come = 1'b1;
    end
    count_d = '0;
    count_d.table_burst = grant[Table];
    count_d.bulk_burst = grant[Bulk];
    count_d.promo_burst = grant[Promo];
    count_d.table_beat = shown[Table];
    count_d.bulk_beat = shown[Bulk];
    count_d.promo_beat = promo_shown;
    count_d.promo_far_beat = promo_shown && !shown[Promo];
    count_d.ar_stall = m_axi_arvalid_o && !m_axi_arready_i;
    count_d.r_idle = !m_axi_rvalid_i && more_to_come;
    count_d.error_beat = shown != '0 && r_error_q;
    count_d.stray_beat = stray;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) count_o <= '0;
    else count_o <= count_d;
  end

  // ---------------------------------------------------------------------------------------------------------------- rules
  `KVS_STREAM(ar_stream, m_axi_arvalid_o, m_axi_arready_i, ar)
  `KVS_STREAM(table_stream, table_req_valid_i, table_req_ready_o, table_req_i)
  `KVS_STREAM(bulk_stream, bulk_req_valid_i, bulk_req_ready_o, bulk_req_i)
  `KVS_STREAM(promo_stream, promo_req_valid_i, promo_req_ready_o, {promo_req_i, promo_chan_i})
  `KVS_ASSERT(one_channel_shown, (shown & (shown - Channels'(1))) == '0)
  `KVS_ASSERT(shown_or_made, (made_q[Table] == '0 || !shown[Table]) && (made_q[Bulk] == '0 || !shown[Bulk]))

  localparam int unsigned PageBytes = 4096;  // a burst stays within a page of this size
  logic [15:0] end_offset;
  assign end_offset = (16'(chosen.addr) % 16'(PageBytes)) + ((16'(chosen.len) + 16'd1) << BeatShift);
  `KVS_ASSUME(burst_in_page, grant == '0 || (chosen.addr[BeatShift-1:0] == '0 && end_offset <= 16'(PageBytes)))

  logic unused;
  assign unused = ^{cfg_i, m_axi_rresp_i[0], stray, end_offset, take, late_last, timed_out};

endmodule
