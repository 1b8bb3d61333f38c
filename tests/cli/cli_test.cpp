// SPDX-License-Identifier: Apache-2.0
// The command line end to end, with the real program, on a CIFAR-10 folder of a few hundred records.
#include "workplace.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <vector>

namespace fs = std::filesystem;
using namespace mixgrad::test;
using nlohmann::json;

namespace {

bool is_fraction(const json& j) { return j.is_number() && j.get<double>() >= 0 && j.get<double>() <= 1; }

void check_layers(const json& layers, bool per_layer) {
  REQUIRE(layers.size() == 10);
  int64_t weights = 0, macs = 0;
  for (const json& layer : layers) {
    CHECK(layer.at("name").is_string());
    CHECK(layer.at("in_bits") == 8);
    CHECK(layer.at("out_bits").is_null() == (layer == layers.back()));
    weights += layer.at("weights").get<int64_t>();
    macs += layer.at("macs").get<int64_t>();
    CHECK(layer.at("weight_bits").is_array() == !per_layer);
    for (const json& bits : per_layer ? json::array({layer.at("weight_bits")}) : layer.at("weight_bits")) {
      CHECK((bits == 2 || bits == 4 || bits == 8));
    }
  }
  CHECK(weights == 77'360);
  CHECK(macs == 12'501'632);
  if (!per_layer) CHECK(layers[0].at("weight_bits").size() == 16);
}

/// Everything that a summary must contain, with its type.
void check_summary(const json& summary, const Workplace& place, const std::string& scheme) {
  CHECK(summary.at("model") == "resnet8");
  CHECK(summary.at("data") == place.data());
  CHECK(summary.at("scheme") == scheme);
  CHECK(summary.at("regularizer") == "size");
  CHECK(summary.at("strength").get<double>() == doctest::Approx(1e-5));
  CHECK(summary.at("seed") == 3);
#ifdef _OPENMP
  CHECK(summary.at("threads") == 2);
#else
  CHECK(summary.at("threads") == 1);
#endif
  for (const char* key : {"float_accuracy", "search_accuracy", "final_accuracy"}) CHECK(is_fraction(summary.at(key)));
  CHECK(summary.at("task") == "classify");
  CHECK(summary.at("metric").at("name") == "accuracy");
  CHECK(summary.at("metric").at("larger_is_better") == true);
  CHECK(summary.at("final_metric") == summary.at("final_accuracy"));
  for (const char* key : {"size", "macs"}) {
    CHECK(summary.at("cost").at(key).get<double>() > 0);
    CHECK(summary.at("cost").at(key) <= summary.at("cost_uniform8").at(key));
  }
  CHECK(summary.at("cost_uniform8").at("size") == 8 * 77'360);
  check_layers(summary.at("layers"), scheme == "per-layer");
  double parts = 0;
  for (const char* key : {"warmup", "search", "finetune"}) parts += summary.at("seconds").at(key).get<double>();
  CHECK(parts > 0);
  CHECK(parts <= summary.at("seconds").at("total").get<double>());
}

/// The size computed from the layers' bits, which must equal the summary's cost.
double size_of(const json& layers) {
  double bits = 0;
  for (const json& layer : layers) {
    const json& chosen = layer.at("weight_bits");
    const json list = chosen.is_array() ? chosen : json::array({chosen});
    for (const json& b : list)
      bits += b.get<double>() * layer.at("weights").get<double>() / static_cast<double>(list.size());
  }
  return bits;
}

void check_metrics(const std::vector<json>& lines) {
  REQUIRE(lines.size() == 3);
  const char* phases[] = {"warmup", "search", "finetune"};
  for (size_t i = 0; i < lines.size(); ++i) {
    const json& line = lines[i];
    CHECK(line.size() == 14);
    CHECK(line.at("phase") == phases[i]);
    CHECK(line.at("epoch") == 0);
    CHECK(line.at("task_loss").get<double>() > 0);
    CHECK(is_fraction(line.at("train_accuracy")));
    CHECK(is_fraction(line.at("val_accuracy")));
    CHECK(line.at("train_metric") == line.at("train_accuracy"));
    CHECK(line.at("val_metric") == line.at("val_accuracy"));
    CHECK(line.at("seconds").get<double>() > 0);
    for (const char* key : {"reg_loss", "tau", "entropy"}) CHECK(line.at(key).is_number() == (i == 1));
    for (const char* key : {"cost_soft", "cost_discrete"}) CHECK(line.at(key).is_number() == (i > 0));
  }
}

/// One search epoch of resnet8: 10 α of weights and 10 of activations (of 13 tensors, 6 share in pairs).
void check_history(const std::vector<json>& lines, bool per_layer) {
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].at("epoch") == 0);
  CHECK(lines[0].at("tau") == 0.05);
  const json& alphas = lines[0].at("alphas");
  CHECK(alphas.size() == 20);
  for (const json& a : alphas) {
    const std::string name = a.at("name");
    CAPTURE(name);
    const size_t candidates = a.at("bits").size();
    CHECK(candidates == (name.ends_with(".alpha_w") ? 3 : 1));
    for (const char* key : {"alpha", "theta", "loss"}) {
      REQUIRE(a.at(key).size() == candidates);
      CHECK(a.at(key)[0].is_array() == (!per_layer && candidates == 3));
    }
    if (name == "conv.alpha_w") CHECK(a.at("nodes") == json::array({"conv"}));
    if (name == "conv.alpha_w" && !per_layer) CHECK(a.at("loss")[2].size() == 16);
  }
}

/// The metrics without their times.
std::string without_seconds(const std::string& file) {
  std::string out;
  for (json& line : json_lines(file)) {
    line.erase("seconds");
    out += line.dump() + "\n";
  }
  return out;
}

/// Runs and evaluates a search with `scheme`.
void check_run(const std::string& scheme) {
  const Workplace place;
  const Outcome run = mixgrad_run(place, quick(place) + "--strength 1e-5 --out deep/run --scheme " + scheme);
  CAPTURE(run.err);
  REQUIRE(run.exit_code == 0);
  CHECK(run.err.empty());
  check_plain_text(run.out);
  CHECK(run.out.find("warmup 1/1") == 0);
  CHECK(run.out.find("\ndeep/run/report.html shows the run while it goes on\nsearch 1/1") != std::string::npos);
  for (const char* word : {"search 1/1", "finetune 1/1", "left", "stack3.shortcut", "uniform 8-bit", "fine-tuned"}) {
    CAPTURE(word);
    CHECK(run.out.find(word) != std::string::npos);
  }
  const json summary = parsed(place.path("deep/run/summary.json"));
  check_summary(summary, place, scheme);
  CHECK(summary.at("cost").at("size").get<double>() == doctest::Approx(size_of(summary.at("layers"))));
  for (const char* name : {"size", "mpic-latency", "ne16-latency"}) {
    double sum = 0;
    for (const json& layer : summary.at("layers")) sum += layer.at("costs").at(name).get<double>();
    CHECK_MESSAGE(sum == doctest::Approx(summary.at("cost").at(name).get<double>()), name);
  }
  check_metrics(json_lines(place.path("deep/run/metrics.jsonl")));
  check_history(json_lines(place.path("deep/run/history.jsonl")), scheme == "per-layer");
  CHECK(std::distance(fs::directory_iterator(place.root / "deep/run"), fs::directory_iterator()) == 6);
  CHECK(run.out.find("report: deep/run/report.html\n") != std::string::npos);
  CHECK(mixgrad_run(place, "report deep/run --json").out.starts_with("{\"kind\":\"run\""));
  check_complaint(mixgrad_run(place, "report deep"), 2, "sweep.csv");

  const std::string accuracy = fmt::format("{:.4f}\n", summary.at("final_accuracy").get<double>());
  CHECK(mixgrad_run(place, "eval deep/run").out == accuracy);
  CHECK(mixgrad_run(place, "inspect why deep/run stack1.conv2").out.find("The loss is what a candidate would add") !=
        std::string::npos);
  CHECK(mixgrad_run(place, "eval deep/run --threads 1 --data " + place.data()).out == accuracy);
}

}  // namespace

