rtl/dma/promotion_dma.sv
