// SPDX-License-Identifier: Apache-2.0
// Reports what the tag array takes and answers. Looks only, drives nothing.

module tag_monitor
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,
    input retire_t retire_i,
    input logic lookup_valid_i,
    input tag_lookup_t lookup_i,
    input logic hit_valid_o,
    input tag_hit_t hit_o,
    input logic cmd_valid_i,
    input logic cmd_ready_o,
    input tag_cmd_t cmd_i,
    input logic ack_valid_o,
    input tag_ack_t ack_o
);
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (retire_i.valid) begin
        probe_pkg::kvsink_monitor(probe_pkg::Retire, 64'(retire_i.all), 64'(retire_i.owner), 64'(retire_i.first),
                                  64'(retire_i.last), 0, 0, 0, 0, 0, 0);
      end
      if (cmd_valid_i && cmd_ready_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::TagCommand, 64'(cmd_i.op), 64'(cmd_i.owner), 64'(cmd_i.granule),
                                  64'(cmd_i.token), 64'(cmd_i.entry), 64'(cmd_i.slot), 64'(cmd_i.profile),
                                  64'(cmd_i.word), 64'(cmd_i.watermark), 0);
      end
      if (ack_valid_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::TagAck, 64'(ack_o.status), 64'(ack_o.entry), 64'(ack_o.slot), 0, 0, 0, 0,
                                  0, 0, 0);
      end
      if (lookup_valid_i) begin
        probe_pkg::kvsink_monitor(probe_pkg::Lookup, 64'(lookup_i.owner), 64'(lookup_i.granule), 64'(lookup_i.word),
                                  64'(lookup_i.layer), 64'(lookup_i.head), 64'(lookup_i.planes), 0, 0, 0, 0);
      end
      if (hit_valid_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::Hit, 64'(hit_o.hit), 0, 0, 0, 0, 0, 0, 0, 0, 0);
      end
    end
  end
endmodule
