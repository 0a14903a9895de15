rtl/log/event_log.sv
