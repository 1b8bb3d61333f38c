// SPDX-License-Identifier: Apache-2.0
// Images of other sizes than the built-in networks' usual ones, through every command.
#include "pictures.h"
#include "workplace.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

using namespace mixgrad::test;

TEST_CASE("sizes: mobilenet_v1 on CIFAR-10: train, search, eval, verify, export, bench, inspect") {
  const Workplace place;
  const auto run = [&](const std::string& arguments) {
    const Outcome outcome = mixgrad_run(place, arguments);
    CAPTURE(arguments);
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    return outcome.out;
  };
  const std::string net = "--model mobilenet_v1 --threads 2 ", data = "--data " + place.data() + " ";
  run("train --epochs 1 --batch-size 40 --out float " + net + data);
  run("search --init float/float.safetensors --search-epochs 1 --finetune-epochs 1 --batch-size 40 --out run " + net +
      data);
  CHECK(parsed(place.path("run/summary.json")).at("layers")[0].at("macs") == 8 * 27 * 16 * 16);
  run("eval run --json");
  run("verify run --no-c");
  run("export run --to c --out c");
  run("bench inference run --images 2");
  CHECK(run("inspect tape --images 2 " + net + data).find("2x3x32x32") != std::string::npos);
  CHECK(run("inspect mobilenet_v1 --input-shape 1,20,40").find("8x10x20") != std::string::npos);
  CHECK(run("inspect mobilenet_v1").find("8x48x48") != std::string::npos);
  run("bench step --input-shape 1,20,40 --batch 2 --steps 1 " + net);
}

TEST_CASE("sizes: data that a built-in network can't take are refused by name, before anything is written") {
  const Workplace place;
  const auto write = [&](const std::string& shape, int64_t values) {
    for (const std::string part : {"train", "test"}) {
      write_array(place.path("x_" + part + ".npy"), "20, " + shape, std::string(static_cast<size_t>(20 * values), 'x'));
      write_array(place.path("y_" + part + ".npy"), "20", std::string(20, '\1'));
    }
  };
  const auto refused = [&](const std::string& arguments, const std::string& words) {
    check_complaint(mixgrad_run(place, "search --data npy:. --out run " + arguments), 2, words);
    CHECK_FALSE(std::filesystem::exists(place.path("run")));
  };
  write("16, 20, 3", 16 * 20 * 3);
  refused("--model mobilenet_v1",
          "model mobilenet_v1: images [3, 16, 20] (C, H, W) are too small for its strides: "
          "expected at least 17 rows and 17 columns");
  refused("--model resnet8 --input-shape 3,32,32", "images of 'npy:.' are [3, 16, 20], but model resnet8 takes");
  write("10", 10);
  refused("--model resnet8", "images [10, 1, 1] (C, H, W) are too small");
  check_complaint(mixgrad_run(place, "bench step --model mobilenet_v1 --input-shape 3,16,32"), 2, "too small");
}
