/* SPDX-License-Identifier: Apache-2.0
   What a Cortex-M needs before main. QEMU has loaded .data and cleared .bss; files and exit go through semihosting. */
#include <stdint.h>
#include <stdio.h>

extern uint32_t stack_top;
extern void initialise_monitor_handles(void);
extern int main(void);
extern void _exit(int code);

void reset(void);
void reset(void) {
  initialise_monitor_handles();
  const int code = main();
  fflush(stdout);
  _exit(code);
}

static const struct {
  uint32_t *stack;
  void (*reset)(void);
} vectors __attribute__((section(".vectors"), used)) = {&stack_top, reset};
