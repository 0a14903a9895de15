// SPDX-License-Identifier: Apache-2.0
rtl/log/event_log.sv
