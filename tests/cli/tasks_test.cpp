// SPDX-License-Identifier: Apache-2.0
// Searches without class labels: imitation of the float network, regression, and segmentation.
#include "../models/onnx_net.h"
#include "pictures.h"
#include "workplace.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <filesystem>

namespace fs = std::filesystem;
namespace io = mixgrad::io;
using namespace mixgrad::test;
using nlohmann::json;

namespace {

/// Images [1, 8, 8] of which nothing is known, and networks for them: to five scores, a map of three channels, and one
/// value.
struct Images : Workplace {
  static constexpr int train = 80, test = 40;

  Images() {
    for (const char* kind : {"plain", "values", "maps"}) {
      fs::create_directory(root / kind);
      write(kind, "train", train);
      write(kind, "test", test);
    }
    OnnxNet scores({1, 8, 8});
    scores.node("Conv", "a", {"x", scores.floats("w", {4, 1, 3, 3}), scores.floats("wb", {4})});
    scores.list("pads", {1, 1, 1, 1});
    scores.node("Relu", "r", {"a"});
    scores.node("GlobalAveragePool", "p", {"r"});
    scores.node("Flatten", "f", {"p"});
    scores.node("Gemm", "y", {"f", scores.floats("v", {4, 5}), scores.floats("vb", {5})});
    io::write_file(root / "scores.onnx", scores.bytes("y"));
    OnnxNet value({1, 8, 8});
    value.node("Conv", "a", {"x", value.floats("w", {4, 1, 8, 8}), value.floats("wb", {4})});
    value.node("Relu", "r", {"a"});
    value.node("Flatten", "f", {"r"});
    value.node("Gemm", "y", {"f", value.floats("v", {4, 1}), value.floats("vb", {1})});
    io::write_file(root / "value.onnx", value.bytes("y"));
    OnnxNet map({1, 8, 8});
    map.node("Conv", "a", {"x", map.floats("w", {6, 1, 1, 1}), map.floats("wb", {6})});
    map.node("Relu", "r", {"a"});
    map.node("Conv", "y", {"r", map.floats("v", {3, 6, 1, 1}), map.floats("vb", {3})});
    io::write_file(root / "map.onnx", map.bytes("y"));
  }

  /// The mean of an image is its target, and thirds of the brightness are the classes of its pixels.
  void write(const std::string& kind, const std::string& part, int count) const {
    std::string x, classes;
    std::vector<float> means;
    for (int i = 0; i < count; ++i) {
      int sum = 0;
      for (int p = 0; p < 64; ++p) {
        const int v = (i * 37 + p * 101 + i * p) % 256;
        x += static_cast<char>(v);
        classes += static_cast<char>(v / 86);
        sum += v;
      }
      means.push_back(static_cast<float>(sum) / (64 * 255));
    }
    write_array(root / kind / ("x_" + part + ".npy"), fmt::format("{}, 8, 8", count), x);
    const auto y = root / kind / ("y_" + part + ".npy");
    if (kind == "maps") write_array(y, fmt::format("{}, 8, 8", count), classes);
    if (kind == "values") io::write_file(y, npy_of_floats(fmt::format("{}", count), means));
  }

  Outcome search(const std::string& arguments) const {
    return mixgrad_run(*this, "search --search-epochs 1 --finetune-epochs 1 --batch-size 20 --threads 2 " + arguments);
  }
  json found(const std::string& arguments) const {
    const Outcome outcome = search(arguments + " --out run --overwrite");
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    said = outcome.out;
    notes = outcome.notes;
    return parsed(path("run/summary.json"));
  }
  json printed(const std::string& command) const {
    const Outcome outcome = mixgrad_run(*this, command);
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    return json::parse(outcome.out);
  }

  mutable std::string said, notes;
};

}  // namespace

