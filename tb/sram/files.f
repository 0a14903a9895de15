tb/sram/sram_tb.sv
