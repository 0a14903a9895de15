// SPDX-License-Identifier: Apache-2.0
// The sizes of a kvsink instance, by named configuration.
//
// One define chooses the configuration (KVSINK_CONFIG_SMALL, _DEFAULT or _LARGE; none means default); for sweeps one
// value may be overridden on its own, e.g. -DKVSINK_ENTRIES=128. Nothing else in rtl/ reads a define for a size.
// Software reads the same values from the capability registers; the C++ side never repeats them.

package kvsink_cfg_pkg;

  typedef struct packed {
    int unsigned layers;        // decoder layers
    int unsigned q_heads;       // query heads
    int unsigned kv_heads;      // key/value heads
    int unsigned row_bytes;     // longest row of one plane, in bytes
    int unsigned positions;     // longest sequence of an owner, in tokens
    int unsigned scored;        // positions that the scorer holds, counted from 0
    int unsigned owners;        // owner contexts
    int unsigned entries;       // tag array entries (granules of 16 tokens)
    int unsigned slots;         // slots of all profiles together
    int unsigned sram_bytes;    // slot SRAM
    int unsigned translations;  // block table words held by the walker
    int unsigned readers;       // lookup lists of the bypass mux
    int unsigned profiles;      // profiles
    int unsigned plans;         // plans at a time
    int unsigned plan_items;    // items a plan
    int unsigned lanes;         // fp32 lanes of the merge unit
    int unsigned bus_bits;      // AXI4 read data
    int unsigned row_reads;     // row reads in flight
    int unsigned log_records;   // ring of the event log
    int unsigned top_k;         // sinks picked in one pass over the scores
    int unsigned bulk_beats;    // bulk return buffer, in beats
  } cfg_t;

  localparam cfg_t CfgSmall = '{
      layers: 8,
      q_heads: 8,
      kv_heads: 4,
      row_bytes: 128,
      positions: 512,
      scored: 512,
      owners: 4,
      entries: 16,
      slots: 32,
      sram_bytes: 65536,
      translations: 64,
      readers: 4,
      profiles: 2,
      plans: 2,
      plan_items: 32,
      lanes: 4,
      bus_bits: 128,
      row_reads: 32,
      log_records: 256,
      top_k: 16,
      bulk_beats: 512
  };
  localparam cfg_t CfgDefault = '{
      layers: 128,
      q_heads: 128,
      kv_heads: 64,
      row_bytes: 1152,
      positions: 131072,
      scored: 32768,
      owners: 64,
      entries: 64,
      slots: 256,
      sram_bytes: 4194304,
      translations: 2048,
      readers: 8,
      profiles: 4,
      plans: 2,
      plan_items: 64,
      lanes: 8,
      bus_bits: 256,
      row_reads: 128,
      log_records: 1024,
      top_k: 64,
      bulk_beats: 512
  };
  localparam cfg_t CfgLarge = '{
      layers: 128,
      q_heads: 128,
      kv_heads: 64,
      row_bytes: 1152,
      positions: 131072,
      scored: 131072,
      owners: 512,
      entries: 512,
      slots: 4096,
      sram_bytes: 100663296,
      translations: 8192,
      readers: 16,
      profiles: 8,
      plans: 4,
      plan_items: 64,
      lanes: 16,
      bus_bits: 512,
      row_reads: 256,
      log_records: 4096,
      top_k: 64,
      bulk_beats: 512
  };

`ifdef KVSINK_CONFIG_SMALL
  localparam cfg_t Named = CfgSmall;
  localparam int unsigned ConfigId = 0;
`elsif KVSINK_CONFIG_LARGE
  localparam cfg_t Named = CfgLarge;
  localparam int unsigned ConfigId = 2;
`else
  localparam cfg_t Named = CfgDefault;
  localparam int unsigned ConfigId = 1;
`endif

  // One line a value that a sweep may set.
`ifndef KVSINK_ENTRIES
  `define KVSINK_ENTRIES Named.entries
`endif
`ifndef KVSINK_LANES
  `define KVSINK_LANES Named.lanes
`endif
`ifndef KVSINK_BUS_BITS
  `define KVSINK_BUS_BITS Named.bus_bits
`endif
`ifndef KVSINK_ROW_READS
  `define KVSINK_ROW_READS Named.row_reads
`endif
`ifndef KVSINK_PROMO_CHANNELS
  `define KVSINK_PROMO_CHANNELS 2
`endif
`ifndef KVSINK_BULK_BEATS
  `define KVSINK_BULK_BEATS Named.bulk_beats
`endif

  localparam int unsigned Layers = Named.layers;
  localparam int unsigned QHeads = Named.q_heads;
  localparam int unsigned KvHeads = Named.kv_heads;
  localparam int unsigned RowBytes = Named.row_bytes;
  localparam int unsigned Positions = Named.positions;
  localparam int unsigned Scored = Named.scored;
  localparam int unsigned Owners = Named.owners;
  localparam int unsigned Entries = `KVSINK_ENTRIES;
  localparam int unsigned Slots = Named.slots;
  localparam int unsigned SramBytes = Named.sram_bytes;
  localparam int unsigned Translations = Named.translations;
  localparam int unsigned Readers = Named.readers;
  localparam int unsigned Profiles = Named.profiles;
  localparam int unsigned Plans = Named.plans;
  localparam int unsigned PlanItems = Named.plan_items;
  localparam int unsigned Lanes = `KVSINK_LANES;
  localparam int unsigned BusBits = `KVSINK_BUS_BITS;
  localparam int unsigned RowReads = `KVSINK_ROW_READS;
  localparam int unsigned LogRecords = Named.log_records;
  localparam int unsigned TopK = Named.top_k;
  localparam int unsigned BulkBeats = `KVSINK_BULK_BEATS;
  localparam int unsigned PromoChannels = `KVSINK_PROMO_CHANNELS;  // tiers of the promotion told apart

endpackage
