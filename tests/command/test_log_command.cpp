// SPDX-License-Identifier: Apache-2.0
// The log file and the command that reads it: what was changed, taken away or put in is found and named.
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "sw/models/event_log_file.hpp"
#include "tb/common/rng.hpp"
#include "tests/trace/trace_file.hpp"

namespace {

using kvsink::model::LogChain;
using kvsink::model::LogFile;
using kvsink::model::LogRecord;
using kvsink::test::TempFolder;
using Verdict = LogChain::Verdict;
namespace model = kvsink::model;

constexpr std::size_t kHeader = model::kLogHeaderBytes;
constexpr std::size_t kRecord = model::kLogRecordBytes;

/// A whole log of random records.
LogFile random_log(uint32_t count, uint64_t seed) {
  kvsink::tb::Rng rng(seed);
  LogFile log;
  uint64_t time = 100;
  for (uint32_t i = 1; i <= count; ++i) {
    LogRecord r;
    r.sequence = i;
    r.time = time += 1 + rng.below(500);
    r.kind = static_cast<uint8_t>(1 + rng.below(7));
    r.cause = static_cast<uint8_t>(rng.below(26));
    r.owner = static_cast<uint16_t>(rng.below(4));
    r.position = static_cast<uint32_t>(rng.below(200));
    r.word = static_cast<uint32_t>(rng.bits(31));
    r.slot = static_cast<uint16_t>(rng.below(32));
    r.crc = model::log_crc(log.last_crc, r);
    log.last_crc = r.crc;
    log.last_sequence = i;
    log.records.push_back(r);
  }
  return log;
}

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void spill(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// What reading and verifying says: "" whole, "bad" no log, else which record.
std::string finding(const std::string& path) {
  const auto log = model::read_log(path);
  if (!log) {
    CHECK(log.error().message.find('\n') == std::string::npos);
    CHECK(log.error().message.find(path) != std::string::npos);
    return "bad";
  }
  const auto found = model::verify(*log);
  return found ? (log->cut == 0 ? "" : "cut") : found.text();
}

struct Outcome {
  int status;
  std::string out, err;
};
Outcome run(const TempFolder& folder, const std::string& arguments) {
  const std::string line = "'" KVSINK_COMMAND "' " + arguments + " >'" + (folder / "stdout") + "' 2>'" +
                           (folder / "stderr") + "' </dev/null";
  const int status = std::system(line.c_str());  // NOLINT(cert-env33-c): a test runs what it built
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(folder / "stdout"), slurp(folder / "stderr")};
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a log file whose bytes are changed, one at a time, names the record, and a header the file",
          "[log][command]") {
  const TempFolder folder;
  const std::string path = folder / "a.log";
  const LogFile log = random_log(12, kvsink::tb::seed_from_env());
  REQUIRE(model::write_log(path, log));
  REQUIRE(finding(path).empty());
  const auto back = model::read_log(path);
  REQUIRE(back);
  CHECK(back->records == log.records);
  CHECK(back->last_sequence == log.last_sequence);
  const std::string whole = slurp(path);
  REQUIRE(whole.size() == kHeader + 12 * kRecord);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int change : {1, 0x80}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      spill(path, bytes);
      CAPTURE(at, change);
      const auto found = finding(path);
      if (at < kHeader) {
        CHECK(found == "bad");
      } else {
        const std::size_t record = (at - kHeader) / kRecord + 1;
        CHECK(found == "log record " + std::to_string(record) + " was altered");
      }
    }
  }
}

