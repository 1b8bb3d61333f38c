// SPDX-License-Identifier: Apache-2.0
// Cells of tables.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mixgrad::report {

/// 1234567 → "1,234,567"
std::string grouped(double value);
/// On one line, at most `longest` columns: the end of a long path says more than its beginning.
std::string shortened(const std::string& name, size_t longest = 28);
/// The words, separated by ", ", broken into lines of at most `width` columns, later ones after `indent` spaces.
std::string listed(const std::vector<std::string>& words, size_t indent, size_t width = 100);

}  // namespace mixgrad::report
