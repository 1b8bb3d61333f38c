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
/// Whether JSON, TOML and safetensors can hold `text`; a path's bytes may be any.
bool is_utf8(const std::string& text);
/// `text` as one word of a shell's command line, in quotes where it needs them. Control characters and bytes that are
/// not UTF-8 become escapes ($'\012', which bash and zsh read), so that the word can be shown and copied.
std::string shell_word(const std::string& text);
/// `name` in ASCII, for a comment in C: it can neither end the comment nor begin another, and it forms no trigraph.
std::string c_comment(std::string_view name);

}  // namespace mixgrad
