// SPDX-License-Identifier: Apache-2.0
// The command line from end to end, through the binary, on a CIFAR-10 folder of a few hundred records.
#include "workplace.h"

#include <mixgrad/io.h>

#include <kernels/cpu.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <limits>
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

/// Everything a summary must hold, with its type.
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

/// The size of the layers' bits, which the summary's cost must equal.
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
    CHECK(line.size() == 12);
    CHECK(line.at("phase") == phases[i]);
    CHECK(line.at("epoch") == 0);
    CHECK(line.at("task_loss").get<double>() > 0);
    CHECK(is_fraction(line.at("train_accuracy")));
    CHECK(is_fraction(line.at("val_accuracy")));
    CHECK(line.at("seconds").get<double>() > 0);
    for (const char* key : {"reg_loss", "tau", "entropy"}) CHECK(line.at(key).is_number() == (i == 1));
    for (const char* key : {"cost_soft", "cost_discrete"}) CHECK(line.at(key).is_number() == (i > 0));
  }
}

/// One search epoch of resnet8: 10 α of weights and 10 of activations (of 13 tensors, 6 share in pairs).
void check_history(const std::vector<json>& lines, bool per_layer) {
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].at("epoch") == 0);
  CHECK(lines[0].at("tau") == 0.1);
  const json& alphas = lines[0].at("alphas");
  CHECK(alphas.size() == 20);
  for (const json& a : alphas) {
    const std::string name = a.at("name");
    CAPTURE(name);
    const size_t candidates = a.at("bits").size();
    CHECK(candidates == (name.ends_with(".alpha_w") ? 3 : 1));
    for (const char* key : {"alpha", "theta", "task_gradient", "cost_gradient"}) {
      REQUIRE(a.at(key).size() == candidates);
      CHECK(a.at(key)[0].is_array() == (!per_layer && candidates == 3));
    }
    if (name == "conv.alpha_w") CHECK(a.at("nodes") == json::array({"conv"}));
    if (name == "conv.alpha_w" && !per_layer) CHECK(a.at("cost_gradient")[2].size() == 16);
  }
}

/// The metrics with their times taken out.
std::string without_seconds(const std::string& file) {
  std::string out;
  for (json& line : json_lines(file)) {
    line.erase("seconds");
    out += line.dump() + "\n";
  }
  return out;
}

/// A run and its evaluation, in `scheme`.
void check_run(const std::string& scheme) {
  const Workplace place;
  const Outcome run =
      mixgrad_run(place, quick(place) + "--strength 1e-5 --arch-lr 0.5 --out deep/run --scheme " + scheme);
  CAPTURE(run.err);
  REQUIRE(run.exit_code == 0);
  CHECK(run.err.empty());
  check_plain_text(run.out);
  CHECK(run.out.find("warmup 1/1") == 0);
  for (const char* word :
       {"search 1/1", "finetune 1/1", "entropy", "(soft ", "left", "stack3.shortcut", "uniform 8-bit", "fine-tuned"}) {
    CAPTURE(word);
    CHECK(run.out.find(word) != std::string::npos);
  }
  const json summary = parsed(place.path("deep/run/summary.json"));
  check_summary(summary, place, scheme);
  CHECK(summary.at("cost").at("size").get<double>() == doctest::Approx(size_of(summary.at("layers"))));
  check_metrics(json_lines(place.path("deep/run/metrics.jsonl")));
  check_history(json_lines(place.path("deep/run/history.jsonl")), scheme == "per-layer");
  CHECK(std::distance(fs::directory_iterator(place.root / "deep/run"), fs::directory_iterator()) == 5);
  CHECK(run.out.find("report: deep/run/report.html\n") != std::string::npos);
  CHECK(mixgrad_run(place, "report deep/run --json").out.starts_with("{\"kind\":\"run\""));
  check_complaint(mixgrad_run(place, "report deep"), 2, "sweep.csv");

  const std::string accuracy = fmt::format("{:.4f}\n", summary.at("final_accuracy").get<double>());
  CHECK(mixgrad_run(place, "eval deep/run").out == accuracy);
  CHECK(mixgrad_run(place, "inspect why deep/run stack1.conv2").out.find("8 bits: the task pulls") !=
        std::string::npos);
  CHECK(mixgrad_run(place, "eval deep/run --threads 1 --data " + place.data()).out == accuracy);
}

}  // namespace

