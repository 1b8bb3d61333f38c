// SPDX-License-Identifier: Apache-2.0
// One program for all targets, run by libFuzzer: mixgrad-fuzz --target=NAME [FLAGS of libFuzzer] CORPUS
#include "targets.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

const mixgrad::fuzz::Target* chosen = nullptr;

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

/// Repairs the length in a safetensors header seven times out of eight: otherwise few mutations would get past it.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  uint64_t length = 0;
  if (size > sizeof length) std::memcpy(&length, data, sizeof length);
  if (!chosen->safetensors || seed % 8 == 0 || length == 0 || length > size - sizeof length)
    return LLVMFuzzerMutate(data, size, max_size);
  const uint8_t* header = data + sizeof length;
  const std::vector<uint8_t> values(header + length, static_cast<const uint8_t*>(data) + size);
  length = LLVMFuzzerMutate(data + sizeof length, length, max_size - sizeof length - values.size());
  std::memcpy(data, &length, sizeof length);
  if (!values.empty()) std::memcpy(data + sizeof length + length, values.data(), values.size());
  return sizeof length + length + values.size();
}

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view flag = "--target=";  // libFuzzer ignores arguments that start with two dashes
  for (int i = 1; i < *argc; ++i) {
    const std::string_view argument = (*argv)[i];
    for (const auto& target : mixgrad::fuzz::targets()) {
      if (argument.starts_with(flag) && argument.substr(flag.size()) == target.name) chosen = &target;
    }
  }
  if (chosen != nullptr) return 0;
  std::fputs("mixgrad-fuzz: expected --target=NAME, with one of", stderr);
  for (const auto& target : mixgrad::fuzz::targets()) std::fprintf(stderr, " %s", target.name);
  std::fputs("\n", stderr);
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mixgrad::fuzz::complaint_of(*chosen, {reinterpret_cast<const char*>(data), size});
  return 0;
}
