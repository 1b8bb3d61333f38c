// SPDX-License-Identifier: Apache-2.0
// Parsing of the command line, with clear errors.
#pragma once

#include <CLI/CLI.hpp>

namespace mixgrad::cli {

/// Parses the command line with `app`. Returns false if it asked for help or the version, which is then printed. Throws
/// bad_input naming words that match no command or option, in the order typed, and suggesting what was probably meant.
bool parse(CLI::App& app, int argc, char** argv);

}  // namespace mixgrad::cli
