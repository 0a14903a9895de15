// SPDX-License-Identifier: Apache-2.0
rtl/residency/residency_pkg.sv
rtl/residency/residency_slots.sv
rtl/residency/residency_profiles.sv
rtl/residency/residency_waits.sv
rtl/residency/residency_plan.sv
rtl/residency/residency_plans.sv
rtl/residency/residency_ctrl.sv
