// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <mixgrad/data.h>

namespace {

using namespace std::string_view_literals;

constexpr std::string_view two_images = "\0\0\x08\x03\0\0\0\2\0\0\0\1\0\0\0\1ab"sv;
constexpr std::string_view two_labels = "\0\0\x08\x01\0\0\0\2\0\1"sv;

}  // namespace

/// The bytes as images or, if they claim to have one dimension, as labels.
void mixgrad::fuzz::read_idx(const Folder& folder, std::string_view bytes) {
  const bool labels = bytes.size() > 3 && bytes[3] == '\1';
  for (const std::string part : {"train", "t10k"}) {
    folder.put(part + "-images-idx3-ubyte", labels ? two_images : bytes);
    folder.put(part + "-labels-idx1-ubyte", labels ? bytes : two_labels);
  }
  data::idx(folder.path(), 0);
}
