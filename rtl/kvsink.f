// SPDX-License-Identifier: Apache-2.0
// All of the block, packages first.
-f rtl/pkg/files.f
-f rtl/common/files.f
-f rtl/walk/files.f
-f rtl/tag/files.f
-f rtl/port/files.f
-f rtl/bypass/files.f
-f rtl/dma/files.f
-f rtl/sram/files.f
-f rtl/residency/files.f
-f rtl/score/files.f
-f rtl/merge/files.f
-f rtl/csr/files.f
-f rtl/log/files.f
-f rtl/top/files.f
