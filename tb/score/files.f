tb/score/sink_scorer_tb.sv
