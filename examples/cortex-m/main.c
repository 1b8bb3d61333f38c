/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware that classifies the test images of a C package, and prints what that takes. The board is QEMU's mps2-an386, a
   Cortex-M4; on a chip, read its cycle counter instead of the timer. */
#define NET_NO_MAIN
#include "net_test.c" /* the images, as codes */

extern uint32_t end; /* of the static memory, from the linker script */

/* Instructions so far: QEMU counts one a nanosecond, the board's timer 25 MHz down. */
static uint32_t now(void) {
  volatile uint32_t *const timer = (volatile uint32_t *)0x40000000; /* control, value, reload */
  if ((timer[0] & 1) == 0) timer[2] = timer[1] = 0xffffffffu, timer[0] = 1;
  return 0u - timer[1] * 40u;
}

int main(void) {
  int image, i;
  for (image = 0; image < IMAGES; ++image) {
    int best = 0;
    const uint32_t start = now();
    uint32_t instructions;
    net_run(inputs + image * NET_INPUT_SIZE, output);
    instructions = now() - start;
    for (i = 1; i < NET_OUTPUT_SIZE; ++i) {
      if (output[i] > output[best]) best = i;
    }
    printf("image %d: class %d, %lu instructions\n", image, best, (unsigned long)instructions);
  }
  printf("memory: %d bytes for activations, %lu static in all; %d bytes of constants\n", NET_ARENA_BYTES,
         (unsigned long)((uint32_t)&end - 0x20000000u), NET_CONSTANT_BYTES);
  return 0;
}
