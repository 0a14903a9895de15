// SPDX-License-Identifier: Apache-2.0
// Serving software and compute side around a Bench, for many owners at once: physical blocks that are handed out,
// filled, moved, freed and used again; owners, prefixes, windows; commands on the command stream; row requests.
//
// Software here keeps the rules of docs/programming.md and may be in any order otherwise. What rows hold is known from
// the blocks alone: every block gets contents of its own each time it is handed out, and a row may come with any of the
// contents that its position had between the acceptance of the request and the delivery of the row, and no other. An
// error flag needs a reason of the same time: an owner or a length that was not there, an unmapped block, a bus error,
// a retire, a list that was not kept.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sw/models/residency_model.hpp"
#include "tb/system/instance.hpp"

namespace kvsink::tb {

struct EnvOptions {
  BenchOptions bench;
  uint32_t layers = 2, kv_heads = 2;
  uint32_t row_beats = 1;
  uint32_t page_tokens = 16;
  bool heads_outside = false;  // in a page; otherwise tokens outside heads
  uint32_t positions = 96;     // most of an owner
  uint32_t blocks = 0;         // physical; 0: twice what all owners of `owners` can hold
  uint32_t owners = 16;        // as many that the tests use: numbers 0 to owners - 1
  Registers registers;
};

/// A command as kvsink_pkg::cmd_t.
struct Command {
  uint8_t op = 0, flags = 0;
  uint32_t owner = 0, profile = 0, first = 0, count = 0;
  uint64_t arg0 = 0, arg1 = 0, arg2 = 0;
};
enum Opcode : uint8_t {
  kOpSetOwner = 1,
  kOpSetLength,
  kOpSetProfile,
  kOpPromote,
  kOpLetGo,
  kOpAbort,
  kOpRetire,
  kOpStepEnd,
  kOpOpen,
  kOpCommit,
  kOpPlan,
  kOpWait
};
struct Completion {
  model::Status status{};
  uint32_t value0 = 0;
  uint32_t cycles = 0;
};

class SystemEnv {
 public:
  using Then = std::function<void(const Completion&)>;
  struct OwnerSpec {
    uint32_t length = 0, committed = 0;
    uint32_t tenant = 0;
    bool is_public = false;
    int32_t prefix = -1;  // none
    uint32_t prefix_length = 0;
    uint32_t profile = 0, slot_min = 0, slot_max = 0xffff;
  };
  /// What software knows of an owner, from the completions that it has taken.
  struct OwnerView {
    bool valid = false;
    bool busy = false;  // a command that changes the owner or its table is under way
    OwnerSpec spec;
    uint32_t length = 0, committed = 0, level = 0;
  };

  /// Null with a message in `why`.
  static std::unique_ptr<SystemEnv> make(const EnvOptions& options, std::string& why);

  // ---- time
  void tick();
  [[nodiscard]] uint64_t cycle() const { return instance_->bench().cycle(); }
  void ticks(uint64_t count);
  /// Ticks until `done` says so; a difference (and false) after `limit` cycles.
  bool until(const char* what, const std::function<bool()>& done, uint64_t limit = 2'000'000);

