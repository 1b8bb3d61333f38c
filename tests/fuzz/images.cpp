// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <mixgrad/data.h>

namespace mixgrad::fuzz {
namespace {

/// A folder with one class and one image, in both parts; read as it is, then resized.
void read_image(const Folder& folder, const std::string& extension, std::string_view bytes) {
  for (const std::string part : {"train", "test"})
    folder.put(extension + "/" + part + "/class/image." + extension, bytes);
  data::image_folder(folder.path() + "/" + extension, 0);
  data::image_folder(folder.path() + "/" + extension, 0, 0.1, {.image_shape = {3, 5, 7}, .fixed = true});
}

}  // namespace

void read_jpeg(const Folder& folder, std::string_view bytes) { read_image(folder, "jpg", bytes); }
void read_png(const Folder& folder, std::string_view bytes) { read_image(folder, "png", bytes); }

}  // namespace mixgrad::fuzz
