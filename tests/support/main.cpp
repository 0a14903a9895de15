// SPDX-License-Identifier: Apache-2.0
// The main of every test program. It takes the seed from the environment, prints it when something failed, and with
// --list-cases prints each case with its tags, a line each (name, tab, tags), the same for all versions of Catch2.
#define CATCH_CONFIG_RUNNER
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "support/catch.hpp"
#include "support/seed.hpp"

namespace kvsink {

std::uint64_t test_seed() {
  const char* text = std::getenv("KVSINK_SEED");
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 0) : 1;
}

}  // namespace kvsink

namespace {

void list_cases(const Catch::IConfig& config) {
  for (const auto& test : Catch::getAllTestCasesSorted(config)) {
#if __has_include(<catch2/catch_all.hpp>)
    std::cout << test.getTestCaseInfo().name << '\t' << test.getTestCaseInfo().tagsAsString() << '\n';
#else
    std::cout << test.name << '\t' << test.tagsAsString() << '\n';
#endif
  }
}

}  // namespace

int main(int argc, char* argv[]) {
  Catch::Session session;
  session.configData().rngSeed = static_cast<std::uint32_t>(kvsink::test_seed());
  if (argc == 2 && std::string_view(argv[1]) == "--list-cases") {
    list_cases(session.config());
    return 0;
  }
  if (const int status = session.applyCommandLine(argc, argv); status != 0) return status;
  const int status = session.run();
  const bool listing = argc == 2 && std::string_view(argv[1]).starts_with("--list");  // 2.x returns the count
  if (status != 0 && status != 4 && !listing) {
    std::cerr << "seed " << kvsink::test_seed() << " (repeat with SEED=" << kvsink::test_seed() << ")\n";
  }
  return status;
}
