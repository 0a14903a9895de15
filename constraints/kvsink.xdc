# SPDX-License-Identifier: Apache-2.0
# Constraints of kvsink_top out of context, for AMD FPGAs (Vivado): 200 MHz, in ns. In a design the clock comes from the
# clock generator and the I/O delays fall away: every port is a register-to-register path inside the device.

create_clock -name clk -period 5.000 [get_ports clk_i]
set_clock_uncertainty 0.100 [get_clocks clk]

set_input_delay -clock clk -max 1.500 \
  [filter [all_inputs] {NAME != clk_i && NAME != rst_ni}]
set_input_delay -clock clk -min 0.000 \
  [filter [all_inputs] {NAME != clk_i && NAME != rst_ni}]
set_output_delay -clock clk -max 1.500 [all_outputs]
set_output_delay -clock clk -min 0.000 [all_outputs]

# Asserted at any time, released on a clock edge by the synchroniser in kvsink_top.
set_false_path -from [get_ports rst_ni]
