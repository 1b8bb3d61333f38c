// SPDX-License-Identifier: Apache-2.0
// Sweeps over an imported network: it comes with its weights, so nothing is trained before the first point.
#include "../cli/workplace.h"
#include "../models/onnx_net.h"
#include "../skip.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>

using namespace mixgrad::test;
namespace io = mixgrad::io;

TEST_CASE(
    "sweep: an imported network runs in a new folder, and the command that repeats a point works from any folder") {
  if (emulated()) return skip("a sweep under an emulator can't start its runs");
  const Workplace place;
  io::write_file(place.root / "it's my net.onnx", plain_onnx_file());
  const Outcome sweep = mixgrad_run(
      place, "sweep --model \"it's my net.onnx\" --data " + place.data() +
                 " --search-epochs 1 --finetune-epochs 0 --batch-size 40 --threads 2 --quiet --strengths 1e-6 --out s");
  CAPTURE(sweep.err);
  REQUIRE(sweep.exit_code == 0);
  CHECK(std::ranges::count(io::read_file(place.path("s/sweep.csv")), '\n') == 2);

  const auto summary = parsed(place.path("s/fisher-per-channel-strength1e-06-seed0/summary.json"));
  const std::string command = summary.at("command");
  CAPTURE(command);
  REQUIRE(command.starts_with("mixgrad "));
  const Outcome again = shell_run(
      place,
      fmt::format("mkdir elsewhere && cd elsewhere && '{}' {} --quiet --out ../again", binary(), command.substr(8)));
  CAPTURE(again.err);
  REQUIRE(again.exit_code == 0);
  CHECK(parsed(place.path("again/summary.json")).at("checksum") == summary.at("checksum"));
}
