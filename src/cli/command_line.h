// SPDX-License-Identifier: Apache-2.0
// The words of a command line: what is refused, and how that is said.
#pragma once

#include <CLI/CLI.hpp>

namespace mixgrad::cli {

/// Has `app` parse the command line. Returns false where that was a wish for help or the version, which is then
/// printed. Throws bad_input naming the words that fit no command and no option, in the order typed, and what may have
/// been meant.
bool parse(CLI::App& app, int argc, char** argv);

}  // namespace mixgrad::cli
