tb/walk/walker_tb.sv
tb/walk/kv_addr_tb.sv
