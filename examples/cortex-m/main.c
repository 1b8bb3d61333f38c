/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware that classifies the test images of a C package, and prints what that takes. The board is QEMU's mps2-an386, a
   Cortex-M4. */
#define NET_NO_MAIN
#include "net_test.c" /* the images, as codes */

#include "clock.h"

extern uint32_t end; /* of the static memory, from the linker script */

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
