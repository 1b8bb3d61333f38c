// SPDX-License-Identifier: Apache-2.0
// What this CPU has, and what of it this build uses.
#pragma once

#include <string>
#include <vector>

namespace mixgrad::kernels {

/// Those of avx2, avx512f, avx512_vnni, avx512_bf16 and amx that the CPU has.
std::vector<std::string> cpu_features();

/// Like "2.6.3"; empty in builds without oneDNN.
std::string onednn_version();

/// The newest instruction set that oneDNN uses, in its words, like "avx512_core_bf16". ONEDNN_MAX_CPU_ISA may limit it.
std::string onednn_isa();

/// Whether this build and CPU multiply in bfloat16 faster than in float (AMX or AVX512_BF16).
bool bfloat16_is_fast();

/// Whether this build multiplies bytes fast and exactly: u8 · s8 in pairs needs 17 bits, and only VNNI adds four
/// products without a stop at 16.
bool int8_is_fast();

}  // namespace mixgrad::kernels
