// SPDX-License-Identifier: Apache-2.0
// Escaping. Names of files, layers and classes may contain any bytes and must not change the meaning of the text they
// are written into.
#pragma once

#include <string>
#include <string_view>

namespace mixgrad {

/// `name` with invalid UTF-8 replaced by U+FFFD.
std::string valid_utf8(const std::string& name);
/// The same on one line: control characters become spaces.
std::string on_one_line(const std::string& name);
/// Whether JSON, TOML and safetensors can hold `text`. (A path may contain any bytes.)
bool is_utf8(const std::string& text);
/// `text` as one shell word, quoted if necessary. Control characters and invalid UTF-8 are escaped ($'\012', understood
/// by bash and zsh), so that the word can be displayed and copied.
std::string shell_word(const std::string& text);
/// `name` in ASCII, for a comment in C: it can neither end nor begin a comment, and contains no trigraph.
std::string c_comment(std::string_view name);

}  // namespace mixgrad
