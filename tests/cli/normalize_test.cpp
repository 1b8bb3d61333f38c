// SPDX-License-Identifier: Apache-2.0
// --normalize from training to evaluation, and the note about networks that are hardly better than chance.
#include "workplace.h"

#include <mixgrad/graph.h>
#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

using namespace mixgrad::test;

namespace {

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string search_from(const Workplace& place, const std::string& init, const std::string& flags) {
  return fmt::format("search --data {} --init {} --search-epochs 1 --finetune-epochs 0 --threads 1 {}", place.data(),
                     init, flags);
}

}  // namespace

TEST_CASE("normalize: stored with float weights and used by search and evaluation") {
  const Workplace place;
  const Outcome trained = mixgrad_run(
      place, fmt::format("train --data {} --epochs 1 --threads 1 --normalize 0.5/0.25 --out float", place.data()));
  REQUIRE(trained.exit_code == 0);
  CHECK(mixgrad::io::read_safetensors(place.path("float/float.safetensors")).metadata.at("normalize") ==
        "0.5,0.5,0.5/0.25,0.25,0.25");

  REQUIRE(mixgrad_run(place, search_from(place, "float/float.safetensors", "--out found")).exit_code == 0);
  const mixgrad::Graph found = mixgrad::load_graph(place.path("found/model.safetensors"));
  CHECK(found.normalization == mixgrad::parse_normalization("0.5/0.25", 3));
  const double accuracy = parsed(place.path("found/summary.json")).at("final_accuracy").get<double>();
  CHECK(mixgrad_run(place, "eval found").out == fmt::format("{:.4f}\n", accuracy));

  check_complaint(mixgrad_run(place, search_from(place, "float/float.safetensors", "--out other --normalize cifar10")),
                  2, "normalize: float/float.safetensors");
  CHECK(
      mixgrad_run(place, search_from(place, "float/float.safetensors", "--out same --normalize 0.5/0.25")).exit_code ==
      0);
}

TEST_CASE("normalize: invalid values are refused before anything is written") {
  const Workplace place;
  check_complaint(mixgrad_run(place, quick(place) + " --out run --normalize 0.5"), 2, "expected MEAN/STD");
  CHECK(place.holds_only_data());
}

TEST_CASE("input scale: a network that pixels are scaled for, from training to evaluation") {
  const Workplace place;
  const std::string scale = "--input-scale -1..1";
  REQUIRE(mixgrad_run(place, fmt::format("train --data {} --epochs 1 --threads 1 {} --out float", place.data(), scale))
              .exit_code == 0);
  const std::string weights = "float/float.safetensors";
  REQUIRE(mixgrad_run(place, search_from(place, weights, "--out found")).exit_code == 0);
  const mixgrad::Graph found = mixgrad::load_graph(place.path("found/model.safetensors"));
  CHECK(found.normalization == mixgrad::parse_normalization("0.5/0.5", 3));
  check_complaint(mixgrad_run(place, search_from(place, weights, "--out other --input-scale 0..255")), 2,
                  "leave out --normalize and --input-scale");
  check_complaint(mixgrad_run(place, quick(place) + " --out run --input-scale 255"), 2,
                  "input-scale: unknown '255': expected LOW..HIGH");
  check_complaint(mixgrad_run(place, quick(place) + " --out run --input-scale 1..0"), 2,
                  "input-scale: invalid value '1..0': expected LOW..HIGH, such as 0..255");
}

TEST_CASE("a search from untrained weights says that its result is meaningless") {
  const Workplace place;
  const Outcome untrained = mixgrad_run(
      place,
      "search --data glyphs:400 --warmup-epochs 0 --search-epochs 0 --finetune-epochs 0 --threads 1 --quiet --out run");
  REQUIRE(untrained.exit_code == 0);
  CHECK(holds(untrained.notes, "hardly better than chance"));
  CHECK(holds(untrained.notes, "train it first"));
  CHECK(parsed(place.path("run/summary.json")).at("notes").size() == 1);
}
