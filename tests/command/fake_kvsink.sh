#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Stands in for `kvsink` in the tests of the scripts: replay answers with numbers chosen by the test, the rest is the
# real command's. Environment: KVSINK_REAL, FAKE_STATUS (of the hbm replay), FAKE_WRONG (its rows_wrong),
# FAKE_TOTAL (differences in all, of each).
set -eu
if [ "$1" != replay ]; then
  exec "$KVSINK_REAL" "$@"
fi
trace=$2
shift 2
while [ $# -gt 0 ]; do
  case $1 in
    --policy) policy=$2 ;;
    --json) json=$2 ;;
    --out) out=$2 ;;
  esac
  shift 2
done
if [ "$policy" = hbm ]; then
  status=${FAKE_STATUS:-0} wrong=${FAKE_WRONG:-0} sram=0 bulk=50462720 promotion=0 sinks='[]' mass=0 share=1.0
else
  status=0 wrong=0 sram=262144 bulk=50200576 promotion=2048 sinks='[{"position": 0, "score": 10.5}]' mass=0.0988 share=2.0
fi
if [ "$status" = 2 ]; then
  echo "kvsink: something is not right" >&2
  exit 2
fi
"$KVSINK_REAL" golden "$trace" --out "$out" >/dev/null
cat >"$json" <<END
{"trace": "$trace", "config": "small", "policy": "$policy", "seed": 1,
 "check": {"rows_checked": 394240, "rows_wrong": $wrong, "rows_missing": 0, "rows_repeated": 0, "rows_false_miss": 0,
           "rows_false_hit": 0, "events_checked": 2, "events_wrong": 0, "outputs_checked": 1024, "outputs_wrong": 0,
           "max_error_ulp": $share, "max_abs_error": 1.5e-07,
           "differences": ${FAKE_TOTAL:-0}},
 "bytes": {"kv_needed": 50462720, "hbm_bulk": $bulk, "hbm_promotion": $promotion, "hbm_dropped": 0, "hbm_table": 4096,
           "sram": $sram, "per_token": 394272, "amplification": 1.0001, "repromoted_rows": 0},
 "rows": {"sram": 2048, "hbm": 392192}, "sinks": $sinks, "mass": {"sram_fraction": $mass},
 "cycles": {"total": 3700000, "prefill": 400000, "decode": 3300000},
 "bus": {"beats": 3154000, "decode_utilisation": 0.956},
 "residency": {"promoted": 1, "evicted": 0, "refused": 0, "peak_slots": 1}}
END
exit "$status"
