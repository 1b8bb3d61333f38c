// SPDX-License-Identifier: Apache-2.0
// The team's messages, by a team: this program runs itself under mpirun, and every member checks what it gets.
#include "../cli/workplace.h"
#include "../shell.h"
#include "../skip.h"

#include <mixgrad/team.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cstdlib>
#include <numeric>
#include <vector>

using namespace mixgrad;
using Floats = std::vector<float>;

namespace {

constexpr const char* size_variable = "MIXGRAD_TEST_TEAM";

void check_parts(const Team& team) {
  for (const int64_t count : {0, 1, 2, 7, 100}) {
    const Team::Range part = team.part_of(count);
    std::vector<double> held(static_cast<size_t>(count));
    for (int64_t i = part.begin; i < part.end; ++i) held[static_cast<size_t>(i)] = 1 + team.rank();
    team.add_up(held);  // one member holds each, in the order of the ranks
    for (size_t i = 0; i < held.size(); ++i) {
      CHECK(held[i] >= (i == 0 ? 1 : held[i - 1]));
      CHECK(held[i] <= team.size());
    }
    CHECK(part.end - part.begin >= count / team.size());
    CHECK(part.end - part.begin <= (count + team.size() - 1) / team.size());
  }
}

void check_broadcasts(const Team& team) {
  for (int from = 0; from < team.size(); ++from) {
    const auto own = static_cast<float>(10 + team.rank()), sent = static_cast<float>(10 + from);
    Floats values = {own, -own, 0.1F * own};
    team.broadcast(from, values);
    CHECK(values == Floats{sent, -sent, 0.1F * sent});
    for (const char* text : {"", "text", "longer than others had"})
      CHECK(team.broadcast(from, team.rank() == from ? text : "something else") == text);
  }
}

/// Values go around in a ring.
void check_ring(const Team& team) {
  const int next = (team.rank() + 1) % team.size(), before = (team.rank() + team.size() - 1) % team.size();
  Floats got(3);
  const auto send = [&] { team.send(next, Floats(3, static_cast<float>(team.rank()))); };
  if (team.rank() == 0) send();
  team.receive(before, got);
  if (team.rank() != 0) send();
  CHECK(got == Floats(3, static_cast<float>(before)));
}

/// Everyone tells rank 0 two things, which arrive in their order.
void check_messages(const Team& team) {
  if (team.rank() != 0) {
    for (const char* text : {"first", ""}) team.tell(0, text);
    return;
  }
  std::vector<std::vector<std::string>> told(static_cast<size_t>(team.size()));
  for (int left = 2 * (team.size() - 1); left > 0;) {
    const auto message = team.poll();
    if (!message) continue;
    told[static_cast<size_t>(message->from)].push_back(message->text);
    --left;
  }
  for (size_t i = 1; i < told.size(); ++i) CHECK(told[i] == std::vector<std::string>{"first", ""});
}

void check(const Team& team) {
  check_parts(team);
  check_broadcasts(team);
  std::vector<double> sums = {1.0 * team.rank(), 0.5, team.rank() == 0 ? 0.1 : 0};
  team.add_up(sums);
  CHECK(sums == std::vector<double>{team.size() * (team.size() - 1) / 2.0, 0.5 * team.size(), 0.1});
  if (team.size() > 1) check_ring(team);
  check_messages(team);
  CHECK_FALSE(team.poll());
}

}  // namespace

TEST_CASE("team: a process that nobody launched is a team of one") {
  const Team team;
  CHECK(team.rank() == 0);
  CHECK(team.size() == 1);
  CHECK(team.cores() >= 1);
  check(team);
}

TEST_CASE("team: members of 1 to 4 get what was sent, in order, and the same sums") {
  if (!Team::has_mpi()) return test::skip("this build is without MPI");
  if (!test::has("mpirun")) return test::skip("mpirun is missing: apt-get install openmpi-bin");
  const test::Folder folder;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  for (const int members : {1, 2, 4}) {
    CAPTURE(members);
    folder.run(fmt::format("{}={} {}{} --no-skip --test-case='team: a member*'", size_variable, members,
                           test::mpirun(members), test::quoted(self)));
    CHECK(folder.said().find("1 passed, 0 failed, 0 skipped") != std::string::npos);
  }
}

TEST_CASE("team: a member, as the case above runs it" * doctest::skip()) {
  const char* size = std::getenv(size_variable);
  if (size == nullptr) return test::skip("no launcher started this process");
  const Team team;
  CHECK(team.size() == std::atoi(size));
  check(team);
}
