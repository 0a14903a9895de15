// SPDX-License-Identifier: Apache-2.0
// First-in first-out queue in flip-flops, for short queues of any type.
//
// Contract: valid/ready on both sides; order kept. Latency 1 cycle (an element pushed in cycle t can be popped in t+1);
// one push and one pop a cycle, also when full-1 or at 1. `ready_o` does not depend on `ready_i`: a full queue takes
// nothing in the cycle in which it is popped. `count_o` is the number held, `flush_i` empties it (its inputs of the same
// cycle are lost).
//   T      element type
//   Depth  elements held, 1 to 4096

module kv_fifo #(
    parameter type T = logic,
    parameter int unsigned Depth = 2,
    localparam int unsigned CountW = $clog2(Depth + 1)
) (
    input  logic              clk_i,
    input  logic              rst_ni,
    input  logic              flush_i,
    input  logic              valid_i,
    output logic              ready_o,
    input  T                  data_i,
    output logic              valid_o,
    input  logic              ready_i,
    output T                  data_o,
    output logic [CountW-1:0] count_o
);

  localparam int unsigned PtrW = (Depth > 1) ? $clog2(Depth) : 1;

  if (Depth < 1 || Depth > 4096) begin : gen_bad_depth
    $error("kv_fifo: Depth %0d is not in 1..4096", Depth);
  end

  T mem_q[Depth];
  logic [PtrW-1:0] wr_q, rd_q;
  logic [CountW-1:0] count_q;
  logic push, pop;

  assign ready_o = count_q != CountW'(Depth);
  assign valid_o = count_q != '0;
  assign data_o = mem_q[rd_q];
  assign count_o = count_q;
  assign push = valid_i && ready_o;
  assign pop = valid_o && ready_i;

  function automatic logic [PtrW-1:0] next(input logic [PtrW-1:0] p);
    return (p == PtrW'(Depth - 1)) ? '0 : p + PtrW'(1);
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wr_q <= '0;
      rd_q <= '0;
      count_q <= '0;
    end else if (flush_i) begin
      wr_q <= '0;
      rd_q <= '0;
      count_q <= '0;
    end else begin
      if (push) wr_q <= next(wr_q);
      if (pop) rd_q <= next(rd_q);
      count_q <= count_q + CountW'(push) - CountW'(pop);
    end
  end

  always_ff @(posedge clk_i) begin
    if (push) mem_q[wr_q] <= data_i;
  end

endmodule
