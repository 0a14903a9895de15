// SPDX-License-Identifier: Apache-2.0
// Reports for which request each lookup of the bypass mux is, and which granules get none. Looks only, drives nothing.

module lookup_monitor
  import kvsink_pkg::*;
  import bypass_pkg::job_t;
(
    input logic clk_i,
    input logic rst_ni,
    input job_t job,
    input logic lookup_valid_o,
    input tag_next_req_t next_o,
    input logic next_rsp_valid_i,
    input tag_next_rsp_t next_rsp_i
);
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (lookup_valid_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::MuxLookup, 64'(job.id), 0, 0, 0, 0, 0, 0, 0, 0, 0);
      end
      if (next_rsp_valid_i) begin
        probe_pkg::kvsink_monitor(probe_pkg::MuxNext, 64'(job.id), 64'(next_o.owner), 64'(next_o.from), 64'(next_o.to),
                                  64'(next_rsp_i.found), 64'(next_rsp_i.granule), 64'(job.layer), 64'(job.head),
                                  64'(job.planes), 0);
      end
    end
  end
endmodule
