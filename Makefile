# SPDX-License-Identifier: Apache-2.0
# The one door to everything. It is thin: CMake and Ninja build, the scripts in scripts/ run the flows.

TRACE     ?= tests/data/tiny1m_p0.safetensors
CONFIG    ?= small
POLICY    ?= sinks
TEST      ?=
SEED      ?= 1
MERGES    ?= 100000000
SAMPLES   ?= 20000
CYCLES    ?= 10000000
MODELS    ?= ../shared/models
UNIT      ?=
LIB       ?= osu018
PDK       ?= $(wildcard ../shared/pdk)
POINT     ?=
MEM       ?=
VERILATOR ?=
YOSYS     ?=
PYTHON    ?= python3
BUILD     ?= build
JOBS      ?= $(shell nproc 2>/dev/null || echo 2)

PY     := .venv/bin/python
SYNTH  := --config $(CONFIG) --lib $(LIB) $(if $(PDK),--pdk $(PDK)) $(if $(UNIT),--unit $(UNIT))
KVSINK := $(BUILD)/bin/kvsink
export PYTHON VERILATOR YOSYS

# Without TRACE=, `make run` takes both embedded traces: one with a strong sink, one without.
RUN_TRACES := $(if $(filter file,$(origin TRACE)),$(TRACE) tests/data/stories260K_lily.safetensors,$(TRACE))

