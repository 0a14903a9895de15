// SPDX-License-Identifier: Apache-2.0
tb/bypass/bypass_tb.sv
