// SPDX-License-Identifier: Apache-2.0
rtl/sram/slot_sram.sv