.DEFAULT_GOAL := help
OWN_TRACES  := $(wildcard tests/data/*.safetensors)
SOAK_TRACES ?= $(OWN_TRACES) $(filter-out $(OWN_TRACES:tests/data/%=../shared/traces/%),$(wildcard ../shared/traces/*.safetensors))

# Every target is a name, not a file.
.PHONY: $(shell sed -n 's/^\([a-z][a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## this list
	@echo "kvsink: the attention sinks of a KV cache in SRAM, everything else from HBM, in one AXI4 block."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  TRACE=FILE  CONFIG=small|default|large  POLICY=sinks|fill|dynamic|hbm  TEST='tag*'  SEED=N  UNIT=NAME"
	@echo "  LIB=osu018|sky130|asap7|none|FILE.lib  PDK=DIR  BUILD=DIR  JOBS=N  VERILATOR=, YOSYS=, PYTHON= take your own tools"

setup: env-all ## system packages and the pinned Python environment, lint and synthesis tools included

doctor: ## each tool: found, wanted, what to do
	@command -v $(PYTHON) >/dev/null || { echo "python: missing, wanted >= 3.10: make setup, or set PYTHON="; exit 1; }
	@$(PYTHON) scripts/doctor.py

build: configure ## everything: the command, the tests, the Verilated models
	@cmake --build $(BUILD) -j $(JOBS)

run: configure ## replay TRACE with sinks in SRAM and with all rows from HBM; summary and build/report/index.html
	@cmake --build $(BUILD) -j $(JOBS) --target kvsink
	@KVSINK=$(KVSINK) $(PY) scripts/run.py $(RUN_TRACES:%=--trace %) --config $(CONFIG) --out $(BUILD)/report

verify: configure ## all tests, or those of TEST=; ends with `N passed, N failed`
	@cmake --build $(BUILD) -j $(JOBS)
	@$(PY) scripts/verify.py --build $(BUILD) --jobs $(JOBS) --seed $(SEED) --test '$(TEST)'

info: configure ## where the attention of TRACE goes, as text and as a page with heat maps, build/info/index.html
	@cmake --build $(BUILD) -j $(JOBS) --target kvsink
	@mkdir -p $(BUILD)/info
	@$(KVSINK) info $(TRACE) --json $(BUILD)/info/info.json
	@$(PY) scripts/report.py --info $(BUILD)/info/info.json --out $(BUILD)/info/index.html
	@echo "Page: $(BUILD)/info/index.html"

traces: configure ## make the traces of tests/data again, from the models in MODELS
	@cmake --build $(BUILD) -j $(JOBS) --target kvsink
	@scripts/default_traces.sh $(KVSINK) $(MODELS)

compare: configure ## the golden model's and the RTL's outputs for TRACE, and their differences
	@cmake --build $(BUILD) -j $(JOBS) --target kvsink
	@mkdir -p $(BUILD)/compare
	$(KVSINK) golden $(TRACE) --out $(BUILD)/compare/golden.safetensors
	$(KVSINK) replay $(TRACE) --config $(CONFIG) --policy $(POLICY) --seed $(SEED) \
	  --out $(BUILD)/compare/rtl.safetensors
	$(KVSINK) diff $(BUILD)/compare/golden.safetensors $(BUILD)/compare/rtl.safetensors

lint: env-all configure ## format and lint of SystemVerilog, C++, shell and Python; licence lines; waivers
	@cmake --build $(BUILD) -j $(JOBS) > $(BUILD)/lint-build.log 2>&1 || \
	  echo "the build fails ($(BUILD)/lint-build.log): clang-tidy will miss generated headers"
	@$(PY) scripts/lint.py --build $(BUILD) --jobs $(JOBS) $(if $(PART),--part $(PART))

format: env-all ## rewrite sources in the project's format
	@$(PY) scripts/lint.py --build $(BUILD) --jobs $(JOBS) --fix

docs: env ## the pages that are made from data
	@$(PY) scripts/docs.py

synth: env-all ## area of each unit and of the top (UNIT=, CONFIG=, LIB=, POINT=area|speed, MEM=FILE|none)
	@$(PY) scripts/synth/synth.py $(SYNTH) --jobs $(JOBS) $(if $(POINT),--point $(POINT)) $(if $(MEM),--mem $(MEM))

timing: env-all ## largest clock of each unit and of the top, worst paths with their RTL lines (as make synth)
	@$(PY) scripts/synth/timing.py $(SYNTH) $(if $(POINT),--point $(POINT)) $(if $(MEM),--mem $(MEM))

synth-merge: env-all ## the merge unit part by part for 4, 8 and 16 lanes, and what each bit of accuracy costs
	@$(PY) scripts/synth/merge_cost.py --lib $(LIB) $(if $(PDK),--pdk $(PDK)) --jobs $(JOBS) --bits

synth-expect: env-all ## write the areas of CONFIG as the expected ones (docs/area)
	@$(PY) scripts/synth/synth.py --config $(CONFIG) --lib $(LIB) $(if $(PDK),--pdk $(PDK)) --jobs $(JOBS) --write-expected

timing-expect: env-all ## write the clocks and worst paths of CONFIG and LIB as the expected ones (docs/area)
	@$(PY) scripts/synth/timing.py $(SYNTH) --write-expected

synth-check: env-all ## fails when a unit is over 5 % larger, or (where clocks are expected of CONFIG and LIB) slower than expected
	@$(PY) scripts/synth/synth.py $(SYNTH) --jobs $(JOBS) --check
	@if [ -f docs/area/$(CONFIG).$(LIB).speed.timing.json ]; then $(PY) scripts/synth/timing.py $(SYNTH) --check; fi

synth-sweep: env-all ## how area grows with ENTRIES, LANES, bus and reads in flight: docs/area/sweeps.json, build/report/area.html (long)
	@$(PY) scripts/synth/sweep.py --lib $(LIB) $(if $(PDK),--pdk $(PDK)) $(if $(SWEEP),--only $(SWEEP))

sta: env-all ## constraints against the mapped netlists of CONFIG: set-up complete, nothing unconstrained
	@$(PY) scripts/synth/sta.py --config $(CONFIG) --lib $(LIB) $(if $(PDK),--pdk $(PDK)) $(if $(UNIT),--unit $(UNIT))

equiv: env-all ## proofs that each unit's mapped netlist is its RTL (UNIT=, CONFIG=, LIB=, LIMIT=seconds a proof)
	@$(PY) scripts/synth/equiv.py $(SYNTH) $(if $(POINT),--point $(POINT)) $(if $(LIMIT),--limit $(LIMIT))

gls: env-all configure ## mapped netlists run: of the top through replays (slow), or of UNIT= (event_log, sink_tag_array) under its tests
	@$(PY) scripts/synth/gates.py --out $(BUILD)/gates/$(LIB) --lib $(LIB) $(if $(PDK),--pdk $(PDK)) $(if $(POINT),--point $(POINT)) \
	  $(if $(UNIT),--unit $(UNIT))
	@cmake -S . -B $(BUILD) -DKVSINK_GATES=$(abspath $(BUILD))/gates/$(LIB) > /dev/null
	@$(PY) scripts/synth/gates.py --run $(BUILD) --out $(BUILD)/gates/$(LIB) $(if $(UNIT),--unit $(UNIT))

export: env-all ## the block as one file of Verilog-2005, build/export/kvsink.v; CYCLES=N: Icarus against the RTL
	@$(PY) scripts/synth/export.py --config $(CONFIG) $(if $(CYCLES),--check $(CYCLES))

fpga: env-all ## LUTs, flip-flops, block RAMs and DSPs of each unit on a generic 7-series part: an estimate
	@$(PY) scripts/synth/fpga.py --config $(CONFIG) $(if $(UNIT),--unit $(UNIT))

soak-replay: configure ## every trace x policy x configuration x timing (over an hour; SPREAD=1: a quarter of it)
	@cmake --build $(BUILD) -j $(JOBS) --target kvsink
	@$(PY) scripts/soak_replay.py --kvsink $(KVSINK) --jobs $(JOBS) --seed $(SEED) $(if $(SPREAD),--spread) $(SOAK_TRACES)

soak-movement: configure ## every bin of layout x row x page x tier x outcome, each hit at the block's outputs (about 10 minutes)
	@cmake --build $(BUILD) -j $(JOBS) --target test_move_coverage
	@KVSINK_SEED=$(SEED) $(BUILD)/tests/test_move_coverage '[soak]'

soak-residency: configure ## CYCLES of random traffic on the whole block beside the untimed model, two processes (10^7: about 2 minutes)
	@cmake --build $(BUILD) -j $(JOBS) --target soak_residency
	@half=$$(( $(CYCLES) / 2 )); $(BUILD)/tests/soak_residency $$half $(SEED) default > $(BUILD)/soak_residency.1 & first=$$!; \
	  $(BUILD)/tests/soak_residency $$half $$(( $(SEED) + 1000 )) default > $(BUILD)/soak_residency.2; second=$$?; \
	  wait $$first; first=$$?; cat $(BUILD)/soak_residency.1 $(BUILD)/soak_residency.2; [ $$first -eq 0 ] && [ $$second -eq 0 ]

soak-sessions: configure ## 500 sessions on one shared prefix, large configuration (about 10 minutes)
	@cmake --build $(BUILD) -j $(JOBS) --target soak_sessions
	@$(BUILD)/tests/soak_sessions 500 $(SEED) large

bench-capture: configure ## speed and memory of kvsink capture (MODELS: those of the traces, when they are there)
	@cmake --build $(BUILD) -j $(JOBS) --target kvsink
	@$(PY) scripts/bench_capture.py --kvsink $(KVSINK) --models $(MODELS)

soak-merge: configure ## MERGES random merges, RTL against the bit-exact model
	@cmake --build $(BUILD) -j $(JOBS) --target soak_merge
	@$(BUILD)/tests/soak_merge rtl $(MERGES) $(SEED)

bench-merge: configure ## error of the RTL and of software merges against 400-bit arithmetic: text, JSON, page of plots
	@cmake --build $(BUILD) -j $(JOBS) --target bench_merge
	@mkdir -p $(BUILD)/report
	@$(BUILD)/tests/bench_merge --samples $(SAMPLES) --seed $(SEED) --json $(BUILD)/report/merge.json \
	  > $(BUILD)/report/merge.txt; status=$$?; [ $$status -ne 2 ] || exit 2; cat $(BUILD)/report/merge.txt; \
	  $(PY) scripts/merge_report.py --data $(BUILD)/report/merge.json --out $(BUILD)/report/merge.html && \
	  echo 'Report: $(BUILD)/report/merge.html' && exit $$status

bench-score: configure ## what each way of feeding the scorer costs and loses, on traces: text, JSON, page
	@cmake --build $(BUILD) -j $(JOBS) --target bench_score
	@mkdir -p $(BUILD)/report
	@$(BUILD)/tests/bench_score --json $(BUILD)/report/score.json $(SOAK_TRACES) \
	  > $(BUILD)/report/score.txt; status=$$?; [ $$status -ne 2 ] || exit 2; cat $(BUILD)/report/score.txt; \
	  $(PY) scripts/score_report.py --data $(BUILD)/report/score.json --out $(BUILD)/report/score.html && \
	  echo 'Report: $(BUILD)/report/score.html' && exit $$status

bench-movement: configure ## figures of the memory movement: text, build/movement.json, page; compared with docs/figures/movement.json
	@cmake --build $(BUILD) -j $(JOBS) --target bench_movement
	@mkdir -p $(BUILD)/report
	@$(BUILD)/bin/bench_movement --tiers sw/tiers.json --json $(BUILD)/movement.json --expect docs/figures/movement.json; \
	  status=$$?; [ $$status -ne 2 ] || exit 2; \
	  $(PY) scripts/movement_report.py --data $(BUILD)/movement.json --out $(BUILD)/report/movement.html && \
	  echo 'Report: $(BUILD)/report/movement.html' && exit $$status

BUFFERS ?= 512:128 288:64 272:56 264:52 256:48
bench-buffers: configure ## which figures of the movement are reached with smaller buffers (BUFFERS=BULK_BEATS:ROW_READS ...; each is a build)
	@$(PY) scripts/movement_buffers.py --build $(BUILD) --json $(BUILD)/movement_buffers.json $(BUFFERS)

bench-side: configure ## the promotion DMA in the read-DMA bench of ../shared/flow, beside other designs (skipped without it)
	@if [ ! -f ../shared/flow/rd_bench.cpp ]; then echo 'bench-side: SKIPPED: no ../shared/flow/rd_bench.cpp'; else \
	  cmake --build $(BUILD) -j $(JOBS) --target bench_side && \
	  $(PY) scripts/side_by_side.py --bench $(BUILD)/bin/bench_side --peers ../shared/peer-figures.md \
	    --json $(BUILD)/side_by_side.json --expect docs/figures/side_by_side.json; fi

formal: env-all ## proofs of the ports, bursts and descriptors (tests/formal), each with witnesses that it is not empty
	@$(PY) scripts/formal/formal.py

bench-movement-expect: configure ## write the figures as the expected ones
	@cmake --build $(BUILD) -j $(JOBS) --target bench_movement
	@mkdir -p docs/figures
	@$(BUILD)/bin/bench_movement --tiers sw/tiers.json --write docs/figures/movement.json

clean: ## remove what was built (the Python environment stays)
	@rm -rf build

env:
	@scripts/setup.sh build
env-all:
	@scripts/setup.sh all

# CMake runs again by itself when its files change; here only when there is no build yet or the tools were changed.
configure: env
	@mkdir -p $(BUILD)
	@echo 'verilator=$(VERILATOR)' > $(BUILD)/.options.new
	@if cmp -s $(BUILD)/.options.new $(BUILD)/.options && [ -f $(BUILD)/build.ninja ]; then \
	  rm $(BUILD)/.options.new; \
	else \
	  cmake -S . -B $(BUILD) -G Ninja -DKVSINK_VERILATOR='$(VERILATOR)' > $(BUILD)/configure.log 2>&1 || \
	    { tail -n 20 $(BUILD)/configure.log; exit 1; }; \
	  mv $(BUILD)/.options.new $(BUILD)/.options; \
	fi
