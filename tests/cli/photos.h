// SPDX-License-Identifier: Apache-2.0
// Pictures as files, for tests that read them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace mixgrad::test {

/// A PNG file of these pixels; `format` is one of libpng's PNG_FORMAT_*.
std::string png(const std::vector<uint8_t>& pixels, unsigned width, unsigned height, unsigned format);

/// Writes ten training and ten test photos of each class, in several sizes, to `folder`/{train,test}/CLASS/. Each class
/// is brighter than the one before.
void write_photos(const std::filesystem::path& folder, const std::vector<std::string>& classes = {"dark", "light"});

}  // namespace mixgrad::test