TEST_CASE("cli: a search per channel leaves network, metrics and summary, and eval measures the same") {
  check_run("per-channel");
}

TEST_CASE("cli: a search per layer leaves network, metrics and summary, and eval measures the same") {
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

TEST_CASE("cli: a loss that is not finite ends the run with exit code 1 and leaves nothing") {
  const Workplace place;
  // Sums of huge products: oneDNN's order ends in infinity, our own kernels' passes it and ends in NaN.
  const std::string number = mixgrad::kernels::onednn_version().empty() ? "NaN" : "infinity";
  check_complaint(mixgrad_run(place, quick(place) + "--lr 1e30 --out run"), 1,
                  "warmup, epoch 1, step 2: op conv2d of layer stack1.conv1: " + number + " at element 0");
  CHECK(place.holds_only_data());
}

TEST_CASE("cli: bad input is one line on standard error, exit code 2, and nothing left behind") {
  const Workplace place;
  mixgrad::io::write_file(place.root / "cifar/file.txt", "");
  struct Case {
    const char *arguments, *word;
  };
  for (const Case& c : std::vector<Case>{
           {"", "search, sweep, train, eval"},
           {"find", "find"},
           {"report", "no folder given"},
           {"search --speed 3", "--speed"},
           {"search --lr", "--lr"},
           {"search --lr fast", "--lr: 'fast' is not a number"},
           {"search --lr 0", "lr: 0"},
           {"search --lr nan", "lr: nan"},
           {"search --model resnet9", "resnet8"},
           {"search --scheme per-weight", "per-layer, per-channel"},
           {"search --regularizer latency", "size, flash, macs"},
           {"search --data imagenet", "imagenet"},
           {"search --data cifar10:nowhere --out new/folder", "nowhere"},
           {"search --weight-bits 2,9", "weight-bits: 9"},
           {"search --scheme per-layer --weight-bits 0,8", "weight-bits: 0"},
           {"search --weight-bits ''", "weight-bits"},
           {"search --weight-bits 2,x", "weight-bits: '2,x'"},
           {"search --weight-bits 2,4,", "weight-bits: '2,4,'"},
           {"search --act-bits 0", "act-bits: 0"},
           {"search --act-bits 1", "act-bits: 1"},
           {"search --batch-size 0", "batch-size: 0"},
           {"search --search-epochs -1", "search-epochs: -1"},
           {"search --strength -1", "strength: -1"},
           {"search --tau-end 0", "tau-end: 0"},
           {"search --tau-schedule slow", "geometric, exp"},
           {"search --dtype f16", "f32, bf16, auto"},
           {"search --val-split 1", "val-split: 1"},
           {"search --method guess", "dnas, uniform, sensitivity, random"},
           {"search --method uniform", "needs a target"},
           {"search --target size=40% --strength 1", "strength"},
           {"search --target size=40% --regularizer macs", "regularizer: with a target"},
           {"search --target size=40% --regularizer size", "regularizer: with a target"},
           {"search --target size=40% --refine", "refine: with a target"},
           {"sweep --targets 40% --regularizer macs", "regularizer: with a target"},
           {"sweep --targets 40% --refine", "refine: with a target"},
           {"search --target 40", "COST=NUMBER"},
           {"search --target speed=3", "unknown cost 'speed'"},
           {"search --target size=3parsec", "parsec"},
           {"search --target size=1%", "smallest that these candidates reach is"},
           {"search --target size=40%,size=50%", "given twice"},
           {"search --method uniform --target macs=1% --weight-bits 8", "smallest that these candidates reach is"},
           {"search --target mpic-latency=50% --weight-bits 2,3", "3-bit weights, which layer 'conv'"},
           {"search --regularizer ne16-latency --act-bits 4", "ne16-latency: layer 'stack1.conv1'"},
           {"search --regularizer table:nowhere.toml", "nowhere.toml"},
           {"search --override conv9=8", "no layer 'conv9'"},
           {"search --override conv=many", "'conv=many' is not of the form"},
           {"search --override conv=9", "override: 9"},
           {"search --sampler dice", "softmax, gumbel"},
           {"search --alpha-init zero", "scaled, same"},
           {"search --arch-split 1", "arch-split: 1"},
           {"search --patience -1", "patience: -1"},
           {"search --seed -1", "seed: '-1'"},
           {"search --threads 100000", "threads: 100000"},
           {"search --out --quiet", "--out: '--quiet'"},
           {"search --out cifar/file.txt/run", "file.txt is not a folder"},
           {"search --out cifar/file.txt", "file.txt is not a folder"},
           {"search --out /proc/mixgrad/run", "can't make folder /proc/mixgrad"},
           {"search --out /proc", "can't write into folder /proc"},
           {"search --config nowhere.toml", "nowhere.toml"},
           {"eval", "folder"},
           {"eval nowhere", "nowhere: no such folder"},
           {"eval cifar/file.txt", "cifar/file.txt: a file: expected the folder of a run"},
           {"report cifar/file.txt", "cifar/file.txt: a file: expected the folder of a run or a sweep"},
           {"inspect why cifar/file.txt conv", "cifar/file.txt: a file: expected the folder of a run"},
           {"search --data cifar10:cifar/file.txt", "cifar/file.txt: not a folder; expected one with"},
           {"eval cifar", "summary.json is missing"},
           {"bench", "bench step"},
           {"bench step --phase search --batch 0", "batch: 0"},
           {"bench step --phase sleep", "search, float"},
       }) {
    CAPTURE(c.arguments);
    check_complaint(mixgrad_run(place, c.arguments), 2, c.word);
  }
  CHECK(place.holds_only_data());
}

TEST_CASE("cli: a damaged data set or run is named") {
  const Workplace place;
  fs::resize_file(place.root / "cifar/data_batch_3.bin", 3073 * 12 + 5);
  check_complaint(mixgrad_run(place, "search --data cifar10:cifar --out run"), 2, "data_batch_3.bin");
  fs::remove(place.root / "cifar/test_batch.bin");
  check_complaint(mixgrad_run(place, "search --data cifar10:cifar --out run"), 2, "test_batch.bin");
  CHECK(place.holds_only_data());

  fs::create_directory(place.root / "run");
  mixgrad::io::write_file(place.root / "run/summary.json", "{");
  check_complaint(mixgrad_run(place, "eval run"), 2, "run/summary.json");
  mixgrad::io::write_file(place.root / "run/summary.json", R"({"model": "resnet8", "data": "glyphs", "seed": 0})");
  check_complaint(mixgrad_run(place, "eval run"), 2, "run/model.safetensors");
}

TEST_CASE("cli: a network found that holds NaN is refused by whatever reads it") {
  const Workplace place;
  REQUIRE(mixgrad_run(place,
                      "search --data glyphs:40 --warmup-epochs 0 --search-epochs 1 --finetune-epochs 0 --threads 2 "
                      "--quiet --out run")
              .exit_code == 0);
  const std::string file = place.path("run/model.safetensors");
  mixgrad::io::Safetensors network = mixgrad::io::read_safetensors(file);
  const auto weight =
      std::ranges::find_if(network.tensors, [](const auto& named) { return named.second.shape().rank() > 1; });
  REQUIRE(weight != network.tensors.end());
  weight->second.data()[3] = std::numeric_limits<float>::quiet_NaN();
  mixgrad::io::write_safetensors(file, network);
  for (const char* arguments :
       {"eval run", "verify run", "export run --to c --out net", "export run --to onnx --out net.onnx",
        "bench inference run", "report run", "inspect why run conv"}) {
    CAPTURE(arguments);
    check_complaint(mixgrad_run(place, arguments), 2,
                    fmt::format("run/model.safetensors: tensor \"{}\" holds NaN at index 3", weight->first));
  }
}

TEST_CASE("cli: a configuration file sets what flags set, and flags win") {
  const Workplace place;
  mixgrad::io::write_file(place.root / "cifar/run.toml", fmt::format(R"(data = "{}"
scheme = "per-layer"
weight-bits = [4, 8]
act-bits = 8
strength = 0
warmup-epochs = 0
search-epochs = 0
finetune-epochs = 0
lr = 1
seed = 5
quiet = true
out = "run"
)",
                                                                     place.data()));
  REQUIRE(mixgrad_run(place, "search --config cifar/run.toml --seed 6 --act-bits 4").exit_code == 0);
  const json summary = parsed(place.path("run/summary.json"));
  CHECK(summary.at("seed") == 6);
  CHECK(summary.at("scheme") == "per-layer");
  CHECK(summary.at("strength") == 0);
  CHECK(summary.at("layers")[0].at("out_bits") == 4);
  CHECK(json_lines(place.path("run/metrics.jsonl")).empty());
  CHECK_FALSE(fs::exists(place.root / "run/history.jsonl"));
}

