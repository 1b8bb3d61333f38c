// SPDX-License-Identifier: Apache-2.0
// Names of files, layers and classes are data: any bytes, which must not change the meaning of what they are written
// into.
#pragma once

#include <string>
#include <string_view>

namespace mixgrad {

/// `name`, with U+FFFD in place of bytes that are not UTF-8.
std::string valid_utf8(const std::string& name);
/// The same on one line, with a space in place of every control character.
std::string on_one_line(const std::string& name);
/// `name` in ASCII, for a comment in C: it can neither end the comment nor begin another, and it forms no trigraph.
std::string c_comment(std::string_view name);

}  // namespace mixgrad
