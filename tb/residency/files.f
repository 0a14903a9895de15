tb/residency/residency_tb.sv
