// SPDX-License-Identifier: Apache-2.0
rtl/pkg/kvsink_cfg_pkg.sv
rtl/pkg/kvsink_pkg.sv
