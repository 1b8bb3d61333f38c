// SPDX-License-Identifier: Apache-2.0
// A binary built on one CPU runs on an older one, where a network found has the same codes and results as here.
#include "../shell.h"
#include "../skip.h"
#include "workplace.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

using namespace mixgrad;

TEST_CASE("cli: on a CPU without AVX-512, the network found has the same codes and results") {
#if defined(__SANITIZE_ADDRESS__)
  test::skip("a program under AddressSanitizer asks qemu for more memory than there is");
#elif defined(__x86_64__)
  if (!test::has("qemu-x86_64")) return test::skip("no qemu-x86_64: apt-get install qemu-user");
  const test::Workplace place;
  const auto here = [&](const std::string& arguments) { return test::mixgrad_run(place, arguments); };
  const auto there = [&](const std::string& arguments) {
    return test::shell_run(
        place, fmt::format("OMP_NUM_THREADS=1 qemu-x86_64 -cpu Haswell '{}' {}", test::binary(), arguments));
  };
  REQUIRE(here(test::quick(place) + "--quiet --out run").exit_code == 0);
  for (const std::string arguments : {"eval run", "verify run --images 3"}) {
    const test::Outcome native = here(arguments), emulated = there(arguments);
    CAPTURE(arguments);
    CAPTURE(emulated.err);
    CHECK(native.exit_code == 0);
    CHECK(emulated.exit_code == 0);
    CHECK(emulated.out == native.out);
  }
  CHECK(here("export run --to c --images 3 --out here").exit_code == 0);
  CHECK(there("export run --to c --images 3 --out there").exit_code == 0);
  CHECK(test::shell_run(place, "diff -r here there").exit_code == 0);
  CHECK(there("bench step --batch 2 --steps 1 --threads 1").exit_code == 0);
#else
  test::skip("made for CPUs that qemu-x86_64 does not emulate");
#endif
}
