// SPDX-License-Identifier: Apache-2.0
// Names that come from outside, in command lines that are shown.
#pragma once

#include <string>

namespace mixgrad {

/// Whether JSON, TOML and safetensors can hold `text`; a path's bytes may be any.
bool is_utf8(const std::string& text);

/// `text` as one word of a shell's command line, in quotes where it needs them. Control characters and bytes that are not
/// UTF-8 become escapes ($'\012', which bash and zsh read), so that the word can be shown and copied.
std::string shell_word(const std::string& text);

}  // namespace mixgrad
