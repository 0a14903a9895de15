tb/tag/tag_tb.sv