  // ---- commands; each is under way until its completion was taken
  void send(const Command& command, Then then = {});
  Completion run(const Command& command);
  [[nodiscard]] std::size_t commands_open() const { return under_way_.size(); }
  // These keep the books of contents. They are not to be sent while `view(owner).busy`.
  void set_owner(uint32_t owner, const OwnerSpec& spec, const Then& then = {});
  void reset_owner(uint32_t owner, const Then& then = {});
  void set_length(uint32_t owner, uint32_t length, uint32_t committed, const Then& then = {});
  void open(uint32_t owner, const Then& then = {});
  void commit(uint32_t owner, uint32_t count, const Then& then = {});
  /// Gives pages other blocks with other contents: table first, then retire, then the old blocks are free.
  void move_pages(uint32_t owner, uint32_t page, uint32_t count, const Then& then = {});
  /// The same, but the pages have no block afterwards (map_page gives one).
  void unmap_page(uint32_t owner, uint32_t page, const Then& then = {});
  void map_page(uint32_t owner, uint32_t page);
  /// New contents for a row at or above the committed length. No request may be open that reads it.
  void rewrite(uint32_t owner, uint32_t position);
  /// Calls with completions: run() for the ones above.
  Completion set_owner_now(uint32_t owner, const OwnerSpec& spec);
  Completion reset_owner_now(uint32_t owner);
  static Command promote(uint32_t owner, uint32_t position, uint32_t profile, uint32_t dwell, uint64_t deadline = 0,
                         uint64_t not_before = 0);
  static Command range(Opcode op, uint32_t owner, uint32_t first, uint32_t count);
  static Command simple(Opcode op, uint32_t owner, uint8_t flags = 0);
  /// Through the registers, before anything runs.
  std::string set_profile(uint32_t profile, uint32_t layer_first, uint32_t layers, uint64_t heads, uint32_t planes,
                          uint32_t slot_first, uint32_t slot_count, uint32_t base);
  [[nodiscard]] uint32_t slot_beats(uint32_t layers, uint64_t heads, uint32_t planes) const;

  // ---- scores: a batch with these weights (position, weight) for one query; true when the scorer is free for it
  bool batch_open() const { return batch_owner_ >= 0; }
  void send_scores(uint32_t owner, uint32_t query, const std::vector<float>& weights);
  void batch_used() { batch_owner_ = -1; }
  [[nodiscard]] int32_t batch_owner() const { return batch_owner_; }

  // ---- requests; the id is chosen here
  uint8_t request(RowRequest r);
  [[nodiscard]] bool closed(uint8_t id) const { return info_[id].closed; }
  [[nodiscard]] bool refused(uint8_t id) const { return info_[id].refused; }
  [[nodiscard]] std::size_t requests_open() const { return requests_open_; }
  /// Open or waiting requests that may read an owner's own table.
  [[nodiscard]] bool is_read(uint32_t owner) const;
  std::function<void(const Row&)> on_row;
  std::function<void(const RowRequest&)> on_closed;

  // ---- faults
  /// Reads of [first, end) answer with errors until clear_faults().
  void fail_reads(uint64_t first, uint64_t end);
  void clear_faults();
  [[nodiscard]] uint64_t row_address(uint32_t owner, uint32_t position, uint32_t layer, uint32_t head,
                                     uint32_t plane) const;
  [[nodiscard]] bool mapped(uint32_t owner, uint32_t page) const {
    return books_[owner].life && books_[owner].life->pages[page].back().content;
  }
  [[nodiscard]] uint64_t table_address(uint32_t owner, uint32_t page) const;

  // ---- log, counters, end
  void drain();
  [[nodiscard]] const std::vector<model::LogRecord>& records() const { return records_; }
  /// Everything ends, everything leaves, nothing is owed, counters agree. All streams have to be taken by now.
  void finish();

  [[nodiscard]] OwnerView& view(uint32_t owner) { return views_[owner]; }
  [[nodiscard]] const Capabilities& caps() const { return instance_->caps(); }
  [[nodiscard]] const EnvOptions& options() const { return options_; }
  [[nodiscard]] Bench& bench() { return instance_->bench(); }
  [[nodiscard]] Host& host() { return instance_->host(); }
  [[nodiscard]] const RowCounts& rows() const { return instance_->rows().counts(); }
  [[nodiscard]] const ResidencyChecker& residency() const { return instance_->residency(); }
  [[nodiscard]] Differences& differences() { return differences_; }
  [[nodiscard]] uint64_t commands_done() const { return commands_done_; }
  [[nodiscard]] const std::map<model::Status, uint64_t>& statuses() const { return statuses_; }
  [[nodiscard]] uint32_t free_blocks() const { return static_cast<uint32_t>(free_.size()); }
  void fail(const std::string& what) { differences_.add("bench", cycle(), what); }

