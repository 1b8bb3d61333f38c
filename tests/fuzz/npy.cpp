// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <mixgrad/data.h>

namespace {

using namespace std::string_view_literals;

constexpr std::string_view two_images =
    "\x93NUMPY\1\0\x40\0{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 1), }  ab"sv;
constexpr std::string_view two_labels =
    "\x93NUMPY\1\0\x40\0{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }       \0\1"sv;

}  // namespace

/// The bytes as images in both orders of axes or, if their shape has one dimension or four that end in 1, as labels.
void mixgrad::fuzz::read_npy(const Folder& folder, std::string_view bytes) {
  const std::string_view header = bytes.substr(0, 128);
  const bool labels = header.find(",)") != header.npos || header.find(", 1, 1, 1, 1)") != header.npos;
  for (const std::string part : {"train", "test"}) {
    folder.put("x_" + part + ".npy", labels ? two_images : bytes);
    folder.put("y_" + part + ".npy", labels ? bytes : two_labels);
  }
  for (const data::Layout layout : {data::Layout::nhwc, data::Layout::nchw})
    data::numpy(folder.path(), 0, 0.1, {.layout = layout});
}
