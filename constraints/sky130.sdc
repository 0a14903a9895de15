# SPDX-License-Identifier: Apache-2.0
# sky130 high density (0.13 um), in ns and pF: 100 MHz.
set kvs_period 10.0
set kvs_uncertainty 0.25
set kvs_transition 0.15
set kvs_io 0.3
set kvs_driver sky130_fd_sc_hd__buf_2
set kvs_driver_pin X
set kvs_load 0.02