TEST_CASE("cli: a fault in a configuration file is told with file, line and key") {
  const Workplace place;
  const auto complaint = [&](const std::string& content, const std::string& words) {
    CAPTURE(content);
    mixgrad::io::write_file(place.root / "cifar/run.toml", content);
    check_complaint(mixgrad_run(place, "search --config cifar/run.toml"), 2, words);
  };
  complaint("seed = 1\nspeed = 2\n", "cifar/run.toml:2: unknown key 'speed'");
  complaint("[search]\nseed = 1\n", "cifar/run.toml:1: unknown key 'search'");
  complaint("batch-size = \"128\"\n", "cifar/run.toml:1: batch-size: expected a whole number");
  complaint("batch-size = 1.5\n", "cifar/run.toml:1: batch-size: expected a whole number");
  complaint("warmup-epochs = 3000000000\n", "cifar/run.toml:1: warmup-epochs: expected a whole number");
  complaint("seed = -1\n", "cifar/run.toml:1: seed: expected a whole number from 0 on");
  complaint("\nlr = \"fast\"\n", "cifar/run.toml:2: lr: expected a number");
  complaint("weight-bits = [2, \"4\"]\n", "cifar/run.toml:1: weight-bits: expected whole numbers");
  complaint("quiet = 1\n", "cifar/run.toml:1: quiet: expected true or false");
  complaint("model = 8\n", "cifar/run.toml:1: model: expected text");
  complaint("weight-bits = []\n", "weight-bits: the list");
  complaint("target = \"size=40%\"\nregularizer = \"macs\"\n", "regularizer: with a target");
  complaint("lr = 0.1\nlr = \n", "cifar/run.toml:2: not TOML");
  CHECK(place.holds_only_data());
}

