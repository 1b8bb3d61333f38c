// SPDX-License-Identifier: Apache-2.0
// Formatting of tables.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mixgrad::report {

/// 1234567 → "1,234,567"
std::string grouped(double value);
/// One line of at most `longest` columns. Long names lose their beginning, since the end of a path says more.
std::string shortened(const std::string& name, size_t longest = 28);
/// A field of a line of CSV, quoted where it must be (RFC 4180).
std::string csv_field(const std::string& text);
/// The words, separated by ", ", wrapped to lines of at most `width` columns; later lines are indented.
std::string listed(const std::vector<std::string>& words, size_t indent, size_t width = 100);

}  // namespace mixgrad::report
