// SPDX-License-Identifier: Apache-2.0
// Dut for one Verilated class. Included once a configuration, by dut_<config>.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>
#include <string>

#include "tb/common/bits.hpp"
#include "tb/common/sim.hpp"
#include "tb/system/dut.hpp"

namespace kvsink::tb {

/// Between a port and the words of a fixed-size array, as many as the port has.
template <class P, std::size_t N>
void set_wide(P& port, const std::array<uint32_t, N>& words) {
  set_words(port, std::span(words).first(std::min(N, (sizeof(P) + 3) / 4)));
}
template <class P, std::size_t N>
void get_wide(const P& port, std::array<uint32_t, N>& words) {
  get_words(port, std::span(words).first(std::min(N, (sizeof(P) + 3) / 4)));
}

template <class Model>
class DutImpl final : public Dut {
 public:
  explicit DutImpl(uint64_t seed) : sim_(seed) {}

  void reset() override {
    // Reset asserts asynchronously, so the model has to see it fall: the synchroniser's state is random until then.
    sim_->rst_ni = 1;
    sim_.settle();
    sim_->rst_ni = 0;
    sim_.settle();
    for (int i = 0; i < 8; ++i) step();
    sim_->rst_ni = 1;
    for (int i = 0; i < 4; ++i) step();
  }

  void step() override {
    const ProbeScope scope(probe);
    probe.cycle = sim_.cycle();
    drive();
    sim_.settle();
    sample();
    sim_.edge();
  }

  [[nodiscard]] uint64_t cycle() const override { return sim_.cycle(); }

  bool open_fst(const std::string& path) override { return sim_.open_fst(path); }

  [[nodiscard]] Beat peek_sram(uint32_t address) override {
    Beat beat{};
    in_bank(address, [&](auto& memory, uint32_t word) { get_wide(memory[word], beat); });
    return beat;
  }
  void poke_sram(uint32_t address, const Beat& beat) override {
    in_bank(address, [&](auto& memory, uint32_t word) { set_wide(memory[word], beat); });
  }
  [[nodiscard]] uint32_t tag_entries() const override { return sizeof(tag_words()) * 8 / kWordBits; }
  [[nodiscard]] uint32_t peek_tag_word(uint32_t entry) override {
    return static_cast<uint32_t>(get_bits(tag_words(), size_t{entry} * kWordBits, kWordBits));
  }
  void poke_tag_word(uint32_t entry, uint32_t word) override {
    set_bits(tag_words(), size_t{entry} * kWordBits, kWordBits, word);
  }

 private:
  void drive() {
    Model& m = *sim_;
    m.req_valid_i = in.req_valid;
    if (in.req_valid) {
      m.req_id_i = in.req.id;
      m.req_owner_i = in.req.owner;
      m.req_layer_i = in.req.layer;
      m.req_head_i = in.req.head;
      m.req_planes_i = in.req.planes;
      m.req_by_granule_i = in.req.by_granule;
      m.req_first_i = in.req.first;
      m.req_count_i = in.req.count;
      m.req_mask_i = in.req.mask;
      m.req_keep_i = in.req.keep;
      m.req_follow_i = in.req.follow;
      m.req_follow_id_i = in.req.follow_id;
      m.req_bulk_only_i = in.req.bulk_only;
    }
    m.sink_ready_i = in.sink_ready;
    m.bulk_ready_i = in.bulk_ready;
    m.score_valid_i = in.score_valid;
    if (in.score_valid) {
      m.score_owner_i = in.score.owner;
      m.score_layer_i = in.score.layer;
      m.score_q_head_i = in.score.q_head;
      m.score_query_pos_i = in.score.query_pos;
      m.score_column_sum_i = in.score.column_sum;
      m.score_first_i = in.score.first;
      m.score_strobe_i = in.score.strobe;
      set_wide(m.score_weight_i, in.score.weight);
      m.score_last_i = in.score.last;
    }
    m.partial_valid_i = in.partial_valid;
    if (in.partial_valid) {
      m.partial_id_i = in.partial.id;
      m.partial_first_i = in.partial.first;
      m.partial_last_partial_i = in.partial.last_partial;
      m.partial_is_sink_i = in.partial.is_sink;
      m.partial_lse_i = in.partial.lse;
      m.partial_base2_i = in.partial.base2;
      m.partial_fmt_i = in.partial.fmt;
      m.partial_beats_i = in.partial.beats;
      set_wide(m.partial_data_i, in.partial.data);
    }
    m.out_ready_i = in.out_ready;
    m.cmd_valid_i = in.cmd_valid;
    set_wide(m.cmd_data_i, in.cmd);
    m.done_ready_i = in.done_ready;
    m.m_axi_arready_i = in.arready;
    m.m_axi_rvalid_i = in.r.valid;
    if (in.r.valid) {
      m.m_axi_rid_i = in.r.id;
      m.m_axi_rresp_i = in.r.resp;
      m.m_axi_rlast_i = in.r.last;
      set_wide(m.m_axi_rdata_i, in.r.data);
    }
    m.s_axil_awvalid_i = in.awvalid;
    m.s_axil_awaddr_i = in.awaddr;
    m.s_axil_awprot_i = 0;
    m.s_axil_wvalid_i = in.wvalid;
    m.s_axil_wdata_i = in.wdata;
    m.s_axil_wstrb_i = 0xf;
    m.s_axil_bready_i = in.bready;
    m.s_axil_arvalid_i = in.lite_arvalid;
    m.s_axil_araddr_i = in.lite_araddr;
    m.s_axil_arprot_i = 0;
    m.s_axil_rready_i = in.lite_rready;
  }

