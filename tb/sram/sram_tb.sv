// SPDX-License-Identifier: Apache-2.0
// slot_sram with plain ports for its test.

module sram_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned Banks = 4
) (
    input  logic               clk_i,
    input  logic               rst_ni,
    output logic [       31:0] cfg_beats_o,
    output logic [       31:0] cfg_banks_o,
    input  logic               wr_valid_i,
    input  logic [       31:0] wr_addr_i,
    input  logic [BusBits-1:0] wr_data_i,
    input  logic               rd_valid_i,
    output logic               rd_ready_o,
    input  logic [       31:0] rd_addr_i,
    output logic               rsp_valid_o,
    output logic [BusBits-1:0] rsp_data_o,
    output logic               conflict_o
);

  assign cfg_beats_o = SramBeats;
  assign cfg_banks_o = Banks;

  logic unused;
  assign unused = ^{wr_addr_i, rd_addr_i};

  slot_sram #(
      .Banks(Banks)
  ) u_dut (
      .clk_i,
      .rst_ni,
      .wr_valid_i,
      .wr_i     ('{addr: sram_addr_t'(wr_addr_i), data: wr_data_i}),
      .rd_valid_i,
      .rd_ready_o,
      .rd_addr_i(sram_addr_t'(rd_addr_i)),
      .rsp_valid_o,
      .rsp_data_o,
      .conflict_o
  );

endmodule
