// SPDX-License-Identifier: Apache-2.0
// A search whose steps are distributed over processes.
#include "../shell.h"
#include "../skip.h"
#include "workplace.h"

#include <mixgrad/communicator.h>
#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

using namespace mixgrad;
using namespace mixgrad::test;

namespace {

Outcome run_in_team(const Workplace& place, int members, const std::string& arguments) {
  return shell_run(place, fmt::format("{}'{}' {}", mpirun(members), binary(), arguments));
}

}  // namespace

TEST_CASE("data-parallel: several processes find the same network as a single one, byte for byte") {
  if (!Communicator::has_mpi()) return skip("this build is without MPI");
  if (!has("mpirun")) return skip("mpirun is missing: apt-get install openmpi-bin");
  const Workplace place;
  const std::string arguments =
      quick(place) +
      "--threads 1 --quiet --act-bits 2,4,8 --weight-bits 0,2,4,8 --target size=30% --search-epochs 6 --out ";
  REQUIRE(mixgrad_run(place, arguments + "one").exit_code == 0);
  for (const int members : {2, 3}) {  // with more processes than a batch has micro-batches, too
    const std::string out = fmt::format("of-{}", members);
    const Outcome team = run_in_team(place, members, arguments + out + " --data-parallel");
    CAPTURE(team.err);
    REQUIRE(team.exit_code == 0);
    CHECK(io::read_file(place.path("one/model.safetensors")) == io::read_file(place.path(out + "/model.safetensors")));
    const auto one = json_lines(place.path("one/metrics.jsonl")),
               spread = json_lines(place.path(out + "/metrics.jsonl"));
    REQUIRE(one.size() == spread.size());
    for (size_t i = 0; i < one.size(); ++i) CHECK(one[i].at("task_loss") == spread[i].at("task_loss"));
  }
  // If one process is told to stop, all stop and the results so far are saved.
  io::write_file(place.path("member.sh"), "echo $$ >pid-$OMPI_COMM_WORLD_RANK; exec \"$@\"");
  const auto run_until_search = [&](const std::string& out, const std::string& signal, const std::string& more) {
    return shell_run(place, fmt::format("(until grep -q search {0}/metrics.jsonl 2>/dev/null; do sleep 0.05; done; "
                                        "kill -{1}) & {2}sh member.sh '{3}' {4}{0} {5} --data-parallel",
                                        out, signal, mpirun(2), binary(), arguments, more));
  };
  const Outcome stopped = run_until_search("stopped", "TERM $(cat pid-1)", "--search-epochs 100");
  CHECK(parsed(place.path("stopped/summary.json")).at("interrupted") == true);
  CHECK_MESSAGE(stopped.err.find("interrupted: the network found so far") != std::string::npos, stopped.err);
  CHECK(run_in_team(place, 2, arguments + "refused").exit_code != 0);
  CHECK_FALSE(std::filesystem::exists(place.path("refused/summary.json")));
  // Killed, then resumed by more processes.
  CHECK(run_until_search("killed", "KILL $(cat pid-0)", "").exit_code != 0);
  REQUIRE_FALSE(std::filesystem::exists(place.path("killed/summary.json")));
  for (int i = 0; i < 2; ++i) {  // the second time, nothing is left to do
    const Outcome resumed = run_in_team(place, 3, arguments + "killed --data-parallel --resume");
    CHECK_MESSAGE(resumed.exit_code == 0, resumed.err);
    CHECK(io::read_file(place.path("one/model.safetensors")) == io::read_file(place.path("killed/model.safetensors")));
  }
}
