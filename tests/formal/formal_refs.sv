// SPDX-License-Identifier: Apache-2.0
// References to prefix owners under any sequence of set_owner commands: when none is at work, each owner's count is the
// number of owners that name it (so none is lost, and none goes below zero), and who is named is valid and has no prefix
// itself. residency_owners beside a table of owners; what else a row holds, and all that a command is checked against, is
// free. That no other unit of the loop touches a count is a property of formal_residency.
//   Witness  0: the properties. Otherwise the negation of the interesting case of that number: each has to fail.

module formal_refs
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
#(
    parameter int unsigned Witness = 0
) (
    input logic clk_i,
    input logic rst_ni,

    input cmd_t cmd_i,
    input orow_t row_i,  // the fields of a row that the table does not keep
    input ctl_state_t totals_i,
    input profile_cfg_t [Profiles-1:0] profiles_i,
    input plan_view_t plan_i,
    input logic has_plan_i,
    input logic room_i,
    input ctl_cfg_t cfg_i,
    input layout_cfg_t layout_i,
    input entries_t free_entries_i
);

  typedef logic [$clog2(Owners):0] refs_t;

  logic past = 1'b0;
  always_ff @(posedge clk_i) begin
    past <= 1'b1;
    assume (rst_ni == past);
  end

  // ---- the loop, as far as set_owner goes
  state_e st_q;
  ctl_work_t w_q, w_next, w_d;
  ctl_state_t s_q, s_next, s_d;
  ctl_act_t act_base, act;
  orow_t  orow;
  owner_t read_q;

  logic [Owners-1:0] valid_q, named_q;
  owner_t [Owners-1:0] prefix_q;
  refs_t  [Owners-1:0] refs_q;
  always_comb begin
    orow = row_i;
    orow.valid = valid_q[read_q];
    orow.prefix_valid = named_q[read_q];
    orow.prefix_owner = prefix_q[read_q];
    orow.refs = refs_q[read_q];
    s_q = totals_i;
    s_q.st = st_q;
    s_next = s_q;
    w_next = w_q;
    act_base = '0;
    act_base.orow_waddr = owner_t'(w_q.cmd.owner);
    act_base.orow_loop = w_q.own;
  end

  residency_owners u_dut (
      .s_i               (s_q),
      .w_i               (w_q),
      .orow_i            (orow),
      .profiles_i,
      .plan_i,
      .pl_has_i          (has_plan_i),
      .room_owner_i      (room_i),
      .cfg_i,
      .layout_i,
      .tag_free_entries_i(free_entries_i),
      .s_next_i          (s_next),
      .w_next_i          (w_next),
      .act_i             (act_base),
      .s_o               (s_d),
      .w_o               (w_d),
      .act_o             (act)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      st_q <= StIdle;
      valid_q <= '0;
      named_q <= '0;
      refs_q <= '0;
      prefix_q <= '0;
    end else begin
      if (st_q == StIdle) st_q <= StCmd;
      else if (st_q == StCmd) st_q <= StOwner2;
      else st_q <= (act.cmd_done || act.sweep_start) ? StIdle : s_d.st;
      if (act.orow_we) begin
        valid_q[act.orow_waddr]  <= act.orow_loop.valid;
        named_q[act.orow_waddr]  <= act.orow_loop.prefix_valid;
        prefix_q[act.orow_waddr] <= act.orow_loop.prefix_owner;
        refs_q[act.orow_waddr]   <= act.orow_loop.refs;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    w_q <= w_d;
    if (st_q == StIdle) begin
      w_q.cmd <= cmd_i;
      read_q  <= owner_t'(cmd_i.owner);
    end else if (st_q == StCmd) begin
      w_q.own <= orow;
      read_q  <= owner_t'(w_q.cmd.arg1[47:32]);
    end else if (act.orow_re) begin
      read_q <= act.orow_raddr;
    end
  end

  refs_t [Owners-1:0] names;
  always_comb begin
    names = '0;
    for (int unsigned p = 0; p < Owners; p++) begin
      for (int unsigned o = 0; o < Owners; o++) begin
        if (valid_q[o] && named_q[o] && prefix_q[o] == owner_t'(p)) names[p] = names[p] + refs_t'(1);
      end
    end
  end

  // What a command under way still owes: a reference that its owner's row has and the count has not, and the reverse. With
  // what the registers hold of the table meanwhile, this makes the property one that a step carries on.
  logic owes_new, owes_old, sets_prefix, accepted;
  owner_t owner, prefix;
  assign owner = owner_t'(w_q.cmd.owner);
  assign prefix = owner_t'(w_q.cmd.arg1[47:32]);
  assign sets_prefix = w_q.cmd.flags[0] && w_q.cmd.flags[2];
  assign owes_new = st_q == StOwner5 && sets_prefix;
  assign owes_old = (st_q == StOwner5 || st_q == StOwner6 || st_q == StOwner7) && w_q.own.valid && w_q.own.prefix_valid;
  assign accepted = st_q == StOwner5 || (st_q == StOwner4 && w_q.status == StOk);
  function automatic logic same(input orow_t r, input owner_t o);
    return r.valid == valid_q[o] && r.prefix_valid == named_q[o] && r.prefix_owner == prefix_q[o] &&
        r.refs == refs_q[o];
  endfunction

  always_ff @(posedge clk_i) begin
    if (past && rst_ni && Witness == 0) begin
      for (int unsigned p = 0; p < Owners; p++) begin
        assert (refs_q[p] + refs_t'(owes_new && prefix == owner_t'(p)) ==
                names[p] + refs_t'(owes_old && w_q.own.prefix_owner == owner_t'(p)));
        assert (names[p] == '0 || (valid_q[p] && !named_q[p]));
        if (st_q == StIdle) begin
          assert (refs_q[p] == names[p]);
          assert (refs_q[p] == '0 || (valid_q[p] && !named_q[p]));
        end
      end
      assert (st_q inside {StIdle, StCmd, StOwner2, StOwner3, StOwner4, StOwner5, StOwner6, StOwner7, StOwner8});
      assert (st_q != StCmd || read_q == owner);
      assert (st_q != StOwner2 || read_q == prefix);
      assert (st_q != StOwner7 || read_q == w_q.own.prefix_owner);
      assert (!(st_q inside {StOwner2, StOwner3, StOwner4}) || same(w_q.own, owner));
      assert (!(st_q inside {StOwner3, StOwner4}) || same(w_q.named, prefix));
      assert (!accepted || (w_q.cmd.owner < 16'(Owners) && w_q.own.refs == '0));
      assert (!(accepted && sets_prefix) || (w_q.cmd.arg1[47:32] < 16'(Owners) && prefix != owner && same(
          w_q.named, prefix
      ) && w_q.named.valid && !w_q.named.prefix_valid));
    end
    if (past && rst_ni && st_q == StIdle) begin
      if (Witness == 1) two_name_one : assert (refs_q[0] < refs_t'(2));
    end
    if (past && rst_ni && Witness == 2)
      moves_on :
      assert (!(st_q == StOwner7 && w_q.own.prefix_valid && act.orow_we && w_q.cmd.flags[2] && w_q.cmd.flags[0]));
    if (past && rst_ni && Witness == 3) last_goes : assert (!(st_q == StOwner7 && w_d.sw.demote));
  end

  logic unused;
  assign unused = ^act;

endmodule
