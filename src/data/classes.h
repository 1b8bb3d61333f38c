// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/data.h>

namespace mixgrad::data {

/// Up to two sentences: on classes without training images, and on classes that only lack test images.
std::vector<std::string> notes_on_empty_classes(const Dataset& train, const Dataset& test);

}  // namespace mixgrad::data
