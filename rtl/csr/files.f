// SPDX-License-Identifier: Apache-2.0
rtl/csr/gen/kvsink_regs_pkg.sv
rtl/csr/gen/kvsink_regs.sv
rtl/csr/gen/kvsink_csr_check.sv
rtl/csr/kv_axil.sv
rtl/csr/kv_counters.sv
rtl/csr/kv_cmd_join.sv
rtl/csr/kvsink_csr.sv
