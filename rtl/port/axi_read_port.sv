// SPDX-License-Identifier: Apache-2.0
// The one AXI4 read manager of the block: three clients share a bus.
//
// Contract
//   Requests  A read is taken when valid and ready; it is a legal burst already (aligned to a beat, whole beats, within
//             4 KiB; checked by assertions here). The reads of a client return in order. AXI IDs: 0 table, 1 bulk,
//             2 promotion; 3 to 7 are free for tiers.
//   Responses No ready: a client owns room for every beat before it asks, so RREADY is always high. A beat with an ID
//             that has nothing outstanding is dropped and counted (stray_beat).
//   Order     Table reads first, but after TableRun of them in a row one of a waiting other client. Promotion goes when
//             bulk is idle (asks for nothing and has nothing outstanding), and otherwise on credit: before bulk while the
//             credit is not negative, not at all while it is. A promotion beat granted while bulk is not idle costs
//             1 - share; a beat granted to another, or a cycle in which R is idle and bulk does not wait for AR, pays
//             share, as long as there is a debt, and 4 beats beyond while promotion asks. So promotion is sure of share
//             of the beats, and takes no more of them from bulk.
//             share = promo_floor / 32; promo_floor 0 means 1 / 256, so that promotion never waits for ever.
//   Bounds    While the memory takes addresses: bulk waits for promotion for one burst and (4 + 256 * share) / (1 - share)
//             beats at most (with its own bursts of n beats: n for 256); promotion waits for 256 * (1 - share) / share
//             beats at most; either waits for TableRun table reads in between.
//   Fence     After a pulse of fence_i, fence_busy_o is high from the next cycle until each read that was taken up to and
//             in the cycle of the pulse has shown its last beat to its client. A later pulse extends it.
// Latency: a read taken in cycle t is on AR in t+1 when the bus is free; a beat on R in cycle t is at its client in t+1.
// Throughput: a burst and a beat a cycle.
//   MaxReads  reads outstanding a client at most; further ones wait
//   TableRun  table reads in a row while another client waits

