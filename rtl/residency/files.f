// SPDX-License-Identifier: Apache-2.0
rtl/residency/residency_pkg.sv
rtl/residency/residency_slots.sv
rtl/residency/residency_profiles.sv
rtl/residency/residency_waits.sv
rtl/residency/residency_plan.sv
rtl/residency/residency_plans.sv
rtl/residency/residency_queues.sv
rtl/residency/residency_done.sv
rtl/residency/residency_ends.sv
rtl/residency/residency_turns.sv
rtl/residency/residency_events.sv
rtl/residency/residency_commands.sv
rtl/residency/residency_owners.sv
rtl/residency/residency_grants.sv
rtl/residency/residency_moves.sv
rtl/residency/residency_sweeps.sv
rtl/residency/residency_ctrl.sv
