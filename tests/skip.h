// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace mixgrad::test {

/// Whether the running test case has called skip().
bool& skipped_now();
/// Says why the running test case can't run here; return from it afterwards.
void skip(const std::string& why);
/// The shared folder next to the repository ("../shared"), relative to the sources.
std::string shared_folder();

}  // namespace mixgrad::test
