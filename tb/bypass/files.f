tb/bypass/bypass_tb.sv
