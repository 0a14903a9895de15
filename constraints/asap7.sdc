# SPDX-License-Identifier: Apache-2.0
# ASAP7 (predictive 7 nm), in ps and fF: 1 GHz.
set kvs_period 1000
set kvs_uncertainty 30
set kvs_transition 20
set kvs_io 0.3
set kvs_driver BUFx2_ASAP7_75t_R
set kvs_driver_pin Y
set kvs_load 4
