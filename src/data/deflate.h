// SPDX-License-Identifier: Apache-2.0
// Compressed files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mixgrad::data {

/// Deflated data hold at most this many bytes per byte of their own.
inline constexpr uint64_t highest_deflate_ratio = 1032;

/// Whether a file's content begins as gzip writes it.
bool gzipped(std::string_view content);
/// The first `most` bytes that the gzipped `file` holds; all of them, compared with its checksum, where it holds fewer.
/// Throws bad_input naming a damaged file.
std::string gunzip(const std::string& file, size_t most);

}  // namespace mixgrad::data
