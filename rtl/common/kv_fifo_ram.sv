// SPDX-License-Identifier: Apache-2.0
// First-in first-out queue in a memory, for long queues.
//
// Contract: as kv_fifo, but an element takes 3 cycles from push to pop; one push and one pop a cycle sustained. Room
// counts all elements, those in the output registers too: `count_o` <= Depth, and ready_o = room. With Pass the memory
// is passed by when it is empty: an element leaves in the cycle after its push when nothing is before it.
//   T      element type
//   Depth  elements held, 4 or more
//   Pass   1: elements may pass by the memory (data_i is then in the path to the output registers)

module kv_fifo_ram #(
    parameter type T = logic [7:0],
    parameter int unsigned Depth = 16,
    parameter bit Pass = 1'b0,
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

  localparam int unsigned PtrW = $clog2(Depth);

  if (Depth < 4) begin : gen_bad_depth
    $error("kv_fifo_ram: Depth %0d is below 4", Depth);
  end

  logic [PtrW-1:0] wr_q, rd_q;
  logic [CountW-1:0] count_q;  // all elements
  logic [CountW-1:0] stored_q;  // elements in the memory that no read was started for
  logic read, read_q;  // a read was started in the last cycle
  logic push, pop, pass, store;
  T rdata;
  logic [1:0] out_count;

  assign ready_o = count_q != CountW'(Depth);
  assign push = valid_i && ready_o;
  assign pop = valid_o && ready_i;
  assign pass = Pass && push && stored_q == '0 && !read_q && out_count != 2'd2;
  assign store = push && !pass;
  assign count_o = count_q;

  // A read starts when the two output registers have a place for it, whatever the consumer does.
  assign read = stored_q != '0 && (out_count + 2'(read_q)) < 2'd2 + 2'(pop);

  function automatic logic [PtrW-1:0] next(input logic [PtrW-1:0] p);
    return (p == PtrW'(Depth - 1)) ? '0 : p + PtrW'(1);
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wr_q <= '0;
      rd_q <= '0;
      count_q <= '0;
      stored_q <= '0;
      read_q <= 1'b0;
    end else if (flush_i) begin
      wr_q <= '0;
      rd_q <= '0;
      count_q <= '0;
      stored_q <= '0;
      read_q <= 1'b0;
    end else begin
      if (store) wr_q <= next(wr_q);
      if (read) rd_q <= next(rd_q);
      count_q  <= count_q + CountW'(push) - CountW'(pop);
      stored_q <= stored_q + CountW'(store) - CountW'(read);
      read_q   <= read;
    end
  end

  kv_ram_1r1w #(
      .Words(Depth),
      .Width($bits(T))
  ) u_mem (
      .clk_i,
      .re_i   (read),
      .raddr_i(rd_q),
      .rdata_o(rdata),
      .we_i   (store),
      .waddr_i(wr_q),
      .wdata_i(data_i)
  );

  logic out_ready_unused;
  kv_fifo #(
      .T    (T),
      .Depth(2)
  ) u_out (
      .clk_i,
      .rst_ni,
      .flush_i,
      .valid_i(read_q || pass),
      .ready_o(out_ready_unused),
      .data_i ((Pass && !read_q) ? data_i : rdata),
      .valid_o,
      .ready_i,
      .data_o,
      .count_o(out_count)
  );

endmodule
