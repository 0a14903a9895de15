// SPDX-License-Identifier: Apache-2.0
// AXI4-Lite subordinate in front of a register bank: one access at a time, reads and writes in turn.
//
// Contract: an access is shown with req_valid_o until rsp_valid_i, which comes in the same cycle or later and carries its
// data and error; the answer is SLVERR when rsp_error_i. Address and data of a write may come in any order. Ready outputs
// are registered and depend on nothing outside.

`include "kvsink_assert.svh"

module kv_axil (
    input logic clk_i,
    input logic rst_ni,

    input  logic [15:0] s_axil_awaddr_i,
    input  logic        s_axil_awvalid_i,
    output logic        s_axil_awready_o,
    input  logic [31:0] s_axil_wdata_i,
    input  logic [ 3:0] s_axil_wstrb_i,
    input  logic        s_axil_wvalid_i,
    output logic        s_axil_wready_o,
    output logic [ 1:0] s_axil_bresp_o,
    output logic        s_axil_bvalid_o,
    input  logic        s_axil_bready_i,
    input  logic [15:0] s_axil_araddr_i,
    input  logic        s_axil_arvalid_i,
    output logic        s_axil_arready_o,
    output logic [31:0] s_axil_rdata_o,
    output logic [ 1:0] s_axil_rresp_o,
    output logic        s_axil_rvalid_o,
    input  logic        s_axil_rready_i,

    output logic        req_valid_o,
    output logic        req_write_o,
    output logic [15:0] req_addr_o,
    output logic [31:0] req_data_o,
    output logic [ 3:0] req_strb_o,
    input  logic        rsp_valid_i,
    input  logic        rsp_error_i,
    input  logic [31:0] rsp_data_i
);

  localparam logic [1:0] RespOkay = 2'b00;
  localparam logic [1:0] RespSlverr = 2'b10;

  typedef enum logic [1:0] {
    AxIdle,
    AxAccess,
    AxAnswer
  } state_e;

  state_e state_q;
  logic aw_full_q, w_full_q, ar_full_q;
  logic write_q;  // kind of the access under way, or of the last one
  logic [15:0] awaddr_q, araddr_q;
  logic [31:0] wdata_q, rdata_q;
  logic [3:0] wstrb_q;
  logic error_q;

  assign s_axil_awready_o = !aw_full_q;
  assign s_axil_wready_o  = !w_full_q;
  assign s_axil_arready_o = !ar_full_q;

  logic can_write, can_read, start, start_write, answered;
  assign can_write = aw_full_q && w_full_q;
  assign can_read = ar_full_q;
  assign start = state_q == AxIdle && (can_write || can_read);
  assign start_write = can_write && (!can_read || !write_q);
  assign answered = state_q == AxAnswer && (write_q ? s_axil_bready_i : s_axil_rready_i);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q   <= AxIdle;
      aw_full_q <= 1'b0;
      w_full_q  <= 1'b0;
      ar_full_q <= 1'b0;
      write_q   <= 1'b0;
    end else begin
      if (s_axil_awvalid_i && s_axil_awready_o) aw_full_q <= 1'b1;
      if (s_axil_wvalid_i && s_axil_wready_o) w_full_q <= 1'b1;
      if (s_axil_arvalid_i && s_axil_arready_o) ar_full_q <= 1'b1;
      unique case (state_q)
        AxIdle: begin
          if (start) begin
            state_q <= AxAccess;
            write_q <= start_write;
          end
        end
        AxAccess: if (rsp_valid_i) state_q <= AxAnswer;
        AxAnswer: begin
          if (answered) begin
            state_q <= AxIdle;
            if (write_q) begin
              aw_full_q <= 1'b0;
              w_full_q  <= 1'b0;
            end else begin
              ar_full_q <= 1'b0;
            end
          end
        end
        default:  state_q <= AxIdle;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (s_axil_awready_o) awaddr_q <= s_axil_awaddr_i;
    if (s_axil_arready_o) araddr_q <= s_axil_araddr_i;
    if (s_axil_wready_o) begin
      wdata_q <= s_axil_wdata_i;
      wstrb_q <= s_axil_wstrb_i;
    end
    if (state_q == AxAccess && rsp_valid_i) begin
      rdata_q <= rsp_error_i ? '0 : rsp_data_i;
      error_q <= rsp_error_i;
    end
  end

  assign req_valid_o = state_q == AxAccess;
  assign req_write_o = write_q;
  assign req_addr_o = write_q ? awaddr_q : araddr_q;
  assign req_data_o = wdata_q;
  assign req_strb_o = wstrb_q;

  assign s_axil_bvalid_o = state_q == AxAnswer && write_q;
  assign s_axil_rvalid_o = state_q == AxAnswer && !write_q;
  assign s_axil_bresp_o = error_q ? RespSlverr : RespOkay;
  assign s_axil_rresp_o = error_q ? RespSlverr : RespOkay;
  assign s_axil_rdata_o = rdata_q;

  `KVS_STREAM(b_channel, s_axil_bvalid_o, s_axil_bready_i, s_axil_bresp_o)
  `KVS_STREAM(r_channel, s_axil_rvalid_o, s_axil_rready_i, {s_axil_rresp_o, s_axil_rdata_o})

endmodule
