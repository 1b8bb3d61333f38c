// SPDX-License-Identifier: Apache-2.0
// The readers behind images_only.
#pragma once

#include <mixgrad/data.h>

#include <string>

namespace mixgrad::data {

/// A .npy file with images.
Splits numpy_images(const std::string& file, const ReadOptions& options);
/// An image file, or all of a folder and the folders in it.
Splits files_of_images(const std::string& path, const ReadOptions& options);

}  // namespace mixgrad::data