  template <class V, class I, class P, class Po, class E, class L, class D>
  static void sample_rows(RowBeat& to, V valid, I id, E is_end, P plane, Po position, E error, L last, const D& data) {
    if (!valid) return;
    to.id = static_cast<uint8_t>(id);
    to.is_end = is_end != 0;
    to.plane = static_cast<uint8_t>(plane);
    to.position = static_cast<uint32_t>(position);
    to.error = error != 0;
    to.last = last != 0;
    get_wide(data, to.data);
  }

  void sample() {
    Model& m = *sim_;
    out.req_ready = m.req_ready_o;
    out.sink_valid = m.sink_valid_o;
    sample_rows(out.sink, m.sink_valid_o, m.sink_id_o, m.sink_is_end_o, m.sink_plane_o, m.sink_position_o,
                m.sink_error_o, m.sink_last_o, m.sink_data_o);
    out.bulk_valid = m.bulk_valid_o;
    sample_rows(out.bulk, m.bulk_valid_o, m.bulk_id_o, m.bulk_is_end_o, m.bulk_plane_o, m.bulk_position_o,
                m.bulk_error_o, m.bulk_last_o, m.bulk_data_o);
    out.score_ready = m.score_ready_o;
    out.partial_ready = m.partial_ready_o;
    out.out_valid = m.out_valid_o;
    if (m.out_valid_o) {
      out.out.id = m.out_id_o;
      out.out.first = m.out_first_o;
      out.out.last = m.out_last_o;
      out.out.lse = m.out_lse_o;
      out.out.nan = m.out_nan_o;
      out.out.sink_mass = m.out_sink_mass_o;
      out.out.fmt = m.out_fmt_o;
      get_wide(m.out_data_o, out.out.data);
    }
    out.cmd_ready = m.cmd_ready_o;
    out.done_valid = m.done_valid_o;
    if (m.done_valid_o) get_wide(m.done_data_o, out.done);
    out.ar.valid = m.m_axi_arvalid_o;
    out.ar.id = m.m_axi_arid_o;
    out.ar.addr = m.m_axi_araddr_o;
    out.ar.len = m.m_axi_arlen_o;
    out.ar.size = m.m_axi_arsize_o;
    out.ar.burst = m.m_axi_arburst_o;
    out.rready = m.m_axi_rready_o;
    out.awready = m.s_axil_awready_o;
    out.wready = m.s_axil_wready_o;
    out.bvalid = m.s_axil_bvalid_o;
    out.bresp = m.s_axil_bresp_o;
    out.lite_arready = m.s_axil_arready_o;
    out.lite_rvalid = m.s_axil_rvalid_o;
    out.lite_rresp = m.s_axil_rresp_o;
    out.lite_rdata = m.s_axil_rdata_o;
    out.irq = m.irq_o;
  }

  // tb/system/inside.vlt makes these reachable; the banks of slot_sram interleave by the low bits of the address.
  static constexpr uint32_t kWordBits = 31;
#define KVSINK_INSIDE(path) sim_->rootp->kvsink_synth__DOT__u_top__DOT__##path
#ifdef KVSINK_DUT_GATES  // a netlist: its banks have plain names, its tag words are single flip-flops
#define KVSINK_BANK(n) KVSINK_INSIDE(u_move__DOT__u_sram__DOT__gen_bank_##n##_u_ram__DOT__mem)
#else
#define KVSINK_BANK(n) KVSINK_INSIDE(u_move__DOT__u_sram__DOT__gen_bank__BRA__##n##__KET____DOT__u_ram__DOT__mem)
#endif
  template <class Use>
  void in_bank(uint32_t address, Use use) {
    switch (address % 4) {
      case 0:
        return use(KVSINK_BANK(0), address / 4);
      case 1:
        return use(KVSINK_BANK(1), address / 4);
      case 2:
        return use(KVSINK_BANK(2), address / 4);
      default:
        return use(KVSINK_BANK(3), address / 4);
    }
  }
#ifdef KVSINK_DUT_GATES
  std::array<uint32_t, 1>& tag_words() const { throw std::logic_error("a netlist has no tag words to look at"); }
#else
  auto& tag_words() const { return KVSINK_INSIDE(u_move__DOT__u_tags__DOT__word_q); }
#endif
#undef KVSINK_BANK
#undef KVSINK_INSIDE

  mutable Sim<Model> sim_;
};

}  // namespace kvsink::tb
