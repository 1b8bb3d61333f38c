// SPDX-License-Identifier: Apache-2.0
// Builds without libjpeg-turbo and libpng.
#include <mixgrad/data.h>
#include <mixgrad/error.h>

namespace mixgrad::data {

Splits image_folder(const std::string& dir, uint64_t, double, const ReadOptions&) {
  bad_input(
      "images:{}: this build does not support JPEG and PNG: use another data set, or build with Meson's option images",
      dir);
}

}  // namespace mixgrad::data
