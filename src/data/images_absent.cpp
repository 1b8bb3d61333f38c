// SPDX-License-Identifier: Apache-2.0
// Builds without libjpeg and libpng.
#include <mixgrad/data.h>
#include <mixgrad/error.h>

#include "images_only.h"

namespace mixgrad::data {

namespace {

[[noreturn]] void refuse(const std::string& dir) {
  bad_input(
      "images:{}: this build does not support JPEG and PNG: use another data set, or build with Meson's option images",
      dir);
}

}  // namespace

bool reads_images() { return false; }
Splits image_folder(const std::string& dir, uint64_t, double, const ReadOptions&) { refuse(dir); }
Splits files_of_images(const std::string& path, const ReadOptions&) { refuse(path); }

}  // namespace mixgrad::data
