// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace mixgrad::test {

/// Whether the running test case has skipped itself.
bool& skipped_now();
/// Says why the running test case can't be run here; return from it afterwards.
void skip(const std::string& why);
/// The shared folder beside the repository ("../shared"), seen from the sources.
std::string shared_folder();

}  // namespace mixgrad::test
