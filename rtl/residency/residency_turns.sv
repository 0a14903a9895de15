// SPDX-License-Identifier: Apache-2.0
// Whose turn it is in the loop: a command, or an event of another class.
//
// Contract: after a command another event has its turn (s_i.cmd_turn), and the classes take turns, so that none starves.
// chosen_o is one class when the loop is idle and takes no command. A running sweep goes on row by row unless
// sweep_yields_o: at once for commands and for what others wait with, after a burst of rows for its own queues.
// Latency: combinational. full_i: no completion could be queued.

module residency_turns
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input ctl_state_t s_i,
    input ctl_work_t w_i,
    input logic dynamic_i,

    input logic cmd_valid_i,
    input logic [7:0] opcode_i,
    input logic full_i,
    output logic cmd_ready_o,
    output logic cmd_take_o,

    input logic end_valid_i,
    input logic progress_valid_i,
    input logic walk_rsp_valid_i,
    input logic walks_valid_i,
    input logic rsp_valid_i,
    input logic wait_valid_i,
    input logic fill_valid_i,
    input logic walks_room_i,
    input logic free_valid_i,
    input logic pl_want_i,

    input logic   batch_valid_i,
    input owner_t batch_owner_i,
    input logic   tag_sweep_busy_i,
    input logic   fence_busy_i,
    input logic   abort_room_i,

    output logic batch_here_o,
    output logic batch_wanted_o,
    output logic none_want_o,
    output logic [Classes-1:0] chosen_o,
    output logic [ClassW-1:0] chosen_class_o,
    output logic sweep_yields_o
);

  logic sweep_ready;
  assign batch_here_o   = batch_valid_i && batch_owner_i == w_i.sw.owner;
  assign batch_wanted_o = !w_i.sw.no_scores && (w_i.sw.prefill || dynamic_i);
  always_comb begin
    sweep_ready = 1'b0;
    if (s_i.sweeping) begin
      unique case (w_i.sw.phase)
        PhBatch: sweep_ready = !batch_wanted_o || batch_valid_i || w_i.batch_wait == 11'(BatchWait);
        PhRows: sweep_ready = !s_i.sc_valid && abort_room_i;
        PhTopAsk, PhFree: sweep_ready = !s_i.sc_valid;
        PhFence: sweep_ready = !tag_sweep_busy_i && !fence_busy_i && !s_i.fence;
        PhPick, PhDone: sweep_ready = 1'b1;
        default: ;
      endcase
    end else sweep_ready = s_i.press;
  end

  logic [Classes-1:0] want, first_want;
  logic wrap;
  logic [ClassW-1:0] first_index;
  logic [Classes-1:0] onehot_high, onehot_low;
  logic none_low_unused;
  logic [ClassW-1:0] index_low;
  always_comb begin
    want = '0;
    want[EcEnd] = end_valid_i;
    want[EcProgress] = progress_valid_i;
    want[EcWalk] = walk_rsp_valid_i && walks_valid_i && !s_i.desc_valid;
    want[EcScore] = rsp_valid_i && s_i.sweeping && (w_i.sw.phase == PhScore || w_i.sw.phase == PhTop);
    want[EcSweep] = sweep_ready;
    want[EcWait] = wait_valid_i;
    want[EcFill] = fill_valid_i && walks_room_i && !s_i.walk_valid;
    want[EcFree] = free_valid_i;
    want[EcPlan] = pl_want_i;
    first_want = want & ~((Classes'(1) << s_i.turn) - Classes'(1));
  end
  kv_first #(
      .Width(Classes)
  ) u_turn_high (
      .bits_i  (first_want),
      .none_o  (wrap),
      .index_o (first_index),
      .onehot_o(onehot_high)
  );
  kv_first #(
      .Width(Classes)
  ) u_turn_low (
      .bits_i  (want),
      .none_o  (none_low_unused),
      .index_o (index_low),
      .onehot_o(onehot_low)
  );
  assign none_want_o = want == '0;
  assign chosen_class_o = wrap ? index_low : first_index;

  logic sweep_command;
  always_comb begin
    unique case (opcode_i)
      OpSetOwner, OpLetGo, OpAbort, OpRetire, OpStepEnd, OpOpen: sweep_command = 1'b1;
      default: sweep_command = 1'b0;
    endcase
  end
  assign cmd_ready_o = s_i.st == StIdle && s_i.cmd_turn && !full_i && !(s_i.sweeping && sweep_command);
  assign cmd_take_o = cmd_valid_i && cmd_ready_o;
  assign chosen_o = (s_i.st != StIdle || cmd_take_o) ? '0 : wrap ? onehot_low : onehot_high;

  // Work that a sweep steps back for: at once, or after a burst of rows.
  always_comb begin
    sweep_yields_o = (cmd_valid_i && !sweep_command && !full_i) ||
        want[EcEnd] || want[EcProgress] || want[EcWalk] || want[EcWait] ||
        (w_i.burst == 5'(SweepBurst) && (want[EcFill] || want[EcFree] || want[EcPlan]));
  end

endmodule
