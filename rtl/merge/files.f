// SPDX-License-Identifier: Apache-2.0
rtl/merge/merge_const_pkg.sv
rtl/merge/merge_pkg.sv
rtl/merge/merge_rom_exp.sv
rtl/merge/merge_rom_rec.sv
rtl/merge/merge_rom_log.sv
rtl/merge/merge_lzc.sv
rtl/merge/merge_fixed.sv
rtl/merge/merge_quadratic.sv
rtl/merge/merge_sum.sv
rtl/merge/merge_weight.sv
rtl/merge/merge_finish.sv
rtl/merge/merge_issue.sv
rtl/merge/merge_lane.sv
rtl/merge/lse_merge.sv
