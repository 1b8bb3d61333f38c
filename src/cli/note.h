// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <src/internal/names.h>

#include <fmt/core.h>

#include <cstdio>
#include <string>

namespace mixgrad::cli {

/// Notes may quote names of files with any bytes.
inline void print_note(const std::string& note) { fmt::print(stderr, "mixgrad: note: {}\n", on_one_line(note)); }

}  // namespace mixgrad::cli
