// SPDX-License-Identifier: Apache-2.0
#include "boards.h"

#include <fmt/core.h>

namespace mixgrad {
namespace {

/// {0}: the board; {1}: the size of code and of data.
constexpr const char* linker_script = R"(/* QEMU: {0} */
ENTRY(reset)
MEMORY {{ code (rx) : ORIGIN = 0x00000000, LENGTH = {1}  data (rw) : ORIGIN = 0x20000000, LENGTH = {1} }}
SECTIONS {{
  .text : {{ KEEP(*(.vectors)) *(.text*) *(.rodata*) . = ALIGN(8); }} > code
  .ARM.exidx : {{ *(.ARM.exidx*) }} > code
  .data : {{ *(.data*) . = ALIGN(8); }} > data
  .bss : {{ *(.bss*) *(COMMON) . = ALIGN(8); end = .; }} > data
  stack_top = ORIGIN(data) + LENGTH(data);
}}
)";

constexpr const char* start =
    R"(/* What a Cortex-M needs before main. QEMU has loaded .data and cleared .bss; files and exit go through semihosting. */
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
)";

// An instruction takes a nanosecond of the emulated time (-icount shift=0).

constexpr const char* timer_of_25_mhz = R"(static uint32_t now(void) {
  volatile uint32_t *const timer = (volatile uint32_t *)0x40000000;   /* control, value, reload; counts down */
  if ((timer[0] & 1) == 0) timer[2] = timer[1] = 0xffffffffu, timer[0] = 1;
  return 0u - timer[1] * 40u;
}
)";

constexpr const char* timer_of_32_mhz = R"(static uint32_t now(void) {
  volatile uint32_t *const timer = (volatile uint32_t *)0xe000e010;   /* control, reload, value; counts 24 bits down */
  static uint32_t last, ticks;
  uint32_t value;
  if ((timer[0] & 1) == 0) timer[1] = 0xffffffu, timer[2] = 0, timer[0] = 5;
  value = timer[2];
  ticks += (last - value) & 0xffffffu;
  last = value;
  return (uint32_t)((uint64_t)ticks * 125 / 4);
}
)";

constexpr const char* instruction_register = R"(static uint32_t now(void) {
  uint32_t x;
  __asm volatile(".option arch, +zicsr\n csrr %0, minstret" : "=r"(x));
  return x;
}
)";

Board arm(const std::string& cpu, const std::string& machine, const std::string& more_flags = "") {
  const bool mps3 = machine == "mps3-an547";
  return {.name = cpu,
          .tools = "arm-none-eabi-",
          .flags = fmt::format("-mcpu={} -mthumb{}", cpu, more_flags),
          .linking = "--specs=rdimon.specs -nostartfiles -T board.ld start.c",
          .emulator = fmt::format("qemu-system-arm -M {} -nographic -semihosting", machine),
          .clock = mps3 ? timer_of_32_mhz : timer_of_25_mhz,
          .files = {{"board.ld", fmt::format(fmt::runtime(linker_script), machine, mps3 ? "512K" : "4M")},
                    {"start.c", start}},
          .packages = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"};
}

Board riscv32() {
  return {.name = "riscv32",
          .tools = "riscv64-unknown-elf-",
          .flags = "-march=rv32im -mabi=ilp32 --specs=picolibc.specs",
          .linking =
              "--oslib=semihost --crt0=hosted -Wl,--defsym=__flash=0x80000000,--defsym=__flash_size=4M,"
              "--defsym=__ram=0x80400000,--defsym=__ram_size=4M",
          .emulator = "qemu-system-riscv32 -M virt -bios none -nographic -semihosting",
          .clock = instruction_register,
          .packages = "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc"};
}

}  // namespace

const std::vector<Board>& boards() {
  static const std::vector<Board> all = {arm("cortex-m0plus", "mps2-an385"),
                                         arm("cortex-m3", "mps2-an385"),
                                         arm("cortex-m4", "mps2-an386"),
                                         arm("cortex-m7", "mps2-an500"),
                                         arm("cortex-m55", "mps3-an547", " -mfloat-abi=hard"),
                                         riscv32()};
  return all;
}

}  // namespace mixgrad
