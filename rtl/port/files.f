// SPDX-License-Identifier: Apache-2.0
rtl/port/axi_read_port.sv
