// SPDX-License-Identifier: Apache-2.0
tb/walk/walker_tb.sv
tb/walk/kv_addr_tb.sv
