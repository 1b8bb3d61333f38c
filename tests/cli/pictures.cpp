// SPDX-License-Identifier: Apache-2.0
#include "pictures.h"

#include <mixgrad/io.h>
#include <mixgrad/rng.h>

#include <fmt/core.h>

#include <cstring>

namespace mixgrad::test {

namespace {

std::string npy_header(const char* type, const std::string& shape) {
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({},), }}", type, shape);
  header.append(117 - header.size(), ' ');
  return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + '\n';
}

}  // namespace

void write_array(const std::filesystem::path& file, const std::string& shape, const std::string& bytes) {
  io::write_file(file, npy_header("|u1", shape) + bytes);
}

std::string npy_of_floats(const std::string& shape, const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return npy_header("<f4", shape) + bytes;
}

namespace {

void write_part(const std::filesystem::path& folder, const std::string& part, int images) {
  Rng rng(1, part);
  std::string pixels, labels;
  for (int i = 0; i < images; ++i) {
    const int label = i % 10;
    labels += static_cast<char>(label);
    for (int p = 0; p < 32 * 32 * 3; ++p) pixels += static_cast<char>(20 * label + static_cast<int>(rng.below(50)));
  }
  write_array(folder / ("x_" + part + ".npy"), fmt::format("{}, 32, 32, 3", images), pixels);
  write_array(folder / ("y_" + part + ".npy"), fmt::format("{}", images), labels);
}

}  // namespace

std::string write_pictures(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  write_part(folder, "train", 120);
  write_part(folder, "test", 40);
  return "npy:" + folder.string();
}

}  // namespace mixgrad::test