TEST_CASE("imitate: a network from a file is searched on images without labels, and compared with its float form") {
  const Images place;
  for (const char* method : {"fisher", "uniform", "sensitivity"}) {
    CAPTURE(method);
    const json summary = place.found(
        fmt::format("--model scores.onnx --data npy:plain --loss imitate --target size=60% --method {}", method));
    CHECK(summary.at("task") == "imitate-scores");
    CHECK(summary.at("config").at("loss") == "imitate");
    CHECK(summary.at("metric").at("name") == "agreement");
    CHECK(summary.at("float_metric") == 1);
    CHECK(summary.at("final_metric").get<double>() > 0.5);
    CHECK(summary.at("final_accuracy").is_null());
    CHECK(place.said.find("\nagreement on 40 test images: float 1.0000, ") != std::string::npos);
    CHECK(place.notes.find("--loss imitate takes the outputs of scores.onnx for class scores: --loss imitate-values "
                           "takes them for values that are not class scores") != std::string::npos);
  }
  const json summary = place.found("--model scores.onnx --data npy:plain --loss imitate --target size=60%");
  const json eval = place.printed("eval run --json");
  CHECK(eval.at("metric") == "agreement");
  CHECK(eval.at("value") == summary.at("final_metric"));
  CHECK(eval.at("loss").get<double>() == doctest::Approx(summary.at("final_loss").get<double>()));
  CHECK(eval.at("confusion").size() == 5);
  CHECK(parsed(place.path("run/confusion.json")).at("truth") == "float network");
  CHECK(mixgrad_run(place, "verify run --no-c").exit_code == 0);
  CHECK(mixgrad_run(place, "report run").exit_code == 0);

  fs::remove(place.path("run/teacher.safetensors"));
  check_complaint(mixgrad_run(place, "eval run"), 2, "run/teacher.safetensors");
}

TEST_CASE("imitate: outputs that are no class scores are compared as values, from init's task or by name") {
  const Images place;
  for (const char* loss : {"imitate", "imitate-values"}) {
    const json summary = place.found(fmt::format("--model map.onnx --data npy:plain --loss {}", loss));
    CHECK(summary.at("task") == "imitate-values");
    CHECK(summary.at("metric").at("name") == "relative error");
    CHECK(summary.at("metric").at("larger_is_better") == false);
    CHECK(summary.at("float_metric") == 0);
    CHECK(summary.at("final_metric").get<double>() < 0.2);
    const bool told = place.notes.find("takes the outputs of map.onnx") != std::string::npos;
    CHECK(told == (std::string(loss) == "imitate"));  // by name, there is nothing to tell
    CHECK(place.printed("eval run --json").at("value").get<double>() ==
          doctest::Approx(summary.at("final_metric").get<double>()));
    CHECK_FALSE(fs::exists(place.path("run/confusion.json")));  // of the run before
  }
  const Outcome trained =
      mixgrad_run(place, "train --model scores.onnx --data npy:plain --loss imitate --epochs 1 --out float");
  check_complaint(trained, 2, "loss: imitate is for searches");
  check_complaint(place.search("--model value.onnx --data npy:plain --loss imitate-scores --out other"), 2,
                  "model value.onnx returns [1]: --loss imitate-scores expects at least two class scores");
}