TEST_CASE("cli: a search per channel writes network, metrics and summary, and eval gives the same result") {
  check_run("per-channel");
}

TEST_CASE("cli: a search per layer writes network, metrics and summary, and eval gives the same result") {
  check_run("per-layer");
}

TEST_CASE("cli: the same seed and threads give the same bytes; a folder in use is refused unless overwritten") {
  const Workplace place;
  REQUIRE(mixgrad_run(place, quick(place) + "--out a").exit_code == 0);
  const Outcome again = mixgrad_run(place, quick(place) + "--out b --quiet");
  REQUIRE(again.exit_code == 0);
  CHECK(again.out.starts_with("layer "));
  CHECK(without_seconds(place.path("a/metrics.jsonl")) == without_seconds(place.path("b/metrics.jsonl")));
  const std::string network = mixgrad::io::read_file(place.path("a/model.safetensors"));
  CHECK(network == mixgrad::io::read_file(place.path("b/model.safetensors")));

  check_complaint(mixgrad_run(place, quick(place) + "--seed 4 --out a"), 2, "--overwrite");
  CHECK(network == mixgrad::io::read_file(place.path("a/model.safetensors")));
  REQUIRE(mixgrad_run(place, quick(place) + "--seed 4 --out a/ --overwrite").exit_code == 0);
  CHECK(network != mixgrad::io::read_file(place.path("a/model.safetensors")));
  CHECK(parsed(place.path("a/summary.json")).at("seed") == 4);
}

