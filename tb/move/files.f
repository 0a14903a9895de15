// SPDX-License-Identifier: Apache-2.0
tb/move/movement_tb.sv
