// SPDX-License-Identifier: Apache-2.0
// JSON as text. Compiled once: nlohmann's parser and serializer are templates that take long to compile.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace mixgrad {

/// Throws json::parse_error.
nlohmann::json parse_json(std::string_view text);
/// Keeps the order of keys. Throws json::parse_error.
nlohmann::ordered_json parse_ordered_json(std::string_view text);

/// On one line, or indented by `indent` spaces. NaN and infinity become null, and invalid UTF-8, which names of files
/// may contain, U+FFFD.
std::string json_text(const nlohmann::json& value, int indent = -1);
std::string json_text(const nlohmann::ordered_json& value, int indent = -1);

}  // namespace mixgrad
