tb/merge/lse_merge_tb.sv
