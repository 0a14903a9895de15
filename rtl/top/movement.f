// SPDX-License-Identifier: Apache-2.0
rtl/top/kvsink_movement.sv
