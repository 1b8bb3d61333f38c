// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/data.h>

namespace mixgrad::data {

/// A sentence for the classes that no training image has, and one for those that only no test image has; none where
/// there are none.
std::vector<std::string> notes_on_empty_classes(const Dataset& train, const Dataset& test);

}  // namespace mixgrad::data