TEST_CASE("cli: help and version go to standard output; bench step measures") {
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
  if (version.find("\noneDNN: no\n") == std::string::npos) {  // what oneDNN uses decides, not what the CPU has
    const std::string limited = shell_run(place, "ONEDNN_MAX_CPU_ISA=AVX2 '" + binary() + "' --version").out;
    CHECK(limited.find(", uses avx2\n") != std::string::npos);
    CHECK(limited.find("\nfast path: float32 by oneDNN, bfloat16 by way of float32, int8 by the reference kernels\n") !=
          std::string::npos);
  }

  for (const std::string phase : {"search", "float"}) {
    const Outcome bench = mixgrad_run(place, "bench step --json --batch 16 --steps 2 --threads 1 --phase " + phase);
    REQUIRE(bench.exit_code == 0);
    const json times = json::parse(bench.out);
    CHECK(times.size() == 4);
    for (const char* key : {"ms", "images_per_s", "conv_ms", "peak_rss_mib"}) CHECK(times.at(key).get<double>() > 0);
    CHECK(times.at("conv_ms") < times.at("ms"));
  }
}

TEST_CASE("cli: a search from the weights of train gives the bytes of a search that warms up itself") {
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
}

TEST_CASE("cli: a run that fails leaves its checkpoint, no result, and the run it was to overwrite whole") {
  const Workplace place;
  const Outcome failed = mixgrad_run(place, quick(place) + "--strength 1e38 --quiet --out fresh");
  check_complaint(failed, 1, "search");
  check_complaint(failed, 1, "a checkpoint (warmup, epoch 1 done), from which --resume goes on");
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
  CHECK(mixgrad_run(place, quick(place) + "--strength 1e38 --quiet --out kept --overwrite").exit_code == 1);
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
