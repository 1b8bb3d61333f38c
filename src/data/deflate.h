// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace mixgrad::data {

/// Deflated data hold at most this many bytes per byte of their own.
inline constexpr uint64_t highest_deflate_ratio = 1032;

}  // namespace mixgrad::data
