// SPDX-License-Identifier: Apache-2.0
rtl/dma/promotion_dma.sv
