// SPDX-License-Identifier: Apache-2.0
// --loss: the task of a network, from the command line to the files of a run and back.
#include "../models/onnx_net.h"
#include "pictures.h"
#include "workplace.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

namespace io = mixgrad::io;
using namespace mixgrad::test;

namespace {

/// A network from ten features to `outputs` values that ends with a linear layer or an operator after one.
std::string features_net(int64_t outputs, const std::string& end = "") {
  OnnxNet n({10});
  n.node("Gemm", "a", {"x", n.floats("a.weight", {10, 6}), n.floats("a.bias", {6})});
  n.node("Relu", "r", {"a"});
  n.node("Gemm", "b", {"r", n.floats("b.weight", {6, outputs}), n.floats("b.bias", {outputs})});
  if (!end.empty()) n.node(end, "y", {"b"});
  return n.bytes(end.empty() ? "b" : "y");
}

/// Networks, and data sets of ten features: with ten classes, seven, or none.
struct Features : Workplace {
  Features() {
    for (const int classes : {10, 7, 0}) {
      const auto folder = root / fmt::format("data{}", classes);
      std::filesystem::create_directory(folder);
      for (const std::string part : {"train", "test"}) {
        std::string x, y;
        for (int i = 0; i < 70 * 10; ++i) x += static_cast<char>(i * 37 % 256);
        for (int i = 0; i < 70; ++i) y += static_cast<char>(classes == 0 ? 0 : i % classes);
        write_array(folder / ("x_" + part + ".npy"), "70, 10", x);
        if (classes > 0) write_array(folder / ("y_" + part + ".npy"), "70", y);
      }
    }
    io::write_file(root / "net.onnx", features_net(10));
    io::write_file(root / "five.onnx", features_net(5));
    io::write_file(root / "sigmoid.onnx", features_net(10, "Sigmoid"));
  }

  Outcome run(const std::string& arguments) const { return mixgrad_run(*this, arguments + " --threads 2"); }
  Outcome search(const std::string& arguments) const {
    return run("search --search-epochs 1 --finetune-epochs 1 --batch-size 20 " + arguments);
  }
  nlohmann::json eval(const std::string& run) const {
    const Outcome outcome = mixgrad_run(*this, "eval " + run + " --json");
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    return nlohmann::json::parse(outcome.out);
  }
  std::string task_of(const std::string& file) const { return io::read_safetensors(path(file)).metadata.at("task"); }
  /// Changes the task in a network's file; "": removes it, as in older files.
  void tell(const std::string& file, const std::string& task) const {
    io::Safetensors content = io::read_safetensors(path(file));
    content.metadata.erase("task");
    if (!task.empty()) content.metadata["task"] = task;
    io::write_safetensors(path(file), content);
  }
};

}  // namespace

TEST_CASE("loss: a file's network from ten features to ten classes is a classifier unless --loss says otherwise") {
  const Features place;
  const Outcome found = place.search("--model net.onnx --data npy:data10 --out run");
  CAPTURE(found.err);
  REQUIRE(found.exit_code == 0);
  CHECK(found.out.find("\naccuracy on 70 test images: float ") != std::string::npos);
  const auto summary = parsed(place.path("run/summary.json"));
  CHECK(summary.at("task") == "classify");
  CHECK(summary.at("config").at("loss") == "");
  CHECK(summary.at("final_accuracy") == summary.at("final_metric"));
  CHECK(place.task_of("run/model.safetensors") == "classify");
  CHECK(place.eval("run").at("accuracy") == summary.at("final_accuracy"));

  const Outcome other = place.search("--model net.onnx --data npy:data10 --loss reconstruct --out other");
  CAPTURE(other.err);
  REQUIRE(other.exit_code == 0);
  CHECK(other.out.find("\nmean squared error on 70 test images: float ") != std::string::npos);
  CHECK(other.out.find("val loss") != std::string::npos);
  const auto error = parsed(place.path("other/summary.json"));
  CHECK(error.at("task") == "reconstruct");
  CHECK(error.at("metric").at("larger_is_better") == false);
  CHECK(error.at("final_accuracy").is_null());
  CHECK(error.at("final_metric") == error.at("final_loss"));
  CHECK(error.at("command").get<std::string>().find(" --loss reconstruct") != std::string::npos);
  CHECK(json_lines(place.path("other/metrics.jsonl"))[0].at("val_accuracy").is_null());
  CHECK(place.task_of("other/model.safetensors") == "reconstruct");
  CHECK(place.eval("other").at("metric") == "mean squared error");
  CHECK(place.eval("other").at("accuracy").is_null());
  CHECK(place.eval("other").at("value") == place.eval("other").at("loss"));
  CHECK(place.run("verify other --no-c").exit_code == 0);
}