TEST_CASE("a log file without a record, with one twice, in another order or cut names the first", "[log][command]") {
  const TempFolder folder;
  const std::string path = folder / "a.log";
  const LogFile log = random_log(10, 5);
  const auto says = [&](const LogFile& changed) {
    REQUIRE(model::write_log(path, changed));
    return finding(path);
  };
  for (uint32_t i = 0; i < 10; ++i) {
    LogFile without = log;
    without.records.erase(without.records.begin() + i);
    CHECK(says(without) == "log record " + std::to_string(i + 1) + " is missing");
    LogFile twice = log;
    twice.records.insert(twice.records.begin() + i, log.records[i]);
    CHECK(says(twice) == "log record " + std::to_string(i + 1) + " comes again");
    LogFile tail = log;  // by the register pair
    tail.records.resize(i);
    CHECK(says(tail) == "log record " + std::to_string(i + 1) + " is missing");
    LogFile head = log;
    head.records.erase(head.records.begin(), head.records.begin() + i);
    CHECK(says(head) == (i == 0 ? "" : "log record 1 is missing"));
    // The same head, told in the header: a log that begins later is whole.
    if (i != 0) {
      head.before_sequence = log.records[i - 1].sequence;
      head.before_crc = log.records[i - 1].crc;
      CHECK(says(head).empty());
      head.before_crc ^= 1;
      CHECK(says(head) == "log record " + std::to_string(i + 1) + " was altered");
    }
  }
  LogFile swapped = log;
  std::swap(swapped.records[3], swapped.records[4]);
  CHECK(says(swapped) == "log record 4 is missing");
  LogFile exchanged = log;  // a tail written anew, with a chain of its own
  exchanged.records[9].position ^= 1;
  exchanged.records[9].crc = model::log_crc(exchanged.records[8].crc, exchanged.records[9]);
  CHECK(says(exchanged) == "log record 10 was altered");

  REQUIRE(model::write_log(path, log));
  const std::string whole = slurp(path);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    spill(path, whole.substr(0, size));
    CAPTURE(size);
    const auto found = finding(path);
    if (size < kHeader) {
      CHECK(found == "bad");
    } else {
      CHECK(found == "log record " + std::to_string((size - kHeader) / kRecord + 1) + " is missing");
    }
  }
  spill(path, whole + "more");
  CHECK(finding(path) == "cut");
}

TEST_CASE("log prints, filters and verifies, with status 0, 1 and 2", "[log][command]") {
  const TempFolder folder;
  const std::string path = folder / "a.log";
  const LogFile log = random_log(60, 9);
  REQUIRE(model::write_log(path, log));
  const auto all = run(folder, "log '" + path + "'");
  CHECK(all.status == 0);
  CHECK(all.err.empty());
  CHECK(std::count(all.out.begin(), all.out.end(), '\n') == 62);
  CHECK(holds(all.out, "60 records, 60 shown: the log is whole"));

  const auto owner = run(folder, "log '" + path + "' --owner 2 --kind leave --json -");
  CHECK(owner.status == 0);
  const auto json = nlohmann::json::parse(owner.out);
  std::size_t expected = 0;
  for (const auto& r : log.records) expected += r.owner == 2 && r.kind == 4 ? 1 : 0;
  REQUIRE(expected != 0);
  CHECK(json["shown"].size() == expected);
  CHECK(json["records"] == 60);
  CHECK(json["whole"] == true);
  for (const auto& r : json["shown"]) CHECK((r["owner"] == 2 && r["kind"] == "leave"));
  CHECK(holds(run(folder, "log '" + path + "' --from 10 --to 19").out, "60 records, 10 shown"));

  LogFile broken = log;
  broken.records.erase(broken.records.begin() + 30);
  REQUIRE(model::write_log(path, broken));
  const auto missing = run(folder, "log '" + path + "' --owner 3");  // a filter hides no finding
  CHECK(missing.status == 1);
  CHECK(holds(missing.out, "log record 31 is missing"));
  std::string bytes = slurp(path);
  spill(path, bytes.substr(0, bytes.size() - 5));
  CHECK(run(folder, "log '" + path + "'").status == 1);

  spill(folder / "text", "no log, but long enough to hold a header of forty bytes");
  for (const auto& arguments : std::vector<std::string>{
           "log '" + (folder / "none") + "'", "log '" + (folder / "text") + "'", "log '" + folder.path().string() + "'",
           "log", "log '" + path + "' --kind nonsense", "log '" + path + "' --from 5 --to 4",
           "log '" + path + "' --owner 70000", "log tests/data/tiny1m_p0.safetensors"}) {
    INFO(arguments);
    const auto refused = run(folder, arguments);
    CHECK(refused.status == 2);
    CHECK(refused.out.empty());
    CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
  }
}

TEST_CASE("the log that a scenario saves is whole, and holds what happened", "[log][command]") {
  const TempFolder folder;
  const std::string path = folder / "s.log";
  const auto made = run(folder, "stress prefix-invalidation --log '" + path + "'");
  if (holds(made.err, "made without the block")) {
    KVSINK_SKIP("this build has no block");
    return;
  }
  INFO(made.out << made.err);
  REQUIRE(made.status == 0);
  const auto left = run(folder, "log '" + path + "' --kind leave --cause retired --json -");
  CHECK(left.status == 0);
  CHECK(nlohmann::json::parse(left.out)["shown"].size() >= 24);
}
