// SPDX-License-Identifier: Apache-2.0
// Catch2, whichever is installed: 2.13 (one header) or 3.x. Tests include this and nothing of Catch2 itself.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
namespace Catch {
// Names that moved into the namespace in 3.x.
using Detail::Approx;
using Matchers::Contains;
}  // namespace Catch
#endif

// Ends a case that cannot run here, aloud: Catch2 3.x reports it as skipped, 2.13 as passed with a warning.
// The message may be a chain of `<<`, as in Catch2's own macros, so it stands without parentheses.
#ifdef SKIP
#define KVSINK_SKIP(message) SKIP(message)
#else
#define KVSINK_SKIP(message)                                                      \
  do {                                                                            \
    WARN("skipped: " << message); /* NOLINT(bugprone-macro-parentheses): chain */ \
    SUCCEED("skipped");                                                           \
    return;                                                                       \
  } while (false)
#endif
