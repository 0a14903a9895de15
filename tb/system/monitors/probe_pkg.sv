// SPDX-License-Identifier: Apache-2.0
// Reports of the monitors inside the design to the bench (tb/system/probe.hpp); kinds and fields are those of ProbeKind.

package probe_pkg;
  import "DPI-C" function void kvsink_monitor(
    input int kind,
    input longint unsigned f0,
    input longint unsigned f1,
    input longint unsigned f2,
    input longint unsigned f3,
    input longint unsigned f4,
    input longint unsigned f5,
    input longint unsigned f6,
    input longint unsigned f7,
    input longint unsigned f8,
    input longint unsigned f9
  );

  localparam int Retire = 1;
  localparam int TagCommand = 2;
  localparam int TagAck = 3;
  localparam int Lookup = 4;
  localparam int Hit = 5;
  localparam int Command = 6;
  localparam int Done = 7;
  localparam int WalkAnswer = 8;
  localparam int ScoreCommand = 9;
  localparam int ScoreAnswer = 10;
  localparam int Progress = 11;
  localparam int DmaEnd = 12;
  localparam int LogEvent = 13;
  localparam int Trace = 14;
  localparam int MuxLookup = 15;
  localparam int MuxNext = 16;
  localparam int Seen = 17;
endpackage
