/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

/* Instructions so far: QEMU counts one a nanosecond, the board's timer 25 MHz down. A chip has a cycle counter. */
static uint32_t now(void) {
  volatile uint32_t* const timer = (volatile uint32_t*)0x40000000; /* control, value, reload */
  if ((timer[0] & 1) == 0) timer[2] = timer[1] = 0xffffffffu, timer[0] = 1;
  return 0u - timer[1] * 40u;
}
