// SPDX-License-Identifier: Apache-2.0
tb/residency/residency_tb.sv
