// SPDX-License-Identifier: Apache-2.0
// How a sweep learns the outcome of its runs. They are started from this program's own binary: here, the case below.
#include "../../src/sweep/processes.h"
#include "../cli/workplace.h"
#include "../shell.h"
#include "../skip.h"

#include <mixgrad/io.h>
#include <mixgrad/sweep.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include <unistd.h>

using namespace mixgrad;

namespace {

/// What a child prints and how it ends: with an exit code, or by minus a signal.
struct Case {
  const char* says;
  int end;
  std::string complaint;  ///< LOG stands for the log's path
};

const std::vector<Case> cases = {
    {"fine\nmixgrad: a note, and all went well\n", 0, ""},
    {"mixgrad: first\nmixgrad: no such file\nmore\n", 2, "no such file"},
    {"ends within the line\nmixgrad: cut", 1, "cut"},
    {"a word of mixgrad: elsewhere\n", 3, "exit code 3, see LOG"},
    {"", 1, "exit code 1, see LOG"},
    {"mixgrad: too late\n", -SIGKILL, "ended by signal 9 (Killed), see LOG"},
};

constexpr const char* case_variable = "MIXGRAD_TEST_CHILD";

bool under_valgrind() {
  const char* preloaded = std::getenv("LD_PRELOAD");
  return preloaded != nullptr && std::string(preloaded).find("vgpreload") != std::string::npos;
}

sweep::Processes::Ended ended(sweep::Processes& processes) {
  for (;; sweep::Processes::pause()) {
    if (const auto one = processes.poll()) return *one;
  }
}

}  // namespace

TEST_CASE("sweep processes: each ends with its error message, if any, and its own log") {
  if (test::emulated()) return test::skip("a program under an emulator can't start itself");
  if (under_valgrind()) return test::skip("under valgrind, a program can't start itself");
  const test::Folder folder;
  sweep::Processes processes;
  ::setenv("OMPI_COMM_WORLD_SIZE", "2", 1);  // must be hidden from the children
  for (size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(i);
    ::setenv(case_variable, std::to_string(i).c_str(), 1);
    const std::string log = folder.path / std::to_string(i);
    processes.start(i, {"--no-skip", "--test-case=sweep processes: a child*", "--no-intro"}, log);
    const sweep::Processes::Ended e = ended(processes);
    std::string expected = cases[i].complaint;
    if (const size_t at = expected.find("LOG"); at != std::string::npos) expected.replace(at, 3, log);
    CHECK(e.id == i);
    CHECK(e.complaint == expected);
    CHECK(io::read_file(log) == cases[i].says);
  }
  ::unsetenv("OMPI_COMM_WORLD_SIZE");
  ::unsetenv(case_variable);
  CHECK_FALSE(processes.poll());
}

TEST_CASE("sweep processes: a child, started by the case above" * doctest::skip()) {
  const char* number = std::getenv(case_variable);
  if (number == nullptr) return test::skip("no sweep started this process");
  if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) ::_exit(99);
  const Case& c = cases.at(static_cast<size_t>(std::atoi(number)));
  fmt::print("{}", c.says);
  std::fflush(stdout);
  if (c.end < 0) ::raise(-c.end);
  ::_exit(c.end);
}

TEST_CASE("sweep processes: SIGTERM is only recorded during their lifetime, and they end with their object") {
  CHECK_FALSE(sweep::Processes::stopped());
  {
    sweep::Processes processes;
    ::raise(SIGTERM);
    CHECK(sweep::Processes::stopped());
  }
  const sweep::Processes next;
  CHECK_FALSE(sweep::Processes::stopped());
}

TEST_CASE("sweep table: mean, sample deviation and range") {
  struct Spread {
    std::vector<double> values;
    sweep::Spread expected;
  };
  for (const Spread& c : std::vector<Spread>{
           {{2}, {2, 0, 2, 2}}, {{1, 3}, {2, std::sqrt(2.0), 1, 3}}, {{4, -2, 1, 1}, {1, std::sqrt(6.0), -2, 4}}}) {
    CAPTURE(c.values);
    const sweep::Spread found = sweep::spread(c.values);
    CHECK(found.mean == doctest::Approx(c.expected.mean));
    CHECK(found.deviation == doctest::Approx(c.expected.deviation));
    CHECK(found.smallest == c.expected.smallest);
    CHECK(found.largest == c.expected.largest);
  }
}
