// SPDX-License-Identifier: Apache-2.0
// Messages between several processes: this program runs itself under mpirun, and every process checks what it
// receives.
#include "../cli/workplace.h"
#include "../shell.h"
#include "../skip.h"

#include <mixgrad/communicator.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cstdlib>
#include <numeric>
#include <vector>

using namespace mixgrad;
using Floats = std::vector<float>;

namespace {

constexpr const char* size_variable = "MIXGRAD_TEST_TEAM";

void check_parts(const Communicator& communicator) {
  for (const int64_t count : {0, 1, 2, 7, 100}) {
    const Communicator::Range part = communicator.part_of(count);
    std::vector<double> held(static_cast<size_t>(count));
    for (int64_t i = part.begin; i < part.end; ++i) held[static_cast<size_t>(i)] = 1 + communicator.rank();
    communicator.all_reduce(held);  // each value comes from one process, in the order of the ranks
    for (size_t i = 0; i < held.size(); ++i) {
      CHECK(held[i] >= (i == 0 ? 1 : held[i - 1]));
      CHECK(held[i] <= communicator.size());
    }
    CHECK(part.end - part.begin >= count / communicator.size());
    CHECK(part.end - part.begin <= (count + communicator.size() - 1) / communicator.size());
  }
}

void check_broadcasts(const Communicator& communicator) {
  for (int from = 0; from < communicator.size(); ++from) {
    const auto own = static_cast<float>(10 + communicator.rank()), sent = static_cast<float>(10 + from);
    Floats values = {own, -own, 0.1F * own};
    communicator.broadcast(from, values);
    CHECK(values == Floats{sent, -sent, 0.1F * sent});
    for (const char* text : {"", "text", "longer than others had"})
      CHECK(communicator.broadcast(from, communicator.rank() == from ? text : "something else") == text);
  }
}

/// Passes values around in a ring.
void check_ring(const Communicator& communicator) {
  const int next = (communicator.rank() + 1) % communicator.size(),
            before = (communicator.rank() + communicator.size() - 1) % communicator.size();
  Floats got(3);
  const auto send = [&] { communicator.send(next, Floats(3, static_cast<float>(communicator.rank()))); };
  if (communicator.rank() == 0) send();
  communicator.receive(before, got);
  if (communicator.rank() != 0) send();
  CHECK(got == Floats(3, static_cast<float>(before)));
}

/// Every process sends two messages to rank 0, which must arrive in order.
void check_messages(const Communicator& communicator) {
  if (communicator.rank() != 0) {
    for (const char* text : {"first", ""}) communicator.send(0, text);
    return;
  }
  std::vector<std::vector<std::string>> told(static_cast<size_t>(communicator.size()));
  for (int left = 2 * (communicator.size() - 1); left > 0;) {
    const auto message = communicator.poll();
    if (!message) continue;
    told[static_cast<size_t>(message->from)].push_back(message->text);
    --left;
  }
  for (size_t i = 1; i < told.size(); ++i) CHECK(told[i] == std::vector<std::string>{"first", ""});
}

void check(const Communicator& communicator) {
  check_parts(communicator);
  check_broadcasts(communicator);
  std::vector<double> sums = {1.0 * communicator.rank(), 0.5, communicator.rank() == 0 ? 0.1 : 0};
  communicator.all_reduce(sums);
  CHECK(sums ==
        std::vector<double>{communicator.size() * (communicator.size() - 1) / 2.0, 0.5 * communicator.size(), 0.1});
  if (communicator.size() > 1) check_ring(communicator);
  check_messages(communicator);
  CHECK_FALSE(communicator.poll());
}

}  // namespace

TEST_CASE("communicator: a process without a launcher is alone") {
  const Communicator communicator;
  CHECK(communicator.rank() == 0);
  CHECK(communicator.size() == 1);
  CHECK(communicator.cores() >= 1);
  check(communicator);
}

TEST_CASE("communicator: 1 to 4 processes receive what was sent, in order, and equal sums") {
  if (!Communicator::has_mpi()) return test::skip("this build has no MPI");
  if (!test::has("mpirun")) return test::skip("mpirun is missing: apt-get install openmpi-bin");
  const test::Folder folder;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  for (const int members : {1, 2, 4}) {
    CAPTURE(members);
    folder.run(fmt::format("{}={} {}{} --no-skip --test-case='communicator: a process of several*'", size_variable,
                           members, test::mpirun(members), test::quoted(self)));
    CHECK(folder.said().find("1 passed, 0 failed, 0 skipped") != std::string::npos);
  }
}

TEST_CASE("communicator: a process of several, started by the case above" * doctest::skip()) {
  const char* size = std::getenv(size_variable);
  if (size == nullptr) return test::skip("no launcher started this process");
  const Communicator communicator;
  CHECK(communicator.size() == std::atoi(size));
  check(communicator);
}
