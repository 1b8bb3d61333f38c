// SPDX-License-Identifier: Apache-2.0
#include "cpu.h"

#ifdef MIXGRAD_ONEDNN
#include <dnnl.hpp>
#endif
#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace mixgrad::kernels {

// AVX-VNNI and AMX are in leaf 7 of CPUID: compilers from 2022 have no names for them. The instruction is slow in a
// virtual machine, so it runs once.
#ifdef __x86_64__

bool has_avx_vnni() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & 1U << 4) != 0;
  }();
  return has;
}

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

bool has_amx() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & 1U << 24) != 0;
  }();
  return has;
}

#else

bool has_avx_vnni() { return false; }
bool has_avx512() { return false; }
bool has_avx512_bf16() { return false; }
bool has_amx() { return false; }

#endif

std::vector<std::string> cpu_features() {
  std::vector<std::string> found;
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) found.emplace_back("avx2");
  if (has_avx_vnni()) found.emplace_back("avx_vnni");
  if (__builtin_cpu_supports("avx512f")) found.emplace_back("avx512f");
  if (__builtin_cpu_supports("avx512vnni")) found.emplace_back("avx512_vnni");
  if (__builtin_cpu_supports("avx512bf16")) found.emplace_back("avx512_bf16");
  if (has_amx()) found.emplace_back("amx");
#endif
  return found;
}

#ifdef MIXGRAD_ONEDNN

namespace {

bool uses(dnnl_cpu_isa_t isa) { return (dnnl_get_effective_cpu_isa() & isa) == isa; }

}  // namespace

std::string onednn_version() {
  const dnnl_version_t& v = *dnnl_version();
  return std::to_string(v.major) + '.' + std::to_string(v.minor) + '.' + std::to_string(v.patch);
}

std::string onednn_isa() {
  struct Isa {
    dnnl_cpu_isa_t isa;
    const char* name;
  };
  for (const Isa& i :
       {Isa{dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"}, Isa{dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
        Isa{dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"}, Isa{dnnl_cpu_isa_avx512_core, "avx512_core"},
        Isa{dnnl_cpu_isa_avx2_vnni, "avx2_vnni"}, Isa{dnnl_cpu_isa_avx2, "avx2"}, Isa{dnnl_cpu_isa_avx, "avx"},
        Isa{dnnl_cpu_isa_sse41, "sse41"}}) {
    if (uses(i.isa)) return i.name;
  }
  return "none";
}

bool bfloat16_is_fast() {
  static const bool fast = uses(dnnl_cpu_isa_avx512_core_bf16);
  return fast;
}

#else

std::string onednn_version() { return {}; }
std::string onednn_isa() { return "none"; }
bool bfloat16_is_fast() { return false; }

#endif

}  // namespace mixgrad::kernels
