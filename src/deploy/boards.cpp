// SPDX-License-Identifier: Apache-2.0
#include "boards.h"

#include <fmt/core.h>

namespace mixgrad {
namespace {

constexpr const char* linker_script =
#include "src/board.ld.inc"
    ;
constexpr const char* start =
#include "src/start.c.inc"
    ;
constexpr const char* timer_of_25_mhz =
#include "src/clock.h.inc"
    ;

constexpr const char* emulated_program = "-nographic -semihosting -kernel program";
constexpr const char* counting = " -icount shift=0";  // an instruction takes a nanosecond of the emulated time

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
          .linking = fmt::format("--specs=rdimon.specs -nostartfiles -T board.ld -Wl,--defsym=memory={} start.c",
                                 mps3 ? "512K" : "4M"),
          .run = fmt::format("qemu-system-arm -M {} {}", machine, emulated_program),
          .counting = counting,
          .clock = mps3 ? timer_of_32_mhz : timer_of_25_mhz,
          .packages = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
          .files = {{"board.ld", linker_script}, {"start.c", start}}};
}

Board riscv32() {
  return {.name = "riscv32",
          .tools = "riscv64-unknown-elf-",
          .flags = "-march=rv32im -mabi=ilp32 --specs=picolibc.specs",
          .linking =
              "--oslib=semihost --crt0=hosted -Wl,--defsym=__flash=0x80000000,--defsym=__flash_size=4M,"
              "--defsym=__ram=0x80400000,--defsym=__ram_size=4M",
          .run = fmt::format("qemu-system-riscv32 -M virt -bios none {}", emulated_program),
          .counting = counting,
          .clock = instruction_register,
          .packages = "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc"};
}

#if defined(__x86_64__)
constexpr const char* host_unit = "cycles";  // of the time-stamp counter, at the processor's nominal frequency
constexpr const char* host_flags = "-march=native";
constexpr const char* host_clock = R"(#include <x86intrin.h>
static uint32_t now(void) { return (uint32_t)__rdtsc(); }
)";
#else
constexpr const char* host_unit = "nanoseconds";
constexpr const char* host_flags = "";
constexpr const char* host_clock = R"(#include <time.h>
static uint32_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint32_t)t.tv_sec * 1000000000u + (uint32_t)t.tv_nsec;
}
)";
#endif

Board host() {
  return {.name = "host",
          .tools = "",
          .flags = host_flags,
          .linking = "",
          .run = "./program",
          .counting = "",
          .clock = host_clock,
          .packages = "gcc binutils",
          .unit = host_unit,
          .runs = 200};
}

}  // namespace

const std::vector<Board>& boards() {
  static const std::vector<Board> all = {arm("cortex-m0plus", "mps2-an385"),
                                         arm("cortex-m3", "mps2-an385"),
                                         arm("cortex-m4", "mps2-an386"),
                                         arm("cortex-m7", "mps2-an500"),
                                         arm("cortex-m55", "mps3-an547", " -mfloat-abi=hard"),
                                         riscv32(),
                                         host()};
  return all;
}

}  // namespace mixgrad
