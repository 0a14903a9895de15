// SPDX-License-Identifier: Apache-2.0
rtl/walk/kv_addr.sv
rtl/walk/owner_table.sv
rtl/walk/block_walker.sv
