// SPDX-License-Identifier: Apache-2.0
// The profiles, and the command set_profile: checks it, works out the sizes that follow from masks and layout, and
// stores it.
//
// Contract: start_i with cmd_i held until done_o; done_o comes once, 3 to about 80 cycles later, with status_o. The
// profile changes in the cycle before done_o. in_use_i: its slots are used, or an owner with a minimum names it.
// One adder does all products, a bit a cycle: profiles are set rarely.

module residency_profiles
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input layout_cfg_t layout_i,

    input  logic    start_i,
    input  cmd_t    cmd_i,
    input  logic    in_use_i,
    output logic    done_o,
    output status_e status_o,

    output profile_cfg_t [Profiles-1:0]      profiles_o,
    output logic         [Profiles-1:0][2:0] share_o      // log2 of the tokens that share a row, over its planes
);

  localparam int unsigned BeatsW = $clog2(SramBeats) + 1;
  localparam int unsigned AccW = 40;  // no product of legal fields reaches it
  localparam int unsigned FactorW = $clog2(Slots) + 1;
  localparam int unsigned FactorBits = (FactorW > 8) ? FactorW : 8;
  typedef logic [AccW-1:0] acc_t;
  typedef logic [FactorBits-1:0] factor_t;

  typedef enum logic [2:0] {
    PfIdle,
    PfCheck,
    PfPlanes,
    PfLayer,   // heads * head_beats
    PfSlot,    // layers * layer_beats
    PfRegion,  // slots * slot_beats
    PfPlace,
    PfDone
  } state_e;

  state_e state_q, state_d;
  profile_cfg_t [Profiles-1:0] profiles_q;
  logic [Profiles-1:0][BeatsW-1:0] end_q;  // end of the region in the SRAM
  logic [Profiles-1:0][2:0] share_q;

  profile_cfg_t new_q, new_d;
  logic [2:0] new_share_q, new_share_d;
  logic [2:0] plane_q, plane_d;
  acc_t acc_q, acc_d, addend_q, addend_d;
  factor_t factor_q, factor_d;
  status_e status_q, status_d;
  logic store, clear;

  // ---- the command's fields, as they came
  logic [15:0] f_layer_first, f_layer_count, f_slot_first, f_slot_count;
  logic [31:0] f_sram_base;
  logic [63:0] f_heads;
  logic [ 7:0] f_planes;
  assign f_layer_first = cmd_i.arg0[15:0];
  assign f_layer_count = cmd_i.arg0[31:16];
  assign f_planes = cmd_i.arg0[39:32];
  assign f_heads = cmd_i.arg1;
  assign f_slot_first = cmd_i.arg2[15:0];
  assign f_slot_count = cmd_i.arg2[31:16];
  assign f_sram_base = cmd_i.arg2[63:32];

  profile_t number;
  assign number = profile_t'(cmd_i.profile);

  logic [Planes-1:0] planes_there;
  logic bad_fields;
  always_comb begin
    for (int unsigned i = 0; i < Planes; i++) planes_there[i] = layout_i.plane[i].valid;
    bad_fields = f_layer_count == '0 || 17'(f_layer_first) + 17'(f_layer_count) > 17'(layout_i.layers) ||
        f_heads == '0 || (KvHeads < 64 && (f_heads >> KvHeads) != '0) || f_planes == '0 ||
        (f_planes & ~planes_there) != '0 || f_slot_count == '0 ||
        17'(f_slot_first) + 17'(f_slot_count) > 17'(Slots) || f_sram_base >= 32'(SramBeats);
  end

  logic [6:0] heads;
  always_comb begin
    heads = '0;
    for (int unsigned i = 0; i < KvHeads; i++) heads += 7'(new_q.head_mask[i]);
  end

  // ---- overlap with another profile, of rows or of SRAM
  acc_t region_end;
  logic overlap;
  assign region_end = AccW'(new_q.sram_base) + acc_q;
  always_comb begin
    overlap = 1'b0;
    for (int unsigned i = 0; i < Profiles; i++) begin
      if (profiles_q[i].valid && number != profile_t'(i)) begin
        if (17'(new_q.slot_first) < 17'(profiles_q[i].slot_first) + 17'(profiles_q[i].slot_count) &&
            17'(profiles_q[i].slot_first) < 17'(new_q.slot_first) + 17'(new_q.slot_count))
          overlap = 1'b1;
        if (BeatsW'(new_q.sram_base) < end_q[i] && AccW'(profiles_q[i].sram_base) < region_end) overlap = 1'b1;
      end
    end
  end

  // ---- a product: acc = sum of addend << i over the set bits i of factor
  acc_t acc_step;
  logic mul_last;
  assign acc_step = acc_q + (factor_q[0] ? addend_q : '0);
  assign mul_last = (factor_q >> 1) == '0;

  always_comb begin
    state_d = state_q;
    new_d = new_q;
    new_share_d = new_share_q;
    plane_d = plane_q;
    acc_d = acc_q;
    addend_d = addend_q;
    factor_d = factor_q;
    status_d = status_q;
    store = 1'b0;
    clear = 1'b0;
    unique case (state_q)
      PfIdle:  if (start_i) state_d = PfCheck;
      PfCheck: begin
        state_d = PfDone;
        status_d = StOk;
        plane_d = '0;
        acc_d = '0;
        new_share_d = '0;
        new_d = '0;
        new_d.valid = 1'b1;
        new_d.layer_first = layer_t'(f_layer_first);
        new_d.layer_count = layers_t'(f_layer_count);
        new_d.head_mask = head_mask_t'(f_heads);
        new_d.plane_mask = f_planes;
        new_d.slot_first = slot_t'(f_slot_first);
        new_d.slot_count = slots_t'(f_slot_count);
        new_d.sram_base = sram_addr_t'(f_sram_base);
        if (cmd_i.profile >= 16'(Profiles)) status_d = StBadProfile;
        else if (in_use_i) status_d = StBusy;
        else if (!cmd_i.flags[0]) clear = 1'b1;
        else if (bad_fields) status_d = StBadProfile;
        else state_d = PfPlanes;
      end
      PfPlanes: begin
        new_d.plane_beat[plane_q] = BeatsW'(acc_q);
        if (new_q.plane_mask[plane_q]) begin
          acc_d = acc_q + AccW'(layout_i.plane[plane_q].row_beats);
          if (layout_i.plane[plane_q].share_log2 > new_share_q) new_share_d = layout_i.plane[plane_q].share_log2;
        end
        plane_d = plane_q + 3'd1;
        if (plane_q == 3'(Planes - 1)) begin
          new_d.head_beats = BeatsW'(acc_d);
          addend_d = acc_d;
          factor_d = factor_t'(heads);
          acc_d = '0;
          state_d = PfLayer;
        end
      end
      PfLayer, PfSlot, PfRegion: begin
        acc_d = acc_step;
        addend_d = addend_q << 1;
        factor_d = factor_q >> 1;
        if (mul_last) begin
          if (state_q == PfLayer) begin
            new_d.layer_beats = BeatsW'(acc_step);
            factor_d = factor_t'(new_q.layer_count);
            state_d = PfSlot;
          end else begin
            if (state_q == PfSlot) new_d.slot_beats = BeatsW'(acc_step);
            factor_d = factor_t'(new_q.slot_count);
            state_d  = (state_q == PfSlot) ? PfRegion : PfPlace;
          end
          if (state_q != PfRegion) begin
            addend_d = acc_step;
            acc_d = '0;
            if (acc_step > AccW'(SramBeats) || acc_step == '0) begin
              status_d = StBadProfile;
              state_d  = PfDone;
            end
          end
        end
      end
      PfPlace: begin
        state_d = PfDone;
        if (region_end > AccW'(SramBeats) || overlap) status_d = StBadProfile;
        else store = 1'b1;
      end
      default: state_d = PfIdle;  // PfDone
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= PfIdle;
      profiles_q <= '0;
      share_q <= '0;
    end else begin
      state_q <= state_d;
      if (clear) profiles_q[number] <= '0;
      if (clear) share_q[number] <= '0;
      if (store) profiles_q[number] <= new_q;
      if (store) share_q[number] <= new_share_q;
    end
  end

  always_ff @(posedge clk_i) begin
    new_q <= new_d;
    new_share_q <= new_share_d;
    plane_q <= plane_d;
    acc_q <= acc_d;
    addend_q <= addend_d;
    factor_q <= factor_d;
    status_q <= status_d;
    if (store) end_q[number] <= BeatsW'(region_end);
  end

  assign done_o = state_q == PfDone;
  assign status_o = status_q;
  assign profiles_o = profiles_q;
  assign share_o = share_q;

endmodule
