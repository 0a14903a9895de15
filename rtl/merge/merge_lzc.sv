// SPDX-License-Identifier: Apache-2.0
// Number of zeros above the highest set bit. Combinational; Width when no bit is set.
//   Width  bits, 2 or more

module merge_lzc #(
    parameter  int unsigned Width  = 8,
    localparam int unsigned CountW = $clog2(Width + 1)
) (
    input  logic [ Width-1:0] bits_i,
    output logic [CountW-1:0] count_o
);

  if (Width < 2) begin : gen_bad_width
    $error("merge_lzc: Width %0d is below 2", Width);
  end

  // A tree over the next power of two: the upper half decides unless it is all zeros.
  localparam int unsigned Levels = $clog2(Width);
  localparam int unsigned Padded = 1 << Levels;

  logic [Padded-1:0] padded;  // ones below the last bit end the count at Width
  if (Padded > Width) begin : gen_pad
    assign padded = {bits_i, {(Padded - Width) {1'b1}}};
  end else begin : gen_whole
    assign padded = bits_i;
  end

  // Level l has one group of 2^l bits each: all zeros, and the zeros above its highest set bit.
  for (genvar l = 0; l <= Levels; l++) begin : gen_level
    localparam int unsigned Groups = Padded >> l;
    logic [Groups-1:0] zero;
    logic [Groups-1:0][Levels-1:0] count;
    if (l == 0) begin : gen_leaf
      assign zero  = ~padded;
      assign count = '0;
    end else begin : gen_join
      for (genvar g = 0; g < Groups; g++) begin : gen_group
        assign zero[g] = gen_level[l-1].zero[2*g+1] && gen_level[l-1].zero[2*g];
        assign count[g] = gen_level[l-1].zero[2*g+1] ?
            (gen_level[l-1].count[2*g] | Levels'(1 << (l - 1))) : gen_level[l-1].count[2*g+1];
      end
    end
  end

  if (Padded > Width) begin : gen_count
    logic unused;
    assign unused  = gen_level[Levels].zero[0];  // the ones below end the count before
    assign count_o = CountW'(gen_level[Levels].count[0]);
  end else begin : gen_count_all
    assign count_o = gen_level[Levels].zero[0] ? CountW'(Width) : CountW'(gen_level[Levels].count[0]);
  end

endmodule
