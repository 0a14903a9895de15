tb/log/event_log_tb.sv
