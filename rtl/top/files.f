// SPDX-License-Identifier: Apache-2.0
-f rtl/top/movement.f
rtl/top/kvsink_top.sv
rtl/top/kvsink_synth.sv
