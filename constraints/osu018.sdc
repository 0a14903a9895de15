# SPDX-License-Identifier: Apache-2.0
# osu018 (0.18 um), in ns and pF: 50 MHz.
set kvs_period 20.0
set kvs_uncertainty 0.50
set kvs_transition 0.20
set kvs_io 0.3
set kvs_driver BUFX2
set kvs_driver_pin Y
set kvs_load 0.03
