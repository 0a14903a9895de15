// SPDX-License-Identifier: Apache-2.0
rtl/top/kvsink_top.sv
rtl/top/kvsink_synth.sv
