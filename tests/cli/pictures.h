// SPDX-License-Identifier: Apache-2.0
// A small data set on disk, for tests that run the program.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace mixgrad::test {

/// A .npy file of bytes; `shape` as "40, 10".
void write_array(const std::filesystem::path& file, const std::string& shape, const std::string& bytes);
/// The content of a .npy file of floats.
std::string npy_of_floats(const std::string& shape, const std::vector<float>& values);
/// Writes 120 training and 40 test images (3 × 32 × 32, ten classes that differ in brightness) as NumPy arrays into
/// `folder`; returns the argument of --data.
std::string write_pictures(const std::filesystem::path& folder);

}  // namespace mixgrad::test
