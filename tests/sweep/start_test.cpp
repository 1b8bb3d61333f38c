// SPDX-License-Identifier: Apache-2.0
// How sweeps start: from given weights, in a folder that does not exist yet, or not at all.
#include "../cli/workplace.h"
#include "../skip.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <limits>

using namespace mixgrad::test;
namespace io = mixgrad::io;

namespace {

const std::string tiny =
    "sweep --data glyphs:80 --warmup-epochs 1 --search-epochs 1 --finetune-epochs 0 --threads 2 --quiet --strengths "
    "1e-6 ";

void train(const Workplace& place) {
  REQUIRE(mixgrad_run(place, "train --data glyphs:80 --epochs 1 --threads 2 --quiet --out float").exit_code == 0);
}

}  // namespace

TEST_CASE("sweep: --init starts in a new folder, without a warm-up, and continues there") {
  if (emulated()) return skip("a sweep under an emulator can't start its runs");
  const Workplace place;
  train(place);
  const std::string sweep = tiny + "--init float/float.safetensors --out deep/s";
  const Outcome first = mixgrad_run(place, sweep);
  CAPTURE(first.err);
  REQUIRE(first.exit_code == 0);
  CHECK_FALSE(std::filesystem::exists(place.root / "deep/s/float"));
  const std::string csv = io::read_file(place.path("deep/s/sweep.csv"));
  CHECK(std::ranges::count(csv, '\n') == 2);
  CHECK(mixgrad_run(place, sweep).exit_code == 0);
  CHECK(io::read_file(place.path("deep/s/sweep.csv")) == csv);
}

TEST_CASE("sweep: unusable weights and a folder that can't be created are refused before anything is written") {
  const Workplace place;
  train(place);
  io::Safetensors weights = io::read_safetensors(place.path("float/float.safetensors"));
  weights.at("fc.weight").data()[5] = std::numeric_limits<float>::quiet_NaN();
  io::write_safetensors(place.path("cifar/nan.safetensors"), weights);
  check_complaint(mixgrad_run(place, tiny + "--init cifar/nan.safetensors --out s"), 2,
                  "tensor \"fc.weight\" contains NaN at index 5");
  check_complaint(mixgrad_run(place, tiny + "--init nowhere.safetensors --out s"), 2, "nowhere.safetensors");
  check_complaint(mixgrad_run(place, tiny + "--out cifar/test_batch.bin/s"), 2, "can't create folder ");
  check_complaint(mixgrad_run(place, tiny + "--out /proc"), 2, "can't write into folder /proc");
  std::filesystem::remove_all(place.root / "float");
  CHECK(place.holds_only_data());
}

TEST_CASE("search: NaN and infinite weights are refused by tensor and index, and no folder is left") {
  const Workplace place;
  train(place);
  io::Safetensors weights = io::read_safetensors(place.path("float/float.safetensors"));
  weights.at("conv.weight").data()[1] = -std::numeric_limits<float>::infinity();
  io::write_safetensors(place.path("cifar/infinite.safetensors"), weights);
  std::filesystem::rename(place.root / "float/float.safetensors", place.root / "cifar/finite.safetensors");
  std::filesystem::remove_all(place.root / "float");
  const std::string words = "cifar/infinite.safetensors: tensor \"conv.weight\" contains -infinity at index 1";
  check_complaint(mixgrad_run(place, "search --data glyphs:80 --quiet --init cifar/infinite.safetensors --out run"), 2,
                  words);
  check_complaint(mixgrad_run(place, "inspect tape --data glyphs:80 --init cifar/infinite.safetensors"), 2, words);
  weights = io::read_safetensors(place.path("cifar/finite.safetensors"));
  for (float& w : weights.at("fc.weight").data()) w = 3e38F;
  io::write_safetensors(place.path("cifar/huge.safetensors"), weights);
  check_complaint(
      mixgrad_run(place, "search --data glyphs:80 --quiet --init cifar/huge.safetensors --out run"), 2,
      "cifar/huge.safetensors: the network's outputs are NaN or infinite: expected weights that keep them finite");
  CHECK(place.holds_only_data());
}
