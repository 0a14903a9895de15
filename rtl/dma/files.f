// SPDX-License-Identifier: Apache-2.0
rtl/dma/dma_layout.sv
rtl/dma/promotion_dma.sv
