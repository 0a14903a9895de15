// SPDX-License-Identifier: Apache-2.0
// Written by scripts/gen_merge_tables.py; do not edit.
// 2^f on [0, 1), by f[29:23]. Error of the quadratic with its truncations: -2^-28.81 .. +2^-29.15.
// 128 words of {c0, c1, c2}: 34 + 27 + 17 bits, combinational.

module merge_rom_exp (
    input  logic [ 6:0] addr_i,
    output logic [33:0] c0_o,
    output logic [26:0] c1_o,
    output logic [16:0] c2_o
);

  logic [77:0] word;
  assign {c0_o, c1_o, c2_o} = word;

  always_comb begin
    unique case (addr_i)
      7'd0: word = 78'h20000000058b8ffcf69c;
      7'd1: word = 78'h202c7b5475934504f800;
      7'd2: word = 78'h2059347d659b0500f958;
      7'd3: word = 78'h20862bd155a2cfc2fab3;
      7'd4: word = 78'h20b361a6a5aaa558fc0f;
      7'd5: word = 78'h20e0d65435b285d2fd6e;
      7'd6: word = 78'h210e8a3165ba713efece;
      7'd7: word = 78'h213c7d9605c267af0030;
      7'd8: word = 78'h216ab0da75ca692f0194;
      7'd9: word = 78'h2199245765d275d102fa;
      7'd10: word = 78'h21c7d86625da8da50462;
      7'd11: word = 78'h21f6cd6075e2b0b705cc;
      7'd12: word = 78'h222603a0a5eadf170738;
      7'd13: word = 78'h22557b8155f318d908a6;
      7'd14: word = 78'h2285355dd5fb5e090a16;
      7'd15: word = 78'h22b53191c603aeb90b88;
      7'd16: word = 78'h22e57079760c0af70cfc;
      7'd17: word = 78'h2315f271961472d30e72;
      7'd18: word = 78'h2346b7d7661ce6610fea;
      7'd19: word = 78'h2377c108862565ad1164;
      7'd20: word = 78'h23a90e63562df0c712e0;
      7'd21: word = 78'h23daa046863687c3145e;
      7'd22: word = 78'h240c7711463f2ab115de;
      7'd23: word = 78'h243e93238647d99f1760;
      7'd24: word = 78'h2470f4dd7650949d18e4;
      7'd25: word = 78'h24a39c9fe6595bc11a6b;
      7'd26: word = 78'h24d68acc56622f171bf4;
      7'd27: word = 78'h2509bfc4766b0eb11d7e;
      7'd28: word = 78'h253d3beac673faa31f0b;
      7'd29: word = 78'h2570ffa2467cf2f9209a;
      7'd30: word = 78'h25a50b4e5685f7c9222b;
      7'd31: word = 78'h25d95f53068f092123bf;
      7'd32: word = 78'h260dfc14f69827152554;
      7'd33: word = 78'h2642e1f926a151b526ec;
      7'd34: word = 78'h2678116556aa89132886;
      7'd35: word = 78'h26ad8abfb6b3cd412a22;
      7'd36: word = 78'h26e34e6f06bd1e4f2bc0;
      7'd37: word = 78'h27195cda96c67c512d61;
      7'd38: word = 78'h274fb66a56cfe7592f04;
      7'd39: word = 78'h27865b86b6d95f7930a9;
      7'd40: word = 78'h27bd4c98b6e2e4c13251;
      7'd41: word = 78'h27f48a09e6ec774533fb;
      7'd42: word = 78'h282c144486f6171935a7;
      7'd43: word = 78'h2863ebb336ffc44d3755;
      7'd44: word = 78'h289c10c157097ef53906;
      7'd45: word = 78'h28d483dad71347213ab9;
      7'd46: word = 78'h290d456c171d1ce93c6e;
      7'd47: word = 78'h294655e24727005b3e26;
      7'd48: word = 78'h297fb5ab0730f18b3fe1;
      7'd49: word = 78'h29b96534973af08f419d;
      7'd50: word = 78'h29f364edd744fd77435c;
      7'd51: word = 78'h2a2db546374f1857451e;
      7'd52: word = 78'h2a6856add759414546e2;
      7'd53: word = 78'h2aa349955763785148a8;
      7'd54: word = 78'h2ade8e6e076dbd8f4a71;
      7'd55: word = 78'h2b1a25a9d77811154c3c;
      7'd56: word = 78'h2b560fbb378272f74e0a;
      7'd57: word = 78'h2b924d15578ce3454fda;
      7'd58: word = 78'h2bcede2bf797621751ad;
      7'd59: word = 78'h2c0bc37397a1ef815383;
      7'd60: word = 78'h2c48fd6117ac8b93555b;
      7'd61: word = 78'h2c868c6a47b736675735;
      7'd62: word = 78'h2cc4710557c1f00f5912;
      7'd63: word = 78'h2d02aba947ccb89f5af2;
      7'd64: word = 78'h2d413ccda7d7902b5cd4;
      7'd65: word = 78'h2d8024eac7e276cb5eb9;
      7'd66: word = 78'h2dbf647977ed6c9160a1;
      7'd67: word = 78'h2dfefbf347f87195628b;
      7'd68: word = 78'h2e3eebd2880385e96478;
      7'd69: word = 78'h2e7f3491f80ea9a36667;
      7'd70: word = 78'h2ebfd6ad3819dcd96859;
      7'd71: word = 78'h2f00d2a068251fa16a4e;
      7'd72: word = 78'h2f4228e8883072116c46;
      7'd73: word = 78'h2f83da03183bd43d6e40;
      7'd74: word = 78'h2fc5e66e5847463d703d;
      7'd75: word = 78'h30084ea92852c825723d;
      7'd76: word = 78'h304b1333485e5a0d7440;
      7'd77: word = 78'h308e348cf869fc097645;
      7'd78: word = 78'h30d1b3373875ae31784d;
      7'd79: word = 78'h31158fb3c881709b7a59;
      7'd80: word = 78'h3159ca85088d435d7c66;
      7'd81: word = 78'h319e642e2899268f7e77;
      7'd82: word = 78'h31e35d32e8a51a49808b;
      7'd83: word = 78'h3228b617d8b11e9d82a1;
      7'd84: word = 78'h326e6f6258bd33a784bb;
      7'd85: word = 78'h32b4899848c9597d86d7;
      7'd86: word = 78'h32fb054078d5903588f6;
      7'd87: word = 78'h3341e2e258e1d7e78b19;
      7'd88: word = 78'h3389230608ee30ab8d3e;
      7'd89: word = 78'h33d0c63488fa9a998f66;
      7'd90: word = 78'h3418ccf7790715c99191;
      7'd91: word = 78'h346137d95913a25193c0;
      7'd92: word = 78'h34aa07653920404b95f1;
      7'd93: word = 78'h34f33c27292cefd19825;
      7'd94: word = 78'h353cd6abb939b0f79a5c;
      7'd95: word = 78'h3586d780694683d79c97;
      7'd96: word = 78'h35d13f337953688d9ed4;
      7'd97: word = 78'h361c0e53e9605f2da115;
      7'd98: word = 78'h36674571696d67d3a359;
      7'd99: word = 78'h36b2e51c997a8297a5a0;
      7'd100: word = 78'h36feede6c987af93a7ea;
      7'd101: word = 78'h374b60620994eedfaa37;
      7'd102: word = 78'h37983d2169a24095ac87;
      7'd103: word = 78'h37e584b879afa4cfaedb;
      7'd104: word = 78'h383337bbd9bd1ba5b132;
      7'd105: word = 78'h388156c0d9caa533b38c;
      7'd106: word = 78'h38cfe25d89d84193b5ea;
      7'd107: word = 78'h391edb28e9e5f0dfb84a;
      7'd108: word = 78'h396e41bab9f3b32fbaae;
      7'd109: word = 78'h39be16ab9a0188a1bd16;
      7'd110: word = 78'h3a0e5a94ea0f714dbf80;
      7'd111: word = 78'h3a5f0e10fa1d6d4fc1ee;
      7'd112: word = 78'h3ab031bada2b7cc1c460;
      7'd113: word = 78'h3b01c62e6a399fbdc6d5;
      7'd114: word = 78'h3b53cc089a47d661c94d;
      7'd115: word = 78'h3ba643e6da5620c7cbc9;
      7'd116: word = 78'h3bf92e67da647f0bce48;
      7'd117: word = 78'h3c4c8c2aca72f147d0ca;
      7'd118: word = 78'h3ca05dcffa817799d350;
      7'd119: word = 78'h3cf4a3f86a901219d5da;
      7'd120: word = 78'h3d495f462a9ec0e9d867;
      7'd121: word = 78'h3d9e905c0aad841fdaf8;
      7'd122: word = 78'h3df437ddaabc5bdddd8c;
      7'd123: word = 78'h3e4a566fbacb483be024;
      7'd124: word = 78'h3ea0ecb7cada4957e2bf;
      7'd125: word = 78'h3ef7fb5c2ae95f51e55e;
      7'd126: word = 78'h3f4f83042af88a41e801;
      default: word = 78'h3fa784580b07ca47eaa7;
    endcase
  end

endmodule
