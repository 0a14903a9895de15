// SPDX-License-Identifier: Apache-2.0
// replay, plan and merge of a build that has no Verilated block: they say so. sw/CMakeLists.txt takes this file only
// when the real ones are not part of the build (KVSINK_ONLY=sw, for work on the software alone).
#include "sw/kvsink/commands.hpp"

namespace kvsink::command {

#ifndef KVSINK_HAS_REPLAY
int cmd_replay(const ReplayOptions&) { return fail({"replay: this build was made without the block (make build)"}); }
int cmd_stress(const StressOptions&) { return fail({"stress: this build was made without the block (make build)"}); }
#endif
#ifndef KVSINK_HAS_PLAN
int cmd_plan(const PlanOptions&) { return fail({"plan: this build was made without the block (make build)"}); }
#endif
#ifndef KVSINK_HAS_MERGE
int cmd_merge(const MergeOptions&) { return fail({"merge: this build was made without the block (make build)"}); }
#endif

}  // namespace kvsink::command
