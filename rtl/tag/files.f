// SPDX-License-Identifier: Apache-2.0
rtl/tag/tag_next.sv
rtl/tag/sink_tag_array.sv
