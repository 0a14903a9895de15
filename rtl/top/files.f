rtl/top/kvsink_top.sv
rtl/top/kvsink_synth.sv
