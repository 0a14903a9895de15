/* SPDX-License-Identifier: Apache-2.0 */
#include "sw/driver/include/kvs.h"

static int mmio_read32(void* context, uint32_t addr, uint32_t* value) {
  *value = ((volatile uint32_t*)context)[addr / 4];
  return 0;
}

static int mmio_write32(void* context, uint32_t addr, uint32_t value) {
  ((volatile uint32_t*)context)[addr / 4] = value;
  return 0;
}

kvs_io kvs_mmio(volatile uint32_t* base) {
  /* Only these two functions use the pointer, as volatile again. */
  const kvs_io io = {.context = (void*)(uintptr_t)base, .read32 = mmio_read32, .write32 = mmio_write32};
  return io;
}
