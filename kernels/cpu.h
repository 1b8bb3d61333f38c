// SPDX-License-Identifier: Apache-2.0
// What this CPU supports, and what this build uses of it.
#pragma once

#include <string>
#include <vector>

namespace mixgrad::kernels {

/// Which of avx2, avx_vnni, avx512f, avx512_vnni, avx512_bf16 and amx the CPU supports.
std::vector<std::string> cpu_features();

/// Whether the CPU adds up products of bytes in registers of 256 bits.
bool has_avx_vnni();

/// Whether the CPU has the AVX-512 of servers: F, BW, DQ and VL.
bool has_avx512();

/// Whether it also adds up products of bfloat16 in these registers.
bool has_avx512_bf16();

/// Whether it multiplies matrices of bfloat16 and of bytes.
bool has_amx();

/// Like "2.6.3"; empty in builds without oneDNN.
std::string onednn_version();

/// oneDNN's name of the newest instruction set that it uses, like "avx512_core_bf16". ONEDNN_MAX_CPU_ISA may limit it.
std::string onednn_isa();

/// Whether this build and CPU multiply in bfloat16 faster than in float (AMX or AVX512_BF16).
bool bfloat16_is_fast();

}  // namespace mixgrad::kernels
