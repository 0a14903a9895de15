// SPDX-License-Identifier: Apache-2.0
tb/log/event_log_tb.sv
