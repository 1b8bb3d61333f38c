// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and SIGTERM stop a run, which saves its results so far; --json prints what the tables show.
#include "../shell.h"
#include "../skip.h"
#include "pictures.h"
#include "workplace.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace mixgrad;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Interrupted : test::Folder {
  std::string data = test::write_pictures(path / "data");

  /// Runs `mixgrad arguments`, sends `signals` (with pauses between) once `phase` has reported an epoch, and checks the
  /// exit code.
  void interrupt(const std::string& arguments, const std::string& phase, const std::string& signals,
                 int exit_code) const {
    io::write_file(path / "script.sh", fmt::format(R"(set -m  # otherwise jobs ignore SIGINT
OMP_WAIT_POLICY=passive '{}' {} --data '{}' --batch-size 40 --threads 2 --out run >out 2>err &
until grep -q '"{}"' run/metrics.jsonl 2>/dev/null; do kill -0 $! || break; sleep 0.05; done
{}
code=0
wait $! 2>/dev/null || code=$?
[ $code = {} ] || {{ echo "exit code $code"; cat out err; exit 1; }}
)",
                                                   MIXGRAD_BINARY, arguments, data, phase, signals, exit_code));
    run(fmt::format("timeout {} bash script.sh", test::emulated() ? 1000 : 100));
  }
  json printed(const std::string& arguments) const {
    run(fmt::format("OMP_WAIT_POLICY=passive '{}' {} >printed", MIXGRAD_BINARY, arguments));
    return json::parse(io::read_file(path / "printed"));
  }
};

const std::string endless = "search --warmup-epochs 1 --search-epochs 100000 --finetune-epochs 100000 ";

}  // namespace

TEST_CASE("cli: Ctrl-C during the search exports, tests and saves the network so far, with exit code 130") {
  const Interrupted place;
  place.interrupt(endless, "search", "kill -INT $!", 130);
  const std::string complaint = test::told(io::read_file(place.path / "err")).rest;
  CAPTURE(complaint);
  CHECK(complaint.starts_with("mixgrad: interrupted in search, epoch "));
  CHECK(complaint.ends_with("mixgrad: interrupted: the network found so far is complete, tested and saved in run\n"));
  CHECK(std::ranges::count(complaint, '\n') == 2);
  CHECK(io::read_file(place.path / "out").find("stack3.shortcut") != std::string::npos);

  const json summary = json::parse(io::read_file(place.path / "run/summary.json"));
  CHECK(summary.at("interrupted") == true);
  const json eval = place.printed("eval run --json");
  CHECK(eval.at("accuracy") == summary.at("final_accuracy"));
  CHECK(eval.at("loss").get<double>() == doctest::Approx(summary.at("final_loss").get<double>()));
  CHECK(eval.at("images") == 40);
}

TEST_CASE("cli: SIGTERM during fine-tuning keeps the targets, with exit code 143; train keeps its weights") {
  const Interrupted place;
  place.interrupt("search --json --warmup-epochs 0 --search-epochs 1 --finetune-epochs 100000 --target size=40%",
                  "finetune", "kill -TERM $!", 143);
  const json summary = json::parse(io::read_file(place.path / "out"));
  CHECK(summary == json::parse(io::read_file(place.path / "run/summary.json")));
  CHECK(summary.at("interrupted") == true);
  CHECK(summary.at("targets").at("size").at("found") <= summary.at("targets").at("size").at("limit"));

  fs::remove_all(place.path / "run");
  place.interrupt("train --json --epochs 100000", "warmup", "kill -INT $!", 130);
  const json trained = json::parse(io::read_file(place.path / "out"));
  CHECK(trained.at("interrupted") == true);
  CHECK(trained.at("weights") == "run/float.safetensors");
  CHECK(fs::exists(place.path / "run/float.safetensors"));
}

TEST_CASE("cli: a second Ctrl-C exits at once") {
  if (test::emulated())
    return test::skip("a second Ctrl-C: an emulator does not show which signals its program handles");
  const Interrupted place;
  const std::string until_noticed = "until [ $((0x$(awk '/SigCgt/ {print $2}' /proc/$!/status) & 2)) = 0 ]; do :; done";
  place.interrupt(endless, "search", "kill -INT $!; " + until_noticed + "; kill -INT $!", 130);
  CHECK_FALSE(fs::exists(place.path / "run/summary.json"));
}

TEST_CASE("cli: --json prints what the tables show") {
  const Interrupted place;
  const json summary = place.printed(
      "search --json --warmup-epochs 0 --search-epochs 0 --finetune-epochs 0 --out run --data " + place.data);
  CHECK(summary.at("interrupted") == false);
  CHECK(summary == json::parse(io::read_file(place.path / "run/summary.json")));
  const json verify = place.printed("verify run --json --images 8");
  CHECK(verify.at("images") == 8);
  CHECK(verify.at("tensors").size() > 9);
  for (const json& tensor : verify.at("tensors")) CHECK(tensor.at("largest_difference") <= 1);
  CHECK(verify.at("device_bytes") == summary.at("device_bytes"));
}
