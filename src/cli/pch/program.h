// SPDX-License-Identifier: Apache-2.0
// Parsed once for all files of the program, which still include what they use.
#include <src/cli/json.h>
#include <src/cli/options.h>

#include <mixgrad/mixgrad.h>