`include "kvsink_assert.svh"

module axi_read_port
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned MaxReads = 511,
    parameter int unsigned TableRun = 16
) (
    input  logic              clk_i,
    input  logic              rst_ni,
    input  ctl_cfg_t          cfg_i,
    input  logic              table_req_valid_i,
    output logic              table_req_ready_o,
    input  rd_req_t           table_req_i,
    output logic              table_rsp_valid_o,
    output rd_rsp_t           table_rsp_o,
    input  logic              bulk_req_valid_i,
    output logic              bulk_req_ready_o,
    input  rd_req_t           bulk_req_i,
    output logic              bulk_rsp_valid_o,
    output rd_rsp_t           bulk_rsp_o,
    input  logic              promo_req_valid_i,
    output logic              promo_req_ready_o,
    input  rd_req_t           promo_req_i,
    output logic              promo_rsp_valid_o,
    output rd_rsp_t           promo_rsp_o,
    input  logic              fence_i,
    output logic              fence_busy_o,
    output port_count_t       count_o,
    // AXI4 read channels
    output axi_id_t           m_axi_arid_o,
    output addr_t             m_axi_araddr_o,
    output axi_len_t          m_axi_arlen_o,
    output logic        [2:0] m_axi_arsize_o,
    output logic        [1:0] m_axi_arburst_o,
    output logic        [3:0] m_axi_arcache_o,
    output logic        [2:0] m_axi_arprot_o,
    output logic              m_axi_arvalid_o,
    input  logic              m_axi_arready_i,
    input  axi_id_t           m_axi_rid_i,
    input  beat_t             m_axi_rdata_i,
    input  logic        [1:0] m_axi_rresp_i,
    input  logic              m_axi_rlast_i,
    input  logic              m_axi_rvalid_i,
    output logic              m_axi_rready_o
);

  localparam int unsigned Clients = 3;
  localparam int unsigned Table = 0;
  localparam int unsigned Bulk = 1;
  localparam int unsigned Promo = 2;
  localparam int unsigned CountW = $clog2(MaxReads + 1);
  localparam int unsigned RunW = $clog2(TableRun + 1);
  localparam logic [1:0] BurstIncr = 2'b01;
  localparam logic [3:0] CacheNormal = 4'b0011;  // modifiable, bufferable, not allocated
  localparam logic [2:0] ProtData = 3'b010;  // unprivileged, non-secure, data
  // Credit in 1/256 beats, signed. The deepest debt is that of a burst of 256 beats.
  localparam int unsigned ShareW = 8;
  localparam int unsigned CreditW = 17;
  typedef logic signed [CreditW-1:0] credit_t;
  localparam logic [ShareW-1:0] ShareLeast = ShareW'(1);
  localparam credit_t CreditMost = credit_t'(4 << ShareW);  // 4 beats, for the cycles between two short bursts

  if (MaxReads < 1 || MaxReads > 65535) begin : gen_bad_reads
    $error("axi_read_port: MaxReads %0d is not in 1..65535", MaxReads);
  end
  if (TableRun < 1) begin : gen_bad_run
    $error("axi_read_port: TableRun %0d is below 1", TableRun);
  end
  if (BusBits < 32 || BusBits > 1024 || BusBits != 2 ** $clog2(BusBits)) begin : gen_bad_bus
    $error("axi_read_port: BusBits %0d is not a power of two in 32..1024", BusBits);
  end

  // ------------------------------------------------------------------------------------------------------ who is next
  logic [Clients-1:0] req_valid, room, asks, grant, beat;
  rd_req_t [Clients-1:0] req;
  logic [CountW-1:0] outstanding_q[Clients];
  logic ar_ready, take;
  logic [RunW-1:0] run_q;
  credit_t credit_q, credit_d;

  assign req_valid = {promo_req_valid_i, bulk_req_valid_i, table_req_valid_i};
  assign req = {promo_req_i, bulk_req_i, table_req_i};
  for (genvar c = 0; c < int'(Clients); c++) begin : gen_room
    assign room[c] = outstanding_q[c] != CountW'(MaxReads);
  end
  assign asks = req_valid & room;

  logic table_first, promo_first, in_debt, bulk_idle;
  assign table_first = run_q != RunW'(TableRun) || !(asks[Bulk] || (asks[Promo] && promo_first));
  assign in_debt = credit_q[CreditW-1];
  assign bulk_idle = !asks[Bulk] && outstanding_q[Bulk] == '0;
  assign promo_first = !in_debt || bulk_idle;
  always_comb begin
    grant = '0;
    if (asks[Table] && table_first) grant[Table] = 1'b1;
    else if (asks[Promo] && promo_first) grant[Promo] = 1'b1;
    else if (asks[Bulk]) grant[Bulk] = 1'b1;
  end
  assign take = ar_ready && grant != '0;
  assign {promo_req_ready_o, bulk_req_ready_o, table_req_ready_o} = grant & {Clients{ar_ready}};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) run_q <= '0;
    else if (!(asks[Bulk] || (asks[Promo] && promo_first))) run_q <= '0;
    else if (take) run_q <= grant[Table] ? run_q + RunW'(1) : '0;
  end

  // ------------------------------------------------------------------------------------------- credit of the promotion
  logic [ShareW-1:0] share;
  logic [8:0] beats, paid_beats;
  credit_t gain, price;
  assign share = (cfg_i.promo_floor == '0) ? ShareLeast : {cfg_i.promo_floor, 3'b0};
  rd_req_t chosen;
  assign beats = 9'(chosen.len) + 9'd1;

  always_comb begin
    paid_beats = '0;
    if (take && !grant[Promo]) paid_beats = beats;
    else if (beat == '0 && !asks[Bulk]) paid_beats = 9'd1;
    gain = credit_t'({1'b0, paid_beats}) * credit_t'({1'b0, share});
    price = (credit_t'({1'b0, beats}) <<< ShareW) - credit_t'({1'b0, beats}) * credit_t'({1'b0, share});
    credit_d = credit_q;
    if (take && grant[Promo]) credit_d = bulk_idle ? credit_q : credit_q - price;
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
  always_comb begin
    chosen   = req[Table];
    ar_in.id = axi_id_t'(Table);
    if (grant[Bulk]) begin
      chosen   = req[Bulk];
      ar_in.id = axi_id_t'(Bulk);
    end
    if (grant[Promo]) begin
      chosen   = req[Promo];
      ar_in.id = axi_id_t'(Promo);
    end
    ar_in.req = chosen;
  end

  kv_skid #(
      .T(ar_t)
  ) u_ar (
      .clk_i,
      .rst_ni,
      .valid_i(grant != '0),
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

  // ----------------------------------------------------------------------------------------------------------------- R
  logic [Clients-1:0] beat_q;
  rd_rsp_t rsp_q;
  logic stray;
  assign m_axi_rready_o = 1'b1;
  for (genvar c = 0; c < int'(Clients); c++) begin : gen_beat
    assign beat[c] = m_axi_rvalid_i && m_axi_rid_i == axi_id_t'(c) && outstanding_q[c] != '0;
  end
  assign stray = m_axi_rvalid_i && beat == '0;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) beat_q <= '0;
    else beat_q <= beat;
  end
  always_ff @(posedge clk_i) begin
    rsp_q <= '{data: m_axi_rdata_i, last: m_axi_rlast_i, error: m_axi_rresp_i[1]};
  end
  assign {promo_rsp_valid_o, bulk_rsp_valid_o, table_rsp_valid_o} = beat_q;
  assign table_rsp_o = rsp_q;
  assign bulk_rsp_o = rsp_q;
  assign promo_rsp_o = rsp_q;

  // ------------------------------------------------------------------------------------------- outstanding, and the fence
  // fence_q[c]: of the reads of c not yet shown in full, how many, from the oldest on, the fence waits for. They return in
  // order, so each last beat shown is of the oldest. unshown_q lags outstanding_q by the cycle in which R is a register.
  logic [ CountW-1:0] fence_q  [Clients];
  logic [ CountW-1:0] unshown_q[Clients];
  logic [Clients-1:0] fenced;
  for (genvar c = 0; c < int'(Clients); c++) begin : gen_count
    logic up, down, shown;
    logic [CountW-1:0] unshown_d;
    assign up = take && grant[c];
    assign down = beat[c] && m_axi_rlast_i;
    assign shown = beat_q[c] && rsp_q.last;
    assign unshown_d = unshown_q[c] + CountW'(up) - CountW'(shown);
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        outstanding_q[c] <= '0;
        unshown_q[c] <= '0;
        fence_q[c] <= '0;
      end else begin
        outstanding_q[c] <= outstanding_q[c] + CountW'(up) - CountW'(down);
        unshown_q[c] <= unshown_d;
        if (fence_i) fence_q[c] <= unshown_d;
        else if (shown && fence_q[c] != '0) fence_q[c] <= fence_q[c] - CountW'(1);
      end
    end
    assign fenced[c] = fence_q[c] != '0;
  end
  assign fence_busy_o = fenced != '0;

  // ----------------------------------------------------------------------------------------------------------- counting
  port_count_t count_d;
  always_comb begin
    count_d = '0;
    count_d.table_burst = take && grant[Table];
    count_d.bulk_burst = take && grant[Bulk];
    count_d.promo_burst = take && grant[Promo];
    count_d.table_beat = beat[Table];
    count_d.bulk_beat = beat[Bulk];
    count_d.promo_beat = beat[Promo];
    count_d.ar_stall = m_axi_arvalid_o && !m_axi_arready_i;
    count_d.r_idle = !m_axi_rvalid_i &&
        (outstanding_q[Table] != '0 || outstanding_q[Bulk] != '0 || outstanding_q[Promo] != '0);
    count_d.error_beat = beat != '0 && m_axi_rresp_i[1];
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
  `KVS_STREAM(promo_stream, promo_req_valid_i, promo_req_ready_o, promo_req_i)

  localparam int unsigned PageBytes = 4096;  // a burst stays within a page of this size
  logic [15:0] end_offset;
  assign end_offset = (16'(chosen.addr) % 16'(PageBytes)) + ((16'(chosen.len) + 16'd1) << BeatShift);
  `KVS_ASSUME(burst_in_page, grant == '0 || (chosen.addr[BeatShift-1:0] == '0 && end_offset <= 16'(PageBytes)))

  logic unused;
  assign unused = ^{cfg_i, m_axi_rresp_i[0], stray, end_offset};

endmodule
