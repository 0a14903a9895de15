// SPDX-License-Identifier: Apache-2.0
// The slots: banked single-port memory of beats, written by promotion_dma, read by bypass_mux.
//
// Contract: a write is always taken. It reaches its bank one cycle after wr_valid_i, and a read accepted from the second
// cycle after it on returns it. A read of another bank goes in the same cycle; one of the same bank waits (rd_ready_o
// low, depending on rd_addr_i) and is counted by a pulse of conflict_o. Answers come in order, exactly 2 cycles after
// acceptance, and cannot be held back. One read and one write a cycle. Contents are undefined after power-up.
//   Banks  banks, interleaved by the low address bits; a power of two that divides the beats of the memory

`include "kvsink_assert.svh"

module slot_sram
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned Banks = 4
) (
    input  logic        clk_i,
    input  logic        rst_ni,
    input  logic        wr_valid_i,
    input  sram_write_t wr_i,
    input  logic        rd_valid_i,
    output logic        rd_ready_o,
    input  sram_addr_t  rd_addr_i,
    output logic        rsp_valid_o,
    output beat_t       rsp_data_o,
    output logic        conflict_o
);

  localparam int unsigned BankW = $clog2(Banks);
  localparam int unsigned BankWords = SramBeats / Banks;
  localparam int unsigned WordAddrW = $clog2(BankWords);
  typedef logic [BankW-1:0] bank_t;
  typedef logic [WordAddrW-1:0] word_addr_t;

  if (Banks < 2 || (Banks & (Banks - 1)) != 0 || SramBeats % Banks != 0 || BankWords < 2) begin : gen_bad_banks
    $error("slot_sram: Banks %0d is no power of two from 2 on that divides %0d beats", Banks, SramBeats);
  end

  logic wr_valid_q;
  sram_write_t wr_q;
  bank_t wr_bank, rd_bank, rd_bank_q;
  logic rd_take, rd_take_q;

  assign wr_bank = wr_q.addr[BankW-1:0];
  assign rd_bank = rd_addr_i[BankW-1:0];
  assign rd_ready_o = !(wr_valid_q && wr_bank == rd_bank);
  assign rd_take = rd_valid_i && rd_ready_o;

  beat_t [Banks-1:0] bank_data;
  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    logic write;
    assign write = wr_valid_q && wr_bank == bank_t'(b);
    kv_ram_1rw #(
        .Words(BankWords),
        .Width(BusBits)
    ) u_ram (
        .clk_i,
        .en_i   (write || (rd_take && rd_bank == bank_t'(b))),
        .we_i   (write),
        .addr_i (write ? word_addr_t'(wr_q.addr >> BankW) : word_addr_t'(rd_addr_i >> BankW)),
        .wdata_i(wr_q.data),
        .rdata_o(bank_data[b])
    );
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wr_valid_q  <= 1'b0;
      rd_take_q   <= 1'b0;
      rsp_valid_o <= 1'b0;
      conflict_o  <= 1'b0;
    end else begin
      wr_valid_q  <= wr_valid_i;
      rd_take_q   <= rd_take;
      rsp_valid_o <= rd_take_q;
      conflict_o  <= rd_valid_i && !rd_ready_o;
    end
  end

  always_ff @(posedge clk_i) begin
    if (wr_valid_i) wr_q <= wr_i;
    if (rd_take) rd_bank_q <= rd_bank;
    if (rd_take_q) rsp_data_o <= bank_data[rd_bank_q];
  end

  // 33 bits: the size of the memory itself may be one more than an address can say.
  `KVS_ASSERT(write_in_range, !wr_valid_i || 33'(wr_i.addr) < 33'(SramBeats))
  `KVS_ASSERT(read_in_range, !rd_valid_i || 33'(rd_addr_i) < 33'(SramBeats))
  `KVS_STREAM(rd, rd_valid_i, rd_ready_o, rd_addr_i)

endmodule
