rtl/port/axi_read_port.sv
