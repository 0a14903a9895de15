// SPDX-License-Identifier: Apache-2.0
tb/tag/tag_tb.sv
