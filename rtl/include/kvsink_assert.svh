// SPDX-License-Identifier: Apache-2.0
// One vocabulary of assertions. In simulation they stop the run with the name; in formal (define FORMAL) they are
// proof obligations; in synthesis they vanish. All use clk_i and rst_ni of the module they stand in.
`ifndef KVSINK_ASSERT_SVH
`define KVSINK_ASSERT_SVH

`ifdef SYNTHESIS
`define KVS_ASSERT(name, expr)
`define KVS_STREAM(name, valid, ready, payload)
`define KVS_ASSUME(name, expr)
`define KVS_ASSUME_STREAM(name, valid, ready, payload)
`else

// expr holds in every cycle out of reset.
`define KVS_ASSERT(name, expr) \
  always_ff @(posedge clk_i) begin \
    if (rst_ni) begin \
      name : assert (expr); \
    end \
  end

// A valid, once raised, stays until ready, and its payload stays as it is.
`define KVS_STREAM(name, valid, ready, payload) \
  logic name``_waits_q; \
  logic [$bits(payload)-1:0] name``_payload_q; \
  always_ff @(posedge clk_i or negedge rst_ni) begin \
    if (!rst_ni) name``_waits_q <= 1'b0; \
    else name``_waits_q <= (valid) && !(ready); \
  end \
  always_ff @(posedge clk_i) name``_payload_q <= payload; \
  always_ff @(posedge clk_i) begin \
    if (rst_ni && name``_waits_q) begin \
      name``_valid_stays : assert (valid); \
      name``_payload_stays : assert (name``_payload_q == payload); \
    end \
  end

`ifdef FORMAL
`define KVS_ASSUME(name, expr) \
  always_ff @(posedge clk_i) begin \
    if (rst_ni) begin \
      name : assume (expr); \
    end \
  end
`else
`define KVS_ASSUME(name, expr) `KVS_ASSERT(name, expr)
`endif

`endif
`endif
