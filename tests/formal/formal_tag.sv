// SPDX-License-Identifier: Apache-2.0
// sink_tag_array under any commands, lookups and retires: at most one entry matches (the module's own assertions), and a
// token that was retired is hit by no lookup of that cycle or later until it is installed again. One token of one granule
// of one owner is watched; which one is free.
//   Witness  0: the properties. Otherwise the negation of the interesting case of that number: each has to fail.

module formal_tag
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned Witness = 0
) (
    input logic        clk_i,
    input logic        rst_ni,
    input owner_t      watch_owner_i,
    input gran_t       watch_granule_i,
    input token_t      watch_token_i,
    input retire_t     retire_i,
    input logic        lookup_valid_i,
    input tag_lookup_t lookup_i,
    input logic        want_i,
    input tag_cmd_t    next_cmd_i
);

  logic past = 1'b0;
  always_ff @(posedge clk_i) begin
    past <= 1'b1;
    assume (rst_ni == past);
  end

  // What is watched does not change.
  owner_t owner_q;
  gran_t  granule_q;
  token_t token_q;
  always_ff @(posedge clk_i) begin
    if (!past) begin
      owner_q   <= watch_owner_i;
      granule_q <= watch_granule_i;
      token_q   <= watch_token_i;
    end
  end

  // Commands keep the handshake.
  logic cmd_valid_q, cmd_ready;
  tag_cmd_t cmd_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) cmd_valid_q <= 1'b0;
    else if (!cmd_valid_q || cmd_ready) cmd_valid_q <= want_i;
  end
  always_ff @(posedge clk_i) begin
    if (!cmd_valid_q || cmd_ready) cmd_q <= next_cmd_i;
    // Two words are enough to differ.
    assume (next_cmd_i.word[30:1] == '0 && lookup_i.word[30:1] == '0);
  end

  // One profile that covers everything, so that nothing but tags decides.
  profile_cfg_t [Profiles-1:0] profiles;
  always_comb begin
    profiles = '0;
    for (int unsigned p = 0; p < Profiles; p++) begin
      profiles[p].valid = 1'b1;
      profiles[p].layer_count = layers_t'(Layers);
      profiles[p].head_mask = '1;
      profiles[p].plane_mask = '1;
    end
  end

  logic sweep_busy, hit_valid, ack_valid, next_ready, next_rsp_valid;
  entries_t free_entries;
  tag_hit_t hit;
  tag_ack_t ack;
  tag_next_rsp_t next_rsp;
  sink_tag_array u_dut (
      .clk_i,
      .rst_ni,
      .profiles_i      (profiles),
      .retire_i,
      .sweep_busy_o    (sweep_busy),
      .free_entries_o  (free_entries),
      .next_valid_i    (1'b0),
      .next_ready_o    (next_ready),
      .next_i          ('0),
      .next_rsp_valid_o(next_rsp_valid),
      .next_rsp_o      (next_rsp),
      .lookup_valid_i,
      .lookup_i,
      .hit_valid_o     (hit_valid),
      .hit_o           (hit),
      .cmd_valid_i     (cmd_valid_q),
      .cmd_ready_o     (cmd_ready),
      .cmd_i           (cmd_q),
      .ack_valid_o     (ack_valid),
      .ack_o           (ack)
  );

  // May the watched token be there: installed, and not retired since.
  pos_t position;
  assign position = {granule_q, token_q};
  logic there_q, was_there_q, retired, installs, watched;
  assign retired = retire_i.valid && (retire_i.all || (retire_i.owner == owner_q && retire_i.first <= position &&
                                                       retire_i.last >= position));
  assign installs = cmd_valid_q && cmd_ready && cmd_q.op == TagInstall && cmd_q.owner == owner_q &&
      cmd_q.granule == granule_q && cmd_q.token == token_q;
  assign watched = lookup_valid_i && lookup_i.owner == owner_q && lookup_i.granule == granule_q;
  logic [1:0] gone_q, look_q;  // of the lookups under way: of the watched granule, while the token is gone
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      there_q <= 1'b0;
      was_there_q <= 1'b0;
      gone_q <= '0;
      look_q <= '0;
    end else begin
      there_q <= (there_q && !retired) || installs;
      was_there_q <= was_there_q || (hit_valid && look_q[1] && hit.hit[token_q]);
      gone_q <= {gone_q[0], watched && !(there_q && !retired)};
      look_q <= {look_q[0], watched};
    end
  end

  always_ff @(posedge clk_i) begin
    // residency_ctrl issues one retire at a time.
    assume (!(retire_i.valid && sweep_busy));
    assume (!retire_i.valid || retire_i.first <= retire_i.last);
    if (past && rst_ni) begin
      if (Witness == 0) begin
        no_hit_after_retire : assert (!(hit_valid && gone_q[1] && hit.hit[token_q]));
        two_cycles : assert (hit_valid || !look_q[1]);
      end
      if (Witness == 1) hits : assert (!(look_q[1] && hit.hit[token_q]));
      if (Witness == 2) gone_again : assert (!(was_there_q && gone_q[1] && sweep_busy));
      if (Witness == 3) full : assert (free_entries > entries_t'(Entries - 2));
    end
  end

  logic unused;
  assign unused = ^{ack, ack_valid, next_ready, next_rsp_valid, next_rsp};

endmodule
