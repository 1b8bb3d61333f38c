// SPDX-License-Identifier: Apache-2.0
// Many searches in one process must not use more and more memory, nor a thread hold more than it needs.
// MIXGRAD_SOAK=200 makes it long (tests/torture/soak.py). A suite of its own, because memory grows more after other
// cases in the same process.
#include <mixgrad/mixgrad.h>

#include <src/internal/memory.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

#include <unistd.h>

using namespace mixgrad;

namespace {

double resident_mib() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return static_cast<double>(resident * sysconf(_SC_PAGESIZE)) / (1 << 20);
}

}  // namespace

TEST_CASE("soak: consecutive searches do not use more and more memory") {
  const char* wanted = std::getenv("MIXGRAD_SOAK");
  const int searches = wanted != nullptr ? std::atoi(wanted) : 16;
  RunConfig config;
  config.data = "glyphs:96";
  config.act_bits = {2, 4, 8};
  config.weight_bits = {0, 2, 4, 8};
  config.target = "size=40%";
  config.threads = 1;
  config.warmup_epochs = config.search_epochs = config.finetune_epochs = 1;
  train::Observer quiet;
  // Networks found differ in shape, and kernels are planned and blocks cached for each shape, so memory wavers before
  // it settles. It counts as growing if all of the last searches use more than any in the first half.
  double most_before = 0, least_after = std::numeric_limits<double>::infinity();
  for (int i = 0; i < searches; ++i) {
    config.seed = static_cast<uint64_t>(i);
    run_search(config, quiet);
    const double now = resident_mib();
    if (i < searches / 2) most_before = std::max(most_before, now);
    if (i >= searches - searches / 4) least_after = std::min(least_after, now);
    if (wanted != nullptr) std::printf("search %d: resident %.1f MiB\n", i, now);
  }
  CHECK(least_after < 1.1 * most_before);
}

#ifndef __SANITIZE_ADDRESS__  // which keeps what is freed
TEST_CASE("soak: a thread keeps the memory that it once used at the same time, and little more") {
  constexpr int64_t mib = 1 << 20, large = 256 * mib, slack = 16, spare = 64;
  // Writes to a block of so many bytes, then frees it.
  const auto use = [](int64_t bytes) {
    const auto block = allocate(bytes);
    std::fill_n(block.get(), bytes, std::byte{1});
  };
  std::thread([&] {  // with no memory of its own yet
    const double before = resident_mib();
    use(large);
    CHECK(resident_mib() - before > 256 - slack);
    use(large / 2);  // other sizes
    CHECK(resident_mib() - before < 256 + spare + slack);
    use(large / 4);
    CHECK(resident_mib() - before < 256 + spare + slack);
  })
      .join();
}
#endif
