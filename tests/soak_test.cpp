// SPDX-License-Identifier: Apache-2.0
// Many searches in one process: what one took, the next takes again. MIXGRAD_SOAK=200 makes it long
// (tests/torture/soak.py). A suite of its own: after other cases, in their process, it grew by more.
#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <unistd.h>

using namespace mixgrad;

namespace {

double resident_mib() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return static_cast<double>(resident * sysconf(_SC_PAGESIZE)) / (1 << 20);
}

}  // namespace

TEST_CASE("soak: searches one after the other leave the memory as it was") {
  const char* wanted = std::getenv("MIXGRAD_SOAK");
  const int searches = wanted != nullptr ? std::atoi(wanted) : 10;
  RunConfig config;
  config.data = "glyphs:96";
  config.act_bits = {2, 4, 8};
  config.weight_bits = {0, 2, 4, 8};
  config.target = "size=40%";
  config.threads = 1;
  config.warmup_epochs = config.search_epochs = config.finetune_epochs = 1;
  const int threads = train::threads();
  train::Observer quiet;
  double before = 0, after = 0;
  for (int i = 0; i < searches; ++i) {
    config.seed = static_cast<uint64_t>(i);
    run_search(config, quiet);
    after = resident_mib();
    if (i == searches / 2) before = after;
    if (wanted != nullptr) std::printf("search %d: resident %.1f MiB\n", i, after);
  }
  train::set_threads(threads);
  CHECK(after < 1.05 * before);
}
