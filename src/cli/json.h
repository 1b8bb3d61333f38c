// SPDX-License-Identifier: Apache-2.0
// What --json prints.
#pragma once

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace mixgrad::cli {

/// One line. A number that is not one becomes null; a folder's name need not be UTF-8.
inline void print_json(const nlohmann::ordered_json& object) {
  fmt::print("{}\n", object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace mixgrad::cli
