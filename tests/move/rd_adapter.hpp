// SPDX-License-Identifier: Apache-2.0
// Puts the promotion DMA and its read port (in tb/move/movement_tb.sv) behind the interface of a read-DMA bench that
// takes any design: one transfer after the other, each of `len` bytes at an address of its own.
//
// The DMA does not take transfers but tokens: one descriptor for all rows of a token. So each descriptor stands for a
// group of transfers: a profile of 32 layers, one head and four planes of `len` bytes, each (layer, plane) a tensor of
// its own whose base is the address of one transfer. Four profiles take turns: while one is filled, one base a cycle,
// the others are being read. The data are checked where they leave the DMA: at the write port of the slots.
//
// Needs transfers in multiples of four, and of whole beats up to 1,152 bytes.
#pragma once

#include <VMovement.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

struct Dut {
  static constexpr unsigned BYTES = 32;

  Dut() : context_(std::make_unique<VerilatedContext>()), top_(std::make_unique<VMovement>(context_.get())) {}

  void reset(bool on) {
    top_->rst_ni = !on;
    if (!on) return;
    VMovement& t = *top_;
    t.cfg_we_i = t.base_we_i = t.own_we_i = t.retire_valid_i = t.fence_i = t.cmd_valid_i = 0;
    t.desc_valid_i = t.abort_valid_i = t.req_valid_i = 0;
    t.sink_ready_i = t.bulk_ready_i = 1;
  }
  void clock(bool v) {
    top_->clk_i = v;
    top_->eval();
  }
  void request(bool valid, uint64_t addr, uint32_t len) {
    valid_ = valid;
    addr_ = addr;
    if (valid && bytes_ == 0) configure(len);
    more_ = more_ || valid;
  }
  [[nodiscard]] bool request_ready() const { return taking_; }
  [[nodiscard]] bool ar_valid() const { return top_->m_axi_arvalid_o != 0; }
  [[nodiscard]] uint64_t ar_addr() const { return top_->m_axi_araddr_o; }
  [[nodiscard]] unsigned ar_len() const { return top_->m_axi_arlen_o; }
  [[nodiscard]] unsigned ar_size() const { return top_->m_axi_arsize_o; }
  [[nodiscard]] unsigned ar_id() const { return top_->m_axi_arid_o; }
  void ar_ready(bool ready) { top_->m_axi_arready_i = ready; }
  void r(bool valid, unsigned id, const uint64_t* lanes, bool last) {
    top_->m_axi_rvalid_i = valid;
    top_->m_axi_rid_i = static_cast<uint8_t>(id);
    top_->m_axi_rresp_i = 0;
    top_->m_axi_rlast_i = last;
    for (unsigned i = 0; valid && i < BYTES / 8; ++i) {
      top_->m_axi_rdata_i[2 * i] = static_cast<uint32_t>(lanes[i]);
      top_->m_axi_rdata_i[2 * i + 1] = static_cast<uint32_t>(lanes[i] >> 32);
    }
  }
  [[nodiscard]] bool r_ready() const { return top_->m_axi_rready_o != 0; }

  /// Sets what belongs to this cycle: a setting, a base for the transfer that is offered, a descriptor for a full
  /// group.
  void drive() {
    VMovement& t = *top_;
    t.cfg_we_i = !settings_.empty();
    if (!settings_.empty()) {
      t.cfg_addr_i = settings_.front().first;
      t.cfg_data_i = settings_.front().second;
    }
    Group& g = groups_[filling_];
    taking_ = valid_ && bytes_ != 0 && settings_.empty() && !g.full && quiet_ == 0;
    t.base_we_i = taking_;
    if (taking_) {
      t.base_layer_i = filling_ * kLayers + static_cast<unsigned>(g.addr.size()) / kPlanes;
      t.base_tensor_i = static_cast<uint8_t>(g.addr.size() % kPlanes);
      t.base_wdata_i = addr_;
    }
    t.desc_valid_i = !queue_.empty() && settings_.empty() && quiet_ == 0;
    if (!queue_.empty()) {
      t.desc_slot_i = static_cast<uint16_t>(queue_.front());
      t.desc_profile_i = static_cast<uint8_t>(queue_.front());
      t.desc_owner_i = 0;
      t.desc_position_i = 0;
      t.desc_word_i = 0;
      t.desc_sram_base_i = queue_.front() * kRows * beats_;
      t.desc_tier_i = 0;
      t.desc_deadline_i = 0;
    }
    t.eval();
  }

