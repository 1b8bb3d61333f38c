// SPDX-License-Identifier: Apache-2.0
// Sweeps with the program: killed sweeps can be continued, and any number of processes gives the same results.
#include "../shell.h"
#include "../skip.h"
#include "workplace.h"

#include <mixgrad/communicator.h>
#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

using namespace mixgrad::test;

namespace {

const std::string sweep_6 =
    "sweep --data glyphs:80 --warmup-epochs 1 --search-epochs 1 --finetune-epochs 0 --threads 2 --jobs 2 --quiet "
    "--schemes per-layer,per-channel --strengths 1e-6 --targets 40% --seeds 1 --methods dnas,uniform,random --out ";

}  // namespace

TEST_CASE(
    "sweep: killed halfway and started again, or run under mpirun, it gives the same results as an undisturbed one") {
  if (emulated()) return skip("a sweep under an emulator can't start its runs");
  const Workplace place;
  const Outcome whole = mixgrad_run(place, sweep_6 + "whole");
  CAPTURE(whole.err);
  REQUIRE(whole.exit_code == 0);
  const std::string csv = mixgrad::io::read_file(place.path("whole/sweep.csv"));
  CHECK(std::ranges::count(csv, '\n') == 8);
  CHECK(csv.starts_with("name,method,scheme,target,strength,seed,float_accuracy,final_accuracy,"));
  CHECK(csv.find("uniform-size=40%-seed1,uniform,per-layer,size=40%,,1,") != std::string::npos);
  CHECK(csv.find(",1\n") != std::string::npos);

  // Killed after two points.
  const std::string killed = fmt::format(
      "setsid '{}' {}killed & until [ $(ls killed/*/summary.json 2>/dev/null | wc -l) -ge 2 ] || ! kill -0 $!; do "
      "sleep 0.1; done; "
      "kill -KILL -$!; wait $!; [ $? = 137 ]",
      binary(), sweep_6);
  REQUIRE(shell_run(place, killed).exit_code == 0);
  REQUIRE(mixgrad_run(place, sweep_6 + "killed").exit_code == 0);
  CHECK(mixgrad::io::read_file(place.path("killed/sweep.csv")) == csv);

  check_complaint(mixgrad_run(place, sweep_6 + "killed --lr 0.1"), 2,
                  "run with other settings (lr = 0.15, now lr = 0.1)");
  if (!mixgrad::Communicator::has_mpi()) return skip("this build is without MPI");
  if (!has("mpirun")) return skip("mpirun is missing: apt-get install openmpi-bin");
  const Outcome spread = shell_run(place, fmt::format("{}'{}' {}spread", mpirun(2), binary(), sweep_6));
  CAPTURE(spread.err);
  CHECK(spread.exit_code == 0);
  CHECK(mixgrad::io::read_file(place.path("spread/sweep.csv")) == csv);
}

TEST_CASE(
    "sweep: a failed point does not affect the others; after that or SIGTERM, finished points are not run again except "
    "with --overwrite") {
  if (emulated()) return skip("a sweep under an emulator can't start its runs");
  const Workplace place;
  const std::string sweep =
      "sweep --data glyphs:80 --warmup-epochs 1 --search-epochs 1 --finetune-epochs 0 --threads 1 --method dnas --out "
      "s";
  const Outcome failing = mixgrad_run(place, sweep + " --quiet --strengths 1e-6,1e38");
  CHECK(failing.exit_code == 1);
  CHECK_MESSAGE(
      failing.err.find(
          "mixgrad: 1 of 2 points failed: dnas-per-channel-strength1e+38-seed0; run the same command to retry them") !=
          std::string::npos,
      failing.err);
  CHECK_MESSAGE(failing.err.find("infinity at element 0") != std::string::npos, failing.err);
  const std::string csv = mixgrad::io::read_file(place.path("s/sweep.csv"));
  CHECK(std::ranges::count(csv, '\n') == 2);
  CHECK(std::filesystem::exists(place.path("s/report.html")));

  const std::string good = place.path("s/dnas-per-channel-strength1e-06-seed0/summary.json");
  const auto written = std::filesystem::last_write_time(good);
  const std::string longer = sweep + " --jobs 2 --strengths 1e-6,2e-6,3e-6,4e-6,5e-6,6e-6,7e-6,8e-6";
  const Outcome stopped = shell_run(place, fmt::format("'{}' {} & sweep=$!; until [ $(ls s/*/summary.json | wc -l) -ge "
                                                       "2 ]; do sleep 0.05; done; kill -TERM $sweep; wait $sweep",
                                                       binary(), longer));
  CHECK(stopped.exit_code == 1);
  CHECK_MESSAGE(stopped.err.find("stopped by a signal: ") != std::string::npos, stopped.err);
  CHECK(mixgrad_run(place, longer).out.find("report: ") != std::string::npos);
  CHECK(std::filesystem::last_write_time(good) == written);
  CHECK(mixgrad_run(place, sweep + " --quiet --overwrite --strengths 1e-6").exit_code == 0);
  CHECK(std::filesystem::last_write_time(good) != written);
}

TEST_CASE("sweep: invalid requests are refused before anything runs") {
  const Workplace place;
  struct Case {
    const char *arguments, *word;
  };
  for (const Case& c : std::vector<Case>{
           {"--methods uniform", "needs targets"},
           {"--methods uniform --targets 40% --strengths 1e-6", "only the methods fisher and dnas"},
           {"--methods guess --targets 40%", "dnas, uniform, sensitivity, random"},
           {"--seeds 1,1", "duplicate point"},
           {"--seeds 1,x", "--seeds: '1,x'"},
           {"--seed 1 --seeds 2", "seeds: can't be combined with --seed"},
           {"--targets 1%", "smallest that these candidates reach is"},
           {"--schemes per-weight", "per-layer, per-channel"},
           {"--jobs 0", "jobs: 0"},
       }) {
    CAPTURE(c.arguments);
    check_complaint(mixgrad_run(place, std::string("sweep --data glyphs:80 --out s ") + c.arguments), 2, c.word);
  }
  CHECK(place.holds_only_data());
}