TEST_CASE("imitate: a network with several outputs is searched, verified, exported and run") {
  const Images place;
  OnnxNet net({1, 8, 8});
  net.node("Conv", "a", {"x", net.floats("w", {4, 1, 3, 3}), net.floats("wb", {4})});
  net.list("pads", {1, 1, 1, 1});
  net.node("Relu", "map", {"a"});
  net.node("GlobalAveragePool", "p", {"map"});
  net.node("Flatten", "f", {"p"});
  net.node("Gemm", "kind of thing", {"f", net.floats("v", {4, 5}), net.floats("vb", {5})});
  io::write_file(place.root / "heads.onnx", net.bytes(std::vector<std::string>{"kind of thing", "map"}));

  const json summary = place.found("--model heads.onnx --data npy:plain --loss imitate --target size=60%");
  CHECK(summary.at("task") == "imitate-values");
  CHECK(summary.at("final_metric").get<double>() < 0.3);
  CHECK(place.printed("eval run --json").at("value").get<double>() ==
        doctest::Approx(summary.at("final_metric").get<double>()));
  const Outcome verified = mixgrad_run(place, "verify run");
  CAPTURE(verified.err);
  CHECK(verified.exit_code == 0);
  CHECK(mixgrad_run(place, "export run --to c --out c").exit_code == 0);
  CHECK(io::read_file(place.path("c/net.h")).find("/* Output 1 (map): 8 x 8 x 4 (height, width, channels);") !=
        std::string::npos);
  CHECK(mixgrad_run(place, "export run --to onnx --out net.onnx").exit_code == 0);
  CHECK(mixgrad_run(place, "report run").exit_code == 0);

  for (const char* network : {"heads.onnx --data npy:plain", "run", "run --integer"}) {
    CAPTURE(network);
    CHECK(mixgrad_run(place, fmt::format("predict {} --out y.npy", network)).exit_code == 0);
    CHECK(io::read_file(place.path("y.npy")).find("'shape': (40, 5,") != std::string::npos);
    CHECK(io::read_file(place.path("y.map.npy")).find("'shape': (40, 4, 8, 8,") != std::string::npos);
    const json line = place.printed(fmt::format("predict {} --json", network)).at("predictions").at(0);
    CHECK(line.at("outputs").at("kind of thing").size() == 5);
    CHECK(line.at("outputs").at("map").at(3).at(7).size() == 8);
  }
  CHECK(mixgrad_run(place, "predict run --out y.csv").exit_code == 0);
  CHECK(io::read_file(place.path("y.csv")).starts_with("image,kind of thing.0,kind of thing.1,"));
  check_complaint(mixgrad_run(place, "predict run --top 1"), 2, "2 outputs");
  check_complaint(mixgrad_run(place, "predict run --confusion"), 2, "confusion: run has 2 outputs");
  check_complaint(place.search("--model heads.onnx --data npy:values --out other"), 2,
                  "model heads.onnx has the outputs 'kind of thing', 'map', but regress is for networks with one: "
                  "expected --loss imitate");
}

TEST_CASE("tasks: a search that was killed continues to the same network and metrics, those of counts included") {
  if (emulated()) return;
  const Images place;
  for (const std::string task :
       {"--model scores.onnx --data npy:plain --loss imitate", "--model map.onnx --data npy:maps"}) {
    CAPTURE(task);
    const std::string command =
        fmt::format("'{}' search {} --search-epochs 80 --finetune-epochs 30 --batch-size 20 --threads 1 --overwrite",
                    binary(), task);
    REQUIRE(shell_run(place, command + " --out whole").exit_code == 0);
    const Outcome killed = shell_run(
        place, command +
                   " --out parts --checkpoint-minutes 0 & pid=$!; until grep -q search parts/metrics.next.jsonl "
                   "parts/metrics.jsonl 2>/dev/null || ! kill -0 $pid; do sleep 0.02; done; kill -9 $pid; wait $pid");
    CHECK(killed.exit_code == 128 + 9);
    const std::string resumed = command.substr(0, command.size() - std::string(" --overwrite").size());
    const Outcome whole = shell_run(place, resumed + " --out parts --resume");
    CAPTURE(whole.err);
    REQUIRE(whole.exit_code == 0);
    CHECK(parsed(place.path("parts/summary.json")).at("checksum") ==
          parsed(place.path("whole/summary.json")).at("checksum"));
    std::vector<json> before = json_lines(place.path("whole/metrics.jsonl")),
                      after = json_lines(place.path("parts/metrics.jsonl"));
    for (std::vector<json>* lines : {&before, &after}) {
      for (json& line : *lines) line.erase("seconds");
    }
    CHECK(before == after);
    fs::remove_all(place.path("parts"));
  }
}

