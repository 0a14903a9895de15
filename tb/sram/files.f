// SPDX-License-Identifier: Apache-2.0
tb/sram/sram_tb.sv