TEST_CASE("cli: a loss that is not finite ends the run with exit code 1 and leaves nothing behind") {
  const Workplace place;
  check_complaint(mixgrad_run(place, quick(place) + "--lr 1e30 --out run"), 1,
                  "warmup, epoch 1, step 2: op conv2d of layer stack1.conv1: NaN at element 0");
  CHECK(place.holds_only_data());
}

TEST_CASE("cli: a configuration file sets what flags set, and flags override it") {
  const Workplace place;
  mixgrad::io::write_file(place.root / "cifar/run.toml", fmt::format(R"(data = "{}"
scheme = "per-layer"
weight-bits = [4, 8]
act-bits = 8
strength = 0
warmup-epochs = 0
search-epochs = 0
finetune-epochs = 0
weight-decay = 0.001
seed = 5
quiet = true
out = "run"
)",
                                                                     place.data()));
  REQUIRE(mixgrad_run(place, "search --config cifar/run.toml --seed 6 --act-bits 4 --effort thorough").exit_code == 0);
  const json summary = parsed(place.path("run/summary.json"));
  CHECK(summary.at("seed") == 6);
  const auto command = summary.at("command").get<std::string>();
  for (const char* given : {"--warmup-epochs 0", "--weight-decay 0.001", "--lr 0.1"}) {  // the last is the effort's
    CAPTURE(given);
    CHECK(command.find(given) != std::string::npos);
  }
  CHECK(summary.at("scheme") == "per-layer");
  CHECK(summary.at("strength") == 0);
  CHECK(summary.at("layers")[0].at("out_bits") == 4);
  CHECK(json_lines(place.path("run/metrics.jsonl")).empty());
  CHECK_FALSE(fs::exists(place.root / "run/history.jsonl"));
}

