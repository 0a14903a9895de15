// SPDX-License-Identifier: Apache-2.0
// Register slice that cuts both directions of a stream: two elements deep, so that it passes one element a cycle while
// neither valid nor ready crosses it combinationally. Latency 1 cycle.

module kv_skid #(
    parameter type T = logic
) (
    input  logic clk_i,
    input  logic rst_ni,
    input  logic valid_i,
    output logic ready_o,
    input  T     data_i,
    output logic valid_o,
    input  logic ready_i,
    output T     data_o
);

  T out_q, spare_q;
  logic out_valid_q, spare_valid_q;

  assign ready_o = !spare_valid_q;
  assign valid_o = out_valid_q;
  assign data_o  = out_q;

  logic out_load;
  assign out_load = ready_i || !out_valid_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      out_valid_q   <= 1'b0;
      spare_valid_q <= 1'b0;
    end else if (out_load) begin
      out_valid_q   <= spare_valid_q || valid_i;
      spare_valid_q <= 1'b0;
    end else if (valid_i && ready_o) begin
      spare_valid_q <= 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (out_load) out_q <= spare_valid_q ? spare_q : data_i;
    if (!out_load && ready_o) spare_q <= data_i;
  end

endmodule
