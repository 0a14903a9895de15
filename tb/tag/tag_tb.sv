// SPDX-License-Identifier: Apache-2.0
// sink_tag_array with plain ports for its test; fields of one width in every configuration.

module tag_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    output logic [31:0] cfg_entries_o,
    output logic [31:0] cfg_profiles_o,
    output logic [31:0] cfg_owners_o,
    output logic [31:0] cfg_positions_o,
    output logic [31:0] cfg_slots_o,
    output logic [31:0] cfg_layers_o,
    output logic [31:0] cfg_heads_o,

    input logic        prof_valid_i      [Profiles],
    input logic [31:0] prof_layer_first_i[Profiles],
    input logic [31:0] prof_layer_count_i[Profiles],
    input logic [63:0] prof_heads_i      [Profiles],
    input logic [ 7:0] prof_planes_i     [Profiles],

    input  logic        retire_valid_i,
    input  logic        retire_all_i,
    input  logic [31:0] retire_owner_i,
    input  logic [31:0] retire_first_i,
    input  logic [31:0] retire_last_i,
    output logic        sweep_busy_o,
    output logic [31:0] free_entries_o,

    input  logic        next_valid_i,
    output logic        next_ready_o,
    input  logic [31:0] next_owner_i,
    input  logic [31:0] next_from_i,
    input  logic [31:0] next_to_i,
    output logic        next_rsp_valid_o,
    output logic        next_found_o,
    output logic [31:0] next_granule_o,

    input  logic        lookup_valid_i,
    input  logic [31:0] lookup_owner_i,
    input  logic [31:0] lookup_granule_i,
    input  logic [31:0] lookup_word_i,
    input  logic [31:0] lookup_layer_i,
    input  logic [31:0] lookup_head_i,
    input  logic [ 7:0] lookup_planes_i,
    output logic        hit_valid_o,
    output logic [15:0] hit_o,
    output logic [15:0] hit_slot_o      [GranuleTokens],
    output logic [ 7:0] hit_profile_o   [GranuleTokens],

    input  logic        cmd_valid_i,
    output logic        cmd_ready_o,
    input  logic [ 2:0] cmd_op_i,
    input  logic [31:0] cmd_owner_i,
    input  logic [31:0] cmd_granule_i,
    input  logic [ 3:0] cmd_token_i,
    input  logic [31:0] cmd_entry_i,
    input  logic [31:0] cmd_slot_i,
    input  logic [31:0] cmd_profile_i,
    input  logic [31:0] cmd_word_i,
    input  logic [31:0] cmd_watermark_i,
    output logic        ack_valid_o,
    output logic [ 7:0] ack_status_o,
    output logic [31:0] ack_entry_o,
    output logic [31:0] ack_slot_o
);

  assign cfg_entries_o = Entries;
  assign cfg_profiles_o = Profiles;
  assign cfg_owners_o = Owners;
  assign cfg_positions_o = Positions;
  assign cfg_slots_o = Slots;
  assign cfg_layers_o = Layers;
  assign cfg_heads_o = KvHeads;

  profile_cfg_t [Profiles-1:0] profiles;
  always_comb begin
    profiles = '0;
    for (int unsigned p = 0; p < Profiles; p++) begin
      profiles[p].valid = prof_valid_i[p];
      profiles[p].layer_first = layer_t'(prof_layer_first_i[p]);
      profiles[p].layer_count = layers_t'(prof_layer_count_i[p]);
      profiles[p].head_mask = head_mask_t'(prof_heads_i[p]);
      profiles[p].plane_mask = prof_planes_i[p];
    end
  end

  retire_t retire;
  assign retire = '{
          valid: retire_valid_i,
          all: retire_all_i,
          owner: owner_t'(retire_owner_i),
          first: pos_t'(retire_first_i),
          last: pos_t'(retire_last_i)
      };

  tag_next_req_t next;
  tag_next_rsp_t next_rsp;
  assign next = '{owner: owner_t'(next_owner_i), from : gran_t'(next_from_i), to: gran_t'(next_to_i)};
  assign next_found_o = next_rsp.found;
  assign next_granule_o = 32'(next_rsp.granule);

  tag_lookup_t lookup;
  tag_hit_t hit;
  assign lookup = '{
          owner: owner_t'(lookup_owner_i),
          granule: gran_t'(lookup_granule_i),
          word: word_t'(lookup_word_i),
          layer: layer_t'(lookup_layer_i),
          head: kv_head_t'(lookup_head_i),
          planes: lookup_planes_i
      };
  assign hit_o = hit.hit;
  for (genvar t = 0; t < GranuleTokens; t++) begin : gen_hit
    assign hit_slot_o[t] = 16'(hit.slot[t]);
    assign hit_profile_o[t] = 8'(hit.profile[t]);
  end

  tag_cmd_t cmd;
  tag_ack_t ack;
  entries_t free_entries;
  assign cmd = '{
          op: tag_op_e'(cmd_op_i),
          owner: owner_t'(cmd_owner_i),
          granule: gran_t'(cmd_granule_i),
          token: cmd_token_i,
          entry: entry_t'(cmd_entry_i),
          slot: slot_t'(cmd_slot_i),
          profile: profile_t'(cmd_profile_i),
          word: word_t'(cmd_word_i),
          watermark: layers_t'(cmd_watermark_i)
      };
  assign ack_status_o = ack.status;
  assign ack_entry_o = 32'(ack.entry);
  assign ack_slot_o = 32'(ack.slot);
  assign free_entries_o = 32'(free_entries);

  logic unused;  // positions of the flat ports beyond the widths of this configuration
  assign unused = ^{retire_owner_i, retire_first_i, retire_last_i, next_owner_i, next_from_i, next_to_i, lookup_owner_i,
      lookup_granule_i, lookup_word_i, lookup_layer_i, lookup_head_i, cmd_owner_i, cmd_granule_i, cmd_entry_i,
      cmd_slot_i, cmd_profile_i, cmd_word_i, cmd_watermark_i};

  sink_tag_array u_dut (
      .clk_i,
      .rst_ni,
      .profiles_i    (profiles),
      .retire_i      (retire),
      .sweep_busy_o,
      .free_entries_o(free_entries),
      .next_valid_i,
      .next_ready_o,
      .next_i        (next),
      .next_rsp_valid_o,
      .next_rsp_o    (next_rsp),
      .lookup_valid_i,
      .lookup_i      (lookup),
      .hit_valid_o,
      .hit_o         (hit),
      .cmd_valid_i,
      .cmd_ready_o,
      .cmd_i         (cmd),
      .ack_valid_o,
      .ack_o         (ack)
  );

endmodule
