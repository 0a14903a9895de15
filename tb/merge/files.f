// SPDX-License-Identifier: Apache-2.0
tb/merge/lse_merge_tb.sv
