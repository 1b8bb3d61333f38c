// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/error.h>

#include <doctest/doctest.h>

#include <functional>
#include <string>

namespace mixgrad::test {

/// The message of the error that `what` throws, which must be of this kind; "accepted" if it throws none.
inline std::string refusal(const std::function<void()>& what, Error::Kind kind = Error::Kind::bad_input) {
  try {
    what();
  } catch (const Error& e) {
    CHECK(e.kind() == kind);
    return e.what();
  }
  return "accepted";
}

}  // namespace mixgrad::test
