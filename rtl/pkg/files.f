rtl/pkg/kvsink_cfg_pkg.sv
rtl/pkg/kvsink_pkg.sv
