// SPDX-License-Identifier: Apache-2.0
// Reading compressed files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mixgrad::data {

/// The highest possible compression ratio of deflate.
inline constexpr uint64_t highest_deflate_ratio = 1032;

/// Whether `content` starts with gzip's magic bytes.
bool gzipped(std::string_view content);
/// The first `most` bytes of the decompressed `file`, or all of them, with the checksum verified, if there are fewer.
/// Throws bad_input naming a corrupt file.
std::string gunzip(const std::string& file, size_t most);

}  // namespace mixgrad::data