  /// What the cycle brought, before its edge.
  void sink(uint64_t now) {
    VMovement& t = *top_;
    if (t.sram_wr_valid_o != 0) {
      if (first_out_ < 0) first_out_ = static_cast<int64_t>(now);
      const unsigned at = t.sram_wr_addr_o;
      Group& g = groups_[at / (kRows * beats_) % kGroups];
      const unsigned row = at / beats_ % kRows;
      ++out_beats_;
      if (!g.full || row >= g.addr.size()) {
        ++errors_;
      } else {
        const uint64_t from = g.addr[row] + uint64_t{at % beats_} * BYTES;
        for (unsigned i = 0; i < BYTES / 8; ++i) {
          const uint64_t got = uint64_t{t.sram_wr_data_o[2 * i + 1]} << 32 | t.sram_wr_data_o[2 * i];
          if (got != word_at(from + 8 * i)) ++errors_;
        }
        if (++g.beats[row] > beats_) ++errors_;
      }
    }
    if (t.end_valid_o != 0) {
      Group& g = groups_[t.end_slot_o];
      if (t.end_status_o != 0) ++errors_;
      for (size_t i = 0; i < g.addr.size(); ++i) errors_ += g.beats[i] != beats_;
      done_ += g.addr.size();
      g = Group{};
    }
    if (t.desc_valid_i != 0 && t.desc_ready_o != 0) queue_.pop_front();
    if (!settings_.empty()) {
      settings_.pop_front();
      if (settings_.empty()) quiet_ = 18;  // layout and profiles are in force 16 cycles later
    } else if (quiet_ != 0) {
      --quiet_;
    }
    Group& g = groups_[filling_];
    if (taking_) {
      g.addr.push_back(addr_);
      if (g.addr.size() == kRows) send();
    } else if (more_ && !valid_ && !g.addr.empty() && !g.full) {
      // The last transfers do not fill the group: as many layers as there are.
      if (g.addr.size() % kPlanes != 0) {
        std::fprintf(stderr, "rd_adapter: the number of transfers is no multiple of %u\n", kPlanes);
        std::exit(2);
      }
      settings_.emplace_back(64 + 16 * filling_ + 2, g.addr.size() / kPlanes);
      send();
    }
  }

  [[nodiscard]] uint64_t out_beats() const { return out_beats_; }
  [[nodiscard]] uint64_t out_errors() const { return errors_; }
  [[nodiscard]] uint64_t done() const { return done_; }
  [[nodiscard]] int64_t first_out() const { return first_out_; }

 private:
  static constexpr unsigned kGroups = 4;
  static constexpr unsigned kLayers = 32;
  static constexpr unsigned kPlanes = 4;
  static constexpr unsigned kRows = kLayers * kPlanes;
  struct Group {
    std::vector<uint64_t> addr;
    std::array<unsigned, kRows> beats{};
    bool full = false;
  };

  void send() {
    groups_[filling_].full = true;
    queue_.push_back(filling_);
    filling_ = (filling_ + 1) % kGroups;
  }

  /// Registers of movement_tb: the layout, and a profile a group.
  void configure(uint32_t len) {
    if (len % BYTES != 0 || len > 1152) {
      std::fprintf(stderr, "rd_adapter: %u bytes is no row\n", len);
      std::exit(2);
    }
    bytes_ = len;
    beats_ = len / BYTES;
    const auto set = [&](unsigned at, uint64_t value) { settings_.emplace_back(at, value); };
    set(0, 4);
    set(1, 24);
    set(2, kGroups * kLayers);
    set(3, 2);
    for (uint64_t p = 0; p < kPlanes; ++p)
      set(32 + static_cast<unsigned>(p), uint64_t{beats_} << 32 | p << 48 | 1ULL << 55);
    for (unsigned g = 0; g < kGroups; ++g) {
      const unsigned at = 64 + 16 * g;
      set(at + 1, uint64_t{g} * kLayers);
      set(at + 2, kLayers);
      set(at + 3, 1);
      set(at + 4, (1U << kPlanes) - 1);
      set(at + 5, uint64_t{kPlanes} * beats_);
      set(at + 6, uint64_t{kPlanes} * beats_);
      set(at + 7, g);
      set(at + 8, 1);
      set(at + 9, uint64_t{g} * kRows * beats_);
      set(at + 10, uint64_t{kRows} * beats_);
      for (unsigned p = 0; p < kPlanes; ++p) set(192 + 8 * g + p, uint64_t{p} * beats_);
      set(at, 1);
    }
  }

  std::unique_ptr<VerilatedContext> context_;
  std::unique_ptr<VMovement> top_;
  bool valid_ = false;
  bool more_ = false;
  bool taking_ = false;
  uint64_t addr_ = 0;
  uint32_t bytes_ = 0;
  uint32_t beats_ = 1;
  unsigned quiet_ = 0;  // cycles until a setting is in force
  std::deque<std::pair<uint16_t, uint64_t>> settings_;
  std::array<Group, kGroups> groups_;
  unsigned filling_ = 0;
  std::deque<unsigned> queue_;  // groups that wait for their descriptor to be taken
  uint64_t out_beats_ = 0;
  uint64_t errors_ = 0;
  uint64_t done_ = 0;
  int64_t first_out_ = -1;
};
