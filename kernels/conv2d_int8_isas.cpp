// SPDX-License-Identifier: Apache-2.0
// Which of the byte convolutions this CPU can run: those whose flags in meson.build it supports.
#include <vector>

#include "conv2d_int8_isas.h"
#include "cpu.h"

namespace mixgrad::kernels::int8 {

#ifdef __x86_64__

extern const Isa avx2, avx_vnni, avx512_vnni;

std::span<const Isa> isas() {
  static const std::vector<Isa> all = [] {
    std::vector<Isa> found;
    if (__builtin_cpu_supports("avx2")) found.push_back(avx2);
    if (has_avx_vnni()) found.push_back(avx_vnni);
    if (has_avx512() && __builtin_cpu_supports("avx512vnni")) found.push_back(avx512_vnni);
    return found;
  }();
  return all;
}

#else

std::span<const Isa> isas() { return {}; }

#endif

}  // namespace mixgrad::kernels::int8
