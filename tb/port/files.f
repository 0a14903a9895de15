// SPDX-License-Identifier: Apache-2.0
tb/port/axi_read_port_tb.sv
