// SPDX-License-Identifier: Apache-2.0
// A plain queue of 16 words of 64 bits in flip-flops, output through a register: the other yardstick of a flow.

module reference_fifo (
    input logic clk_i,
    input logic rst_ni,
    input logic valid_i,
    output logic ready_o,
    input logic [63:0] data_i,
    output logic valid_o,
    input logic ready_i,
    output logic [63:0] data_o
);

  logic valid, ready;
  logic [63:0] data, data_q;
  logic valid_q;

  kv_fifo #(
      .T(logic [63:0]),
      .Depth(16)
  ) u_fifo (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i,
      .ready_o,
      .data_i,
      .valid_o(valid),
      .ready_i(ready),
      .data_o (data),
      .count_o()
  );

  assign ready = !valid_q || ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= 1'b0;
    else if (ready) valid_q <= valid;
  end

  always_ff @(posedge clk_i) begin
    if (ready && valid) data_q <= data;
  end

  assign valid_o = valid_q;
  assign data_o  = data_q;

endmodule
