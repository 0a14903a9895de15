// SPDX-License-Identifier: Apache-2.0
rtl/common/kv_fifo.sv
rtl/common/kv_skid.sv
rtl/common/kv_ram_1r1w.sv
rtl/common/kv_ram_1rw.sv
rtl/common/kv_first.sv
rtl/common/kv_lowest.sv
rtl/common/kv_mul.sv
rtl/common/kv_fifo_ram.sv
