// SPDX-License-Identifier: Apache-2.0
// Fronts with the program: training, picking, sweeps from a front, and what is refused.
#include "../shell.h"
#include "../skip.h"
#include "workplace.h"

#include <mixgrad/communicator.h>
#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

using namespace mixgrad;
using namespace mixgrad::test;

namespace {

/// The settings of a short training on the place's images.
std::string settings(const Workplace& place) {
  std::string all = quick(place);
  all.erase(0, all.find(' '));  // the command
  return all + " --threads 1 --quiet --weight-bits 0,2,4,8 --search-epochs 2 --finetune-epochs 1";
}

std::string front(const Workplace& place, const std::string& out, const std::string& more = "") {
  return fmt::format("front {} --costs size,macs --out {} {}", settings(place), out, more);
}

}  // namespace

TEST_CASE(
    "front: networks for any target are picked from one training, exact on integers, and the front is unchanged") {
  const Workplace place;
  const Outcome trained = mixgrad_run(place, front(place, "front"));
  CAPTURE(trained.err);
  REQUIRE(trained.exit_code == 0);
  CHECK(trained.out.find("size (bits)") != std::string::npos);
  CHECK(trained.out.find("macs") != std::string::npos);
  const std::string table = io::read_file(place.path("front/front.csv")),
                    weights = io::read_file(place.path("front/front.safetensors"));
  CHECK(table.starts_with("cost,unit,limit,found,share,metric,validation,size,macs,bits:"));
  CHECK(std::ranges::count(table, '\n') == 1 + 2 * 12);
  CHECK_FALSE(std::filesystem::exists(place.path("front/checkpoint.safetensors")));

  io::write_file(place.path("chip.toml"), chip_toml());
  for (const std::string target : {"size=12%", "macs=30%", "size=40%,macs=40%", "table:chip.toml=50%"}) {
    CAPTURE(target);
    const Outcome picked =
        mixgrad_run(place, fmt::format("pick front --target {} --threads 1 --json --overwrite --out run", target));
    CAPTURE(picked.err);
    REQUIRE(picked.exit_code == 0);
    const auto summary = parsed(place.path("run/summary.json"));
    CHECK(summary.at("method") == "front");
    for (const auto& [name, t] : summary.at("targets").items()) CHECK(t.at("found") <= t.at("limit"));
    CHECK(mixgrad_run(place, "verify run").exit_code == 0);
    CHECK(mixgrad_run(place, "eval run").exit_code == 0);
    CHECK(std::filesystem::exists(place.path("run/report.html")));
  }
  CHECK(mixgrad_run(place, "pick front --target size=30% --pick-by sensitivity --finetune-epochs 1 --quiet --out tuned")
            .exit_code == 0);
  CHECK(parsed(place.path("tuned/summary.json")).at("method") == "front-sensitivity");
  CHECK(json_lines(place.path("tuned/metrics.jsonl")).size() == 1);

  const std::string again = parsed(place.path("tuned/summary.json")).at("command").get<std::string>();
  CHECK(
      shell_run(place, "cd / && " + binary() + again.substr(again.find(' ')) + " --quiet --out " + place.path("again"))
          .exit_code == 0);
  CHECK(io::read_file(place.path("again/model.safetensors")) == io::read_file(place.path("tuned/model.safetensors")));

  CHECK(mixgrad_run(place, "sweep --from-front front --targets 20%,40% --quiet --out sweep").exit_code == 0);
  CHECK(std::filesystem::exists(place.path("sweep/front-per-channel-size=20%-seed3/model.safetensors")));
  CHECK_FALSE(std::filesystem::exists(place.path("sweep/float")));
  CHECK(io::read_file(place.path("front/front.safetensors")) == weights);

  check_complaint(mixgrad_run(place, "pick front --out other"), 2, "--target is missing");
  check_complaint(mixgrad_run(place, "pick --target size=30% --out other"), 2, "no folder given");
  check_complaint(mixgrad_run(place, "pick run --target size=30% --out other"), 2, "expected the folder of a front");
  check_complaint(mixgrad_run(place, "pick front --target size=0.01% --out other"), 2, "can't be met");
  check_complaint(mixgrad_run(place, "search --from-front front --target size=30% --weight-bits 2,8 --out other"), 2,
                  "from-front: weight-bits is '2,8' now, but was '0,2,4,8'");
  check_complaint(mixgrad_run(place, "search --from-front front --target size=30% --method dnas --out other"), 2,
                  "--method fisher or sensitivity");
  check_complaint(mixgrad_run(place, "front --costs size,speed --out other"), 2, "unknown 'speed'");
  check_complaint(mixgrad_run(place, "front --weight-bits 8 --out other"), 2, "costs: size is the same");
  check_complaint(mixgrad_run(place, "front --least-cost 2 --out other"), 2, "least-cost: 2");
  check_complaint(mixgrad_run(place, front(place, "front")), 2, "already holds a run");
  io::write_file(place.path("front/front.safetensors"), weights.substr(0, weights.size() / 2));
  check_complaint(mixgrad_run(place, "pick front --target size=30% --out other"), 2, "front.safetensors");
  CHECK_FALSE(std::filesystem::exists(place.path("other")));
}

TEST_CASE("front: killed and resumed, or trained by several processes, it has the same bytes") {
  const Workplace place;
  REQUIRE(mixgrad_run(place, front(place, "whole")).exit_code == 0);
  const std::string whole = io::read_file(place.path("whole/front.safetensors"));
  for (const std::string phase : {"search size", "segment macs 2"}) {
    const std::string killed = fmt::format(
        "'{}' {} & pid=$!; until grep -q '{}' killed/metrics.jsonl 2>/dev/null || ! kill -0 $pid; do sleep 0.02; done; "
        "kill -KILL $pid; wait $pid; [ $? = 137 ]",
        binary(), front(place, "killed", "--resume --checkpoint-minutes 0"), phase);
    CHECK(shell_run(place, killed).exit_code == 0);
    CHECK_FALSE(std::filesystem::exists(place.path("killed/front.safetensors")));
  }
  CHECK(mixgrad_run(place, front(place, "killed", "--resume")).exit_code == 0);
  CHECK(io::read_file(place.path("killed/front.safetensors")) == whole);
  CHECK(io::read_file(place.path("killed/front.csv")) == io::read_file(place.path("whole/front.csv")));

  if (!Communicator::has_mpi()) return skip("this build is without MPI");
  if (!has("mpirun")) return skip("mpirun is missing: apt-get install openmpi-bin");
  const Outcome team =
      shell_run(place, fmt::format("{}'{}' {}", mpirun(2), binary(), front(place, "team", "--data-parallel")));
  CHECK_MESSAGE(team.exit_code == 0, team.err);
  CHECK(io::read_file(place.path("team/front.safetensors")) == whole);
}