TEST_CASE("regress: floats are predicted, by default where y can't be class numbers") {
  const Images place;
  const json summary =
      place.found("--model value.onnx --data npy:values --search-lr 0.0003 --search-epochs 8 --finetune-epochs 4");
  CHECK(summary.at("task") == "regress");
  CHECK(summary.at("metric").at("name") == "mean squared error");
  CHECK(summary.at("final_metric").get<double>() < summary.at("search_metric").get<double>() * 1.0001);
  const json eval = place.printed("eval run --json");
  CHECK(eval.at("value").get<double>() == doctest::Approx(summary.at("final_metric").get<double>()));
  CHECK_FALSE(eval.contains("confusion"));
  check_complaint(place.search("--model scores.onnx --data npy:values --out other"), 2,
                  "data: 'npy:values' has targets [], but model scores.onnx returns [5]: --loss regress expects equal "
                  "shapes; for --loss classify, ");
  check_complaint(place.search("--model value.onnx --data npy:values --loss classify --out other"), 2,
                  "y_train.npy: the label at [0] is");
  check_complaint(place.search("--model value.onnx --data npy:plain --loss regress --out other"), 2,
                  "data: 'npy:plain' has no targets, which --loss regress needs");
}

TEST_CASE("classify: the built-in unet takes images and label maps of the data's size, loses channels and verifies") {
  const Images place;
  const json summary = place.found("--model unet --data npy:maps --weight-bits 0,4,8 --target size=40%");
  CHECK(summary.at("metric").at("name") == "mean IoU");
  const json& size = summary.at("targets").at("size");
  CHECK(size.at("found").get<double>() <= size.at("limit").get<double>());
  CHECK(mixgrad_run(place, "verify run --no-c").exit_code == 0);
  CHECK(mixgrad_run(place, "export run --to c --out net").exit_code == 0);
  CHECK(mixgrad_run(place, "bench step --model unet --input-shape 1,8,8 --batch 2 --steps 1").exit_code == 0);
  check_complaint(place.search("--model unet --data npy:plain --out other"), 2, "'npy:plain' has no labels");
}

TEST_CASE("classify: label maps are segmented, with mean IoU and pixels per class") {
  const Images place;
  const json summary = place.found("--model map.onnx --data npy:maps --finetune-epochs 3");
  CHECK(summary.at("task") == "classify");
  CHECK(summary.at("metric").at("name") == "mean IoU");
  const json eval = place.printed("eval run --json");
  CHECK(eval.at("value").get<double>() == doctest::Approx(summary.at("final_metric").get<double>()));
  CHECK(eval.at("classes").size() == 3);
  double overlap = 0, correct = 0, pixels = 0;
  for (const json& c : eval.at("classes")) {
    overlap += c.at("iou").get<double>() / 3;
    correct += c.at("correct").get<double>();
    pixels += c.at("pixels").get<double>();
  }
  CHECK(pixels == Images::test * 64);
  CHECK(eval.at("value").get<double>() == doctest::Approx(overlap));
  CHECK(eval.at("pixel_accuracy").get<double>() == doctest::Approx(correct / pixels));
  const json predicted = place.printed("predict run --confusion --json");
  CHECK(predicted.at("confusion") == eval.at("confusion"));
  const Outcome table = mixgrad_run(place, "predict run --confusion");
  check_plain_text(table.out);
  CHECK(table.out.find(" IoU ") != std::string::npos);
  check_complaint(mixgrad_run(place, "predict run --out y.csv"), 2,
                  "run returns [3, 8, 8], which lines of CSV can't hold");
  check_complaint(place.search("--model scores.onnx --data npy:maps --out other"), 2,
                  "data: 'npy:maps' has label maps [8, 8] of 3 classes, but model scores.onnx returns [5]: --loss "
                  "classify expects [3, 8, 8]");
}
