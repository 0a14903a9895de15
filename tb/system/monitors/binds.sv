// SPDX-License-Identifier: Apache-2.0
// Puts the monitors into the units they watch.

bind sink_tag_array tag_monitor u_monitor (.*);
bind residency_ctrl residency_monitor u_monitor (.*);
bind bypass_lookup lookup_monitor u_monitor (.*);