TEST_CASE("cli: help and version go to standard output; bench step prints its times") {
  const Workplace place;
  const Outcome help = mixgrad_run(place, "search --help");
  CHECK(help.exit_code == 0);
  CHECK(help.err.empty());
  for (const char* flag :
       {"--model", "--data", "--scheme", "--weight-bits", "--act-bits", "--regularizer", "--strength", "--config"}) {
    CHECK(help.out.find(flag) != std::string::npos);
  }

  const std::string version = mixgrad_run(place, "--version").out;
  CHECK(version.starts_with("mixgrad "));
  for (const char* line : {"\nCPU: ", "\noneDNN: ", "\nfast path: ", "\nMPI: "})
    CHECK(version.find(line) != std::string::npos);
  if (version.find("\noneDNN: no\n") == std::string::npos) {  // depends on what oneDNN uses, not on what the CPU has
    const std::string limited = shell_run(place, "ONEDNN_MAX_CPU_ISA=AVX2 '" + binary() + "' --version").out;
    CHECK(limited.find(", uses avx2\n") != std::string::npos);
    const std::string paths =
        "\nfast path: float32 by oneDNN and Winograd's algorithm, bfloat16 by way of float32, int8 by ";
    CHECK(limited.find(paths) != std::string::npos);
  }

  for (const std::string phase : {"search", "finetune", "float"}) {
    const Outcome bench = mixgrad_run(place, "bench step --json --batch 16 --steps 2 --threads 1 --phase " + phase);
    REQUIRE(bench.exit_code == 0);
    const json times = json::parse(bench.out);
    CHECK(times.size() == 6);
    for (const char* key : {"ms", "images_per_s", "conv_ms", "direct_ms", "direct_conv_ms", "peak_rss_mib"})
      CHECK(times.at(key).get<double>() > 0);
    CHECK(times.at("conv_ms") < times.at("ms"));
    CHECK(times.at("direct_conv_ms") < times.at("direct_ms"));
  }
}

TEST_CASE("cli: a dry run prints what the run would take, and writes nothing") {
  const Workplace place;
  const std::string command = quick(place) + "--target size=40% --dry-run ";
  const Outcome text = mixgrad_run(place, command);
  CHECK(text.exit_code == 0);
  CHECK(text.err.empty());
  check_plain_text(text.out);
  for (const char* word : {"warmup  ", "search  ", "finetune  ", "memory, about", "size (bits)", "nothing was written"})
    CHECK_MESSAGE(text.out.find(word) != std::string::npos, word, text.out);
  const json told = json::parse(mixgrad_run(place, command + "--json").out);
  CHECK(told.at("phases").size() == 3);
  CHECK(told.at("targets").at(0).at("least") < told.at("targets").at(0).at("limit"));
  check_complaint(mixgrad_run(place, quick(place) + "--target size=1% --dry-run"), 2, "size");
  check_complaint(mixgrad_run(place, command + "--out a --resume"), 2, "--resume");
  CHECK(place.holds_only_data());
}

TEST_CASE("cli: doctor tries every feature, and says what those need that do not work") {
  const Workplace place;
  const Outcome without_tools = shell_run(place, "PATH=/nowhere CC= '" + binary() + "' doctor --json");
  CHECK(without_tools.exit_code == 0);
  for (const json& feature : json::parse(without_tools.out).at("features")) {
    const auto name = feature.at("feature").get<std::string>(), obstacle = feature.at("obstacle").get<std::string>();
    CHECK(feature.at("works") == obstacle.empty());
    const bool needs_tools = name == "C package" || name.starts_with("profile on ");
    CHECK_MESSAGE((obstacle.find("apt-get install") != std::string::npos) == needs_tools, name, obstacle);
    CHECK_MESSAGE((name.find("search") == std::string::npos || obstacle.empty()), obstacle);
  }
  CHECK(place.holds_only_data());
}