 private:
  static constexpr uint64_t kAlways = ~uint64_t{0};
  struct Content {
    uint32_t block = 0;
    uint64_t serial = 0;
    std::vector<uint16_t> version;
  };
  struct Mapping {
    std::shared_ptr<Content> content;  // null: unmapped
    uint64_t from = 0, to = kAlways;
  };
  struct Life {  // of a block table, from a set_owner to the next
    uint64_t table = 0;
    std::vector<std::deque<Mapping>> pages;
  };
  struct Context {
    uint64_t from = 0, to = kAlways;
    bool valid = false;
    int32_t prefix = -1;
    uint32_t prefix_length = 0, length = 0;
    std::shared_ptr<Life> life;
  };
  struct Books {
    std::deque<Context> contexts;
    std::shared_ptr<Life> life;
  };
  struct Retired {
    bool all = false;
    uint64_t owner = 0, first = 0, last = 0, cycle = 0;
  };
  struct FaultTime {
    uint64_t first = 0, end = 0, from = 0, to = kAlways;
  };
  struct RequestInfo {
    bool waiting = false, open = false, closed = true, refused = false;
    RowRequest request;
    uint64_t accepted = 0;
  };

  explicit SystemEnv(const EnvOptions& options) : options_(options) {}
  std::string set_up();
  std::string judge(const Row& row);
  /// Whether a row of one table may come like this; sets `reason` when an error flag has one.
  bool contents_allow(const Life& life, const Row& row, uint64_t since, bool& reason) const;
  [[nodiscard]] bool overtaken(const RowRequest& r, uint32_t position, uint64_t since) const;
  void fill_row(const Content& content, uint32_t layer, uint32_t plane, uint32_t token, uint32_t head,
                std::vector<uint8_t>& row) const;
  void write_content(const Content& content, uint32_t token);
  std::shared_ptr<Content> hand_out();
  void give_back(const std::shared_ptr<Life>& life);
  void write_word(Life& life, uint32_t page, const Content* content);
  [[nodiscard]] uint64_t address(const Content& content, uint32_t token, uint32_t layer, uint32_t head,
                                 uint32_t plane) const;
  [[nodiscard]] bool fault_touches(uint64_t first, uint64_t bytes, uint64_t since) const;
  void remap(uint32_t owner, uint32_t page, uint32_t count, bool unmapped, const Then& then);
  void change(uint32_t owner, Context next, const Command& command, std::function<void(bool)> after, const Then& then);
  void prune();

  EnvOptions options_;
  Differences differences_;
  std::unique_ptr<Instance> instance_;
  uint32_t row_bytes_ = 0, max_pages_ = 0;
  uint64_t tables_ = 0, table_bytes_ = 0, rows_base_ = 0, tensor_bytes_ = 0, block_bytes_ = 0;

  std::vector<Books> books_;
  std::vector<OwnerView> views_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> generation_;
  uint64_t serial_ = 0;
  std::deque<Retired> retired_;
  std::deque<FaultTime> faults_;
  std::vector<uint64_t> keep_end_;  // cycle of the last command that ends keeping, by owner
  uint64_t keep_end_all_ = 0;
  std::array<RequestInfo, 256> info_;
  uint8_t next_id_ = 0;
  std::size_t requests_open_ = 0;
  int32_t batch_owner_ = -1;

  struct UnderWay {
    uint8_t op = 0;
    Then then;
  };
  std::map<uint16_t, UnderWay> under_way_;
  uint16_t next_tag_ = 1;
  uint64_t commands_done_ = 0;
  std::map<model::Status, uint64_t> statuses_;
  std::vector<model::LogRecord> records_;
  mutable std::vector<uint8_t> scratch_;
};

}  // namespace kvsink::tb
