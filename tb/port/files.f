tb/port/axi_read_port_tb.sv
