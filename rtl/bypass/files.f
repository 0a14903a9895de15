// SPDX-License-Identifier: Apache-2.0
rtl/bypass/bypass_pkg.sv
rtl/bypass/bypass_jobs.sv
rtl/bypass/bypass_lists.sv
rtl/bypass/bypass_lookup.sv
rtl/bypass/bypass_sink.sv
rtl/bypass/bypass_pages.sv
rtl/bypass/bypass_rows.sv
rtl/bypass/bypass_bursts.sv
rtl/bypass/bypass_return.sv
rtl/bypass/bypass_mux.sv
