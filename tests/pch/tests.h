// SPDX-License-Identifier: Apache-2.0
// Parsed once for all test files, which still include what they use.
#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>
