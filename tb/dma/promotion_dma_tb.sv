// SPDX-License-Identifier: Apache-2.0
// promotion_dma with plain ports, and a small write port for the configuration that it gets from its neighbours.
//   cfg_addr_i   cfg_data_i
//   0, 1, 2      page_log2, block_bits, layers
//   3            reads in flight: 16 bits a channel, 0 for the most there is
//   16 + 4*s + f f = 0 block, 1 head, 2 token stride of set s
//   32 + p       plane p: offset [31:0], row_beats [47:32], tensor [49:48], stride set [51:50], share_log2 [54:52], valid [55]
//   64 + 16*p + f profile p: f = 0 valid, 1 layer_first, 2 layer_count, 3 head_mask, 4 plane_mask, 5 layer_beats, 6 head_beats,
//                8 + q plane_beat[q]

module promotion_dma_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic        cfg_we_i,
    input logic [ 7:0] cfg_addr_i,
    input logic [63:0] cfg_data_i,

    input logic                       base_we_i,
    input logic  [$clog2(Layers)+1:0] base_waddr_i,
    input addr_t                      base_wdata_i,

    input  logic             desc_valid_i,
    output logic             desc_ready_o,
    input  slot_t            desc_slot_i,
    input  profile_t         desc_profile_i,
    input  owner_t           desc_owner_i,
    input  pos_t             desc_position_i,
    input  word_t            desc_word_i,
    input  sram_addr_t       desc_sram_base_i,
    input  logic       [2:0] desc_tier_i,
    input  cycle_t           desc_deadline_i,

    input  logic   abort_valid_i,
    output logic   abort_ready_o,
    input  slot_t  abort_slot_i,
    input  logic   retire_valid_i,
    input  logic   retire_all_i,
    input  owner_t retire_owner_i,
    input  pos_t   retire_first_i,
    input  pos_t   retire_last_i,

    output logic           rd_valid_o,
    input  logic           rd_ready_i,
    output addr_t          rd_addr_o,
    output axi_len_t       rd_len_o,
    output logic     [7:0] rd_chan_o,
    input  logic           mem_valid_i,
    input  logic     [7:0] mem_chan_i,
    input  logic     [7:0] mem_lost_i,
    input  beat_t          mem_data_i,
    input  logic           mem_last_i,
    input  logic           mem_error_i,

    output logic       wr_valid_o,
    output sram_addr_t wr_addr_o,
    output beat_t      wr_data_o,

    output logic           progress_valid_o,
    input  logic           progress_ready_i,
    output slot_t          progress_slot_o,
    output layers_t        progress_watermark_o,
    output logic           end_valid_o,
    input  logic           end_ready_i,
    output slot_t          end_slot_o,
    output logic    [ 7:0] end_status_o,
    output logic    [31:0] end_bytes_o,
    output logic    [31:0] end_cycles_o,
    output logic    [31:0] end_stall_ar_o,
    output logic    [31:0] end_stall_r_o,

    output logic   [31:0] row_reads_o,
    output cycle_t        now_o
);

  layout_cfg_t layout_q;
  profile_cfg_t [Profiles-1:0] profiles_q;
  logic [PromoChannels-1:0][8:0] limit_q;
  cycle_t now_q;

  assign row_reads_o = RowReads;
  assign now_o = now_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) now_q <= '0;
    else now_q <= now_q + cycle_t'(1);
  end

  always_ff @(posedge clk_i) begin
    if (cfg_we_i) begin
      unique case (cfg_addr_i)
        8'd0: layout_q.page_log2 <= cfg_data_i[2:0];
        8'd1: layout_q.block_bits <= cfg_data_i[4:0];
        8'd2: layout_q.layers <= layers_t'(cfg_data_i);
        8'd3: for (int unsigned c = 0; c < PromoChannels; c++) limit_q[c] <= cfg_data_i[16*c+:9];
        default: ;
      endcase
      if (cfg_addr_i[7:4] == 4'd1) begin
        if (cfg_addr_i[1:0] == 2'd0) layout_q.stride[cfg_addr_i[3:2]].block <= cfg_data_i[39:0];
        if (cfg_addr_i[1:0] == 2'd1) layout_q.stride[cfg_addr_i[3:2]].head <= cfg_data_i[31:0];
        if (cfg_addr_i[1:0] == 2'd2) layout_q.stride[cfg_addr_i[3:2]].token <= cfg_data_i[31:0];
      end
      if (cfg_addr_i[7:3] == 5'd4) begin
        layout_q.plane[cfg_addr_i[2:0]].offset <= cfg_data_i[31:0];
        layout_q.plane[cfg_addr_i[2:0]].row_beats <= row_beats_t'(cfg_data_i[47:32]);
        layout_q.plane[cfg_addr_i[2:0]].tensor <= cfg_data_i[49:48];
        layout_q.plane[cfg_addr_i[2:0]].stride_set <= cfg_data_i[51:50];
        layout_q.plane[cfg_addr_i[2:0]].share_log2 <= cfg_data_i[54:52];
        layout_q.plane[cfg_addr_i[2:0]].valid <= cfg_data_i[55];
      end
      for (int unsigned p = 0; p < Profiles; p++) begin
        if (cfg_addr_i[7:4] == 4'(4 + p)) begin
          unique case (cfg_addr_i[3:0])
            4'd0: profiles_q[p].valid <= cfg_data_i[0];
            4'd1: profiles_q[p].layer_first <= layer_t'(cfg_data_i);
            4'd2: profiles_q[p].layer_count <= layers_t'(cfg_data_i);
            4'd3: profiles_q[p].head_mask <= head_mask_t'(cfg_data_i);
            4'd4: profiles_q[p].plane_mask <= plane_mask_t'(cfg_data_i);
            4'd5: profiles_q[p].layer_beats <= ($clog2(SramBeats) + 1)'(cfg_data_i);
            4'd6: profiles_q[p].head_beats <= ($clog2(SramBeats) + 1)'(cfg_data_i);
            4'd8, 4'd9, 4'd10, 4'd11, 4'd12, 4'd13, 4'd14, 4'd15:
            profiles_q[p].plane_beat[cfg_addr_i[2:0]] <= ($clog2(SramBeats) + 1)'(cfg_data_i);
            default: ;
          endcase
        end
      end
    end
  end

  logic unused;
  assign unused = ^cfg_data_i;

  dma_desc_t desc;
  assign desc = '{
          slot: desc_slot_i,
          profile: desc_profile_i,
          owner: desc_owner_i,
          position: desc_position_i,
          word: desc_word_i,
          sram_base: desc_sram_base_i,
          tier: desc_tier_i,
          deadline: desc_deadline_i
      };
  retire_t retire;
  assign retire = '{
          valid: retire_valid_i,
          all: retire_all_i,
          owner: retire_owner_i,
          first: retire_first_i,
          last: retire_last_i
      };
  rd_req_t rd;
  assign rd_addr_o = rd.addr;
  assign rd_len_o  = rd.len;
  localparam int unsigned ChanW = $clog2(PromoChannels);
  logic [ChanW-1:0] chan;
  assign rd_chan_o = 8'(chan);
  rd_rsp_t mem;
  assign mem = '{data: mem_data_i, last: mem_last_i, error: mem_error_i};
  sram_write_t wr;
  assign wr_addr_o = wr.addr;
  assign wr_data_o = wr.data;
  dma_progress_t progress;
  assign progress_slot_o = progress.slot;
  assign progress_watermark_o = progress.watermark;
  dma_end_t done;
  assign end_slot_o = done.slot;
  assign end_status_o = done.status;
  assign end_bytes_o = done.bytes;
  assign end_cycles_o = done.cycles;
  assign end_stall_ar_o = done.stall_ar;
  assign end_stall_r_o = done.stall_r;

  promotion_dma u_dut (
      .clk_i,
      .rst_ni,
      .now_i     (now_q),
      .layout_i  (layout_q),
      .profiles_i(profiles_q),
      .limit_i   (limit_q),
      .base_we_i,
      .base_waddr_i,
      .base_wdata_i,
      .desc_valid_i,
      .desc_ready_o,
      .desc_i    (desc),
      .abort_valid_i,
      .abort_ready_o,
      .abort_slot_i,
      .retire_i  (retire),
      .rd_valid_o,
      .rd_ready_i,
      .rd_o      (rd),
      .rd_chan_o (chan),
      .mem_valid_i,
      .mem_i     (mem),
      .mem_chan_i(ChanW'(mem_chan_i)),
      .mem_lost_i(PromoChannels'(mem_lost_i)),
      .wr_valid_o,
      .wr_o      (wr),
      .progress_valid_o,
      .progress_ready_i,
      .progress_o(progress),
      .end_valid_o,
      .end_ready_i,
      .end_o     (done)
  );

endmodule
