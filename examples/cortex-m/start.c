/* SPDX-License-Identifier: Apache-2.0 */
/* What a Cortex-M needs before main. QEMU has loaded .data and cleared .bss; files and exit go through semihosting. */
#include <stdint.h>
#include <stdio.h>

extern uint32_t stack_top;
extern void initialise_monitor_handles(void);
extern int main(void);
extern void _exit(int code);

void reset(void);
void reset(void) {
  int code;
#ifdef __ARM_FP
  *(volatile uint32_t *)0xe000ed88 |= 0xf << 20; /* allows instructions on vectors */
  __asm volatile("dsb\n isb");
#endif
  initialise_monitor_handles();
  code = main();
  fflush(stdout);
  _exit(code);
}

static const struct {
  uint32_t *stack;
  void (*reset)(void);
} vectors __attribute__((section(".vectors"), used)) = {&stack_top, reset};
