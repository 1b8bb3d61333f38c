// SPDX-License-Identifier: Apache-2.0
// Parsed once for all files of the library, which still include what they use.
#include <mixgrad/mixgrad.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>