TEST_CASE("cli: a search from train's weights gives the same bytes as a search with its own warm-up") {
  const Workplace place;
  const std::string common = " --data " + place.data() + " --batch-size 40 --threads 2 --seed 3 --quiet ";
  REQUIRE(mixgrad_run(place, "train --epochs 1 --out trained" + common).exit_code == 0);
  CHECK(fs::exists(place.root / "trained/float.safetensors"));
  REQUIRE(mixgrad_run(place, "search --warmup-epochs 1 --search-epochs 1 --finetune-epochs 1 --out whole" + common)
              .exit_code == 0);
  REQUIRE(mixgrad_run(
              place,
              "search --init trained/float.safetensors --search-epochs 1 --finetune-epochs 1 --out continued" + common)
              .exit_code == 0);
  CHECK(mixgrad::io::read_file(place.path("whole/model.safetensors")) ==
        mixgrad::io::read_file(place.path("continued/model.safetensors")));

  check_complaint(mixgrad_run(place, "search --init nowhere.safetensors" + common), 2, "nowhere.safetensors");
  check_complaint(mixgrad_run(place, "search --init whole/model.safetensors" + common), 2, "missing [bn.weight");
  check_complaint(mixgrad_run(place, "train --out trained" + common), 2, "--overwrite");

  REQUIRE(mixgrad_run(place, "train --epochs 1 --overwrite --out whole" + common).exit_code == 0);
  std::set<std::string> left;
  for (const auto& entry : fs::directory_iterator(place.path("whole"))) left.insert(entry.path().filename().string());
  CHECK(left == std::set<std::string>{"float.safetensors", "metrics.jsonl"});  // nothing of the search
}

TEST_CASE("cli: a run names the flags that its method or its quantizer does not read") {
  const Workplace place;
  const auto notes = [&](const std::string& flags) {
    const Outcome run = mixgrad_run(place, quick(place) + "--quiet --out x --overwrite " + flags);
    CHECK(run.exit_code == 0);
    return run.notes;
  };
  for (const char* method : {"fisher", "uniform"}) {
    const std::string given = fmt::format("--method {} --target size=50% --hard --tau-end 0.2", method);
    CHECK(notes(given).find("only --method dnas reads tau-end, hard\n") != std::string::npos);
  }
  CHECK(notes("--method dnas --hard --tau-end 0.2").find("reads") == std::string::npos);
  CHECK(notes("--weight-quantizer minmax --weight-grid signed")
            .find("only --weight-quantizer mse or lsq reads weight-grid\n") != std::string::npos);
}

TEST_CASE("cli: a failed run leaves its checkpoint, no result, and the run to be overwritten unchanged") {
  const Workplace place;
  const Outcome failed = mixgrad_run(place, quick(place) + "--method dnas --strength 1e38 --quiet --out fresh");
  check_complaint(failed, 1, "search");
  check_complaint(failed, 1, "a checkpoint (warmup, epoch 1 done): fix the cause and continue with --resume");
  CHECK(fs::exists(place.root / "fresh/checkpoint.safetensors"));
  for (const char* name : {"summary.json", "model.safetensors"}) CHECK_FALSE(fs::exists(place.root / "fresh" / name));

  REQUIRE(mixgrad_run(place, quick(place) + "--quiet --out kept").exit_code == 0);
  const auto content = [&] {
    std::string all;
    for (const char* name : {"summary.json", "metrics.jsonl", "history.jsonl", "model.safetensors"})
      all += mixgrad::io::read_file(place.path("kept/") + name);
    return all;
  };
  const std::string before = content();
  CHECK(mixgrad_run(place, quick(place) + "--method dnas --strength 1e38 --quiet --out kept --overwrite").exit_code ==
        1);
  CHECK(content() == before);
}

TEST_CASE("cli: eval finds a run's data from any folder") {
  const Workplace place;
  REQUIRE(mixgrad_run(
              place,
              "search --data cifar10:cifar --warmup-epochs 0 --search-epochs 0 --finetune-epochs 0 --quiet --out run")
              .exit_code == 0);
  CHECK(parsed(place.path("run/summary.json")).at("data") == place.data());
  CHECK(mixgrad_run(place, "eval run").out ==
        mixgrad_run(place, "eval ../" + place.root.filename().string() + "/run").out);
}