TEST_CASE("loss: float weights keep their task for the search that starts from them") {
  const Features place;
  const Outcome trained =
      place.run("train --model net.onnx --data npy:data10 --loss reconstruct --epochs 1 --lr 0.01 --out float");
  CAPTURE(trained.err);
  REQUIRE(trained.exit_code == 0);
  CHECK(place.task_of("float/float.safetensors") == "reconstruct");
  const std::string from = "--model net.onnx --data npy:data10 --init float/float.safetensors ";
  REQUIRE(place.search(from + "--out run").exit_code == 0);
  CHECK(place.task_of("run/model.safetensors") == "reconstruct");
  REQUIRE(place.search(from + "--loss classify --out other").exit_code == 0);
  CHECK(place.task_of("other/model.safetensors") == "classify");
  place.tell("float/float.safetensors", "dream");
  check_complaint(place.search(from + "--out third"), 2,
                  "float/float.safetensors: task: unknown 'dream': expected classify, imitate, imitate-scores");
}

TEST_CASE("loss: a run whose network names no task is read like older runs") {
  const Features place;
  REQUIRE(place.search("--model net.onnx --data npy:data10 --out same").exit_code == 0);
  place.tell("same/model.safetensors", "");
  CHECK(place.eval("same").at("metric") == "accuracy");  // the data have labels
  place.tell("same/model.safetensors", "dream");
  check_complaint(mixgrad_run(place, "eval same"), 2, "same/model.safetensors: task: unknown 'dream'");

  REQUIRE(mixgrad_run(place, quick(place) + "--warmup-epochs 0 --out other").exit_code == 0);
  const auto before = place.eval("other");
  place.tell("other/model.safetensors", "");
  CHECK(place.eval("other") == before);
  CHECK(before.at("metric") == "accuracy");
}

TEST_CASE("loss: data and networks that do not fit the task are refused by name") {
  const Features place;
  const auto refused = [&](const std::string& arguments, const std::string& words) {
    check_complaint(place.search(arguments + " --out run"), 2, words);
  };
  refused("--model net.onnx --data npy:data7",
          "data: 'npy:data7' has 7 classes, but model net.onnx returns 10 values: --loss classify expects one value "
          "per class; --loss reconstruct would train it to return its input");
  refused("--model five.onnx --data npy:data10",
          "data: 'npy:data10' has 10 classes, but model five.onnx returns 5 values: --loss classify expects one value "
          "per class\n");
  refused("--model net.onnx --data npy:data0 --loss classify",
          "data: 'npy:data0' has no labels, which --loss classify needs to train model net.onnx");
  refused("--model five.onnx --data npy:data0",
          "but model five.onnx returns 5 values: --loss reconstruct expects 10, one per value of the image; the data "
          "have no labels for --loss classify");
  refused("--model sigmoid.onnx --data npy:data10 --loss reconstruct",
          "model sigmoid.onnx: the Sigmoid 'node_y' at its end is not supported and was left out, but --loss "
          "reconstruct needs it");
  CHECK_FALSE(std::filesystem::exists(place.path("run")));

  REQUIRE(place.search("--model net.onnx --data npy:data10 --out run").exit_code == 0);
  check_complaint(mixgrad_run(place, "eval run --data npy:data7"), 2,
                  "'npy:data7' has 7 classes, but the network in run returns 10 values: --loss classify expects");
}
