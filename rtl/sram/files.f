rtl/sram/slot_sram.sv
