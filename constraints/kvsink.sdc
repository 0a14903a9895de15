# SPDX-License-Identifier: Apache-2.0
# Timing constraints of kvsink_top and of every unit: one clock, one reset, streams and buses registered on the same
# clock outside. Read a library's file first (osu018.sdc, sky130.sdc, asap7.sdc: the values below, in the units of that
# library), then this one.
#
#   kvs_period        clock period
#   kvs_uncertainty   jitter, and skew of a tree that is not built yet
#   kvs_transition    slope of clock and inputs where no driver is named
#   kvs_io            share of the period that the outside takes, before an input and after an output
#   kvs_driver        library cell that drives the inputs, kvs_driver_pin its output
#   kvs_load          capacitance on an output

create_clock -name clk -period $kvs_period [get_ports clk_i]
set_clock_uncertainty $kvs_uncertainty [get_clocks clk]
set_clock_transition $kvs_transition [get_clocks clk]

set kvs_inputs {}
foreach kvs_port [all_inputs] {
  set kvs_name [get_property $kvs_port full_name]
  if {$kvs_name ne "clk_i" && $kvs_name ne "rst_ni"} { lappend kvs_inputs $kvs_port }
}

set kvs_outside [expr {$kvs_io * $kvs_period}]
if {[llength $kvs_inputs] > 0} {
  set_input_delay -max $kvs_outside -clock clk $kvs_inputs
  set_input_delay -min 0 -clock clk $kvs_inputs
  set_driving_cell -lib_cell $kvs_driver -pin $kvs_driver_pin $kvs_inputs
}
set_output_delay -max $kvs_outside -clock clk [all_outputs]
set_output_delay -min 0 -clock clk [all_outputs]
set_load $kvs_load [all_outputs]

# Reset is asserted at any time and released on a clock edge by the synchroniser in kvsink_top, through a tree that is
# balanced like the clock's: the path from the port is no path of the logic.
set_input_delay 0 -clock clk [get_ports rst_ni]
set_input_transition $kvs_transition [get_ports rst_ni]
set_false_path -from [get_ports rst_ni]
