// SPDX-License-Identifier: Apache-2.0
// Events around a run: others read its data, the reader of its output exits, its folder disappears.
#include "../shell.h"
#include "workplace.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <filesystem>

using namespace mixgrad;
using namespace mixgrad::test;
namespace fs = std::filesystem;

TEST_CASE("load: a closed pipe or a full disk at standard output is reported; the run is complete") {
  const Workplace place;
  const Outcome closed = shell_run(
      place, fmt::format("{{ '{}' {}--out closed; echo $? >exit_code; }} | head -n 1", binary(), quick(place)));
  CHECK(closed.out.starts_with("warmup 1/1"));
  CHECK_MESSAGE(closed.err.find("mixgrad: can't write to standard output") != std::string::npos, closed.err);
  CHECK(io::read_file(place.path("exit_code")) == "1\n");
  CHECK(mixgrad_run(place, "eval closed").exit_code == 0);
  CHECK_FALSE(fs::exists(place.path("closed/checkpoint.safetensors")));
  for (const char* command : {"inspect", "--help", "eval closed", "report closed --json"}) {
    CHECK(shell_run(place, fmt::format("'{}' {} >/dev/full", binary(), command)).exit_code == 1);
  }
}

TEST_CASE("load: two runs share a data folder") {
  const Workplace place;
  const Outcome both = shell_run(
      place, fmt::format("'{0}' {1}--quiet --out a & '{0}' {1}--quiet --out b; second=$?; wait $! && exit $second",
                         binary(), quick(place)));
  CHECK_MESSAGE(both.exit_code == 0, both.err);
  CHECK(io::read_file(place.path("a/model.safetensors")) == io::read_file(place.path("b/model.safetensors")));
}

TEST_CASE(
    "load: a run whose folder vanishes says so and leaves no incomplete files; one with a checkpoint can be resumed") {
  const Workplace place;
  const std::string endless = quick(place) + "--search-epochs 100000 --quiet --out run";
  const Outcome vanished = shell_run(
      place,
      fmt::format(
          "'{}' {} & until grep -q search run/metrics.jsonl 2>/dev/null; do sleep 0.05; done; mv run moved; wait $!",
          binary(), endless));
  CHECK(vanished.exit_code == 1);
  CHECK_MESSAGE(vanished.err.find("run/") != std::string::npos, vanished.err);
  CHECK_MESSAGE(vanished.err.find("No such file or directory") != std::string::npos, vanished.err);
  CHECK(vanished.err.find("its folder keeps") == std::string::npos);
  CHECK_FALSE(fs::exists(place.path("run")));
  for (const fs::directory_entry& entry : fs::directory_iterator(place.path("moved"))) {
    CHECK_MESSAGE(!entry.path().filename().string().starts_with(".mixgrad-"), entry.path().string());
  }
  const Outcome resumed = mixgrad_run(
      place, quick(place) + "--search-epochs 100000 --resume --checkpoint-minutes 0 --out moved --search-epochs 1");
  CHECK(resumed.exit_code == 2);  // the settings have changed
  CHECK(resumed.err.find("search-epochs is '1' now, but was '100000'") != std::string::npos);
}
