// SPDX-License-Identifier: Apache-2.0
// Bad input: one line that names the error, exit code 2, nothing left behind.
#include "workplace.h"

#include <mixgrad/io.h>

#include <kernels/cpu.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <filesystem>
#include <limits>
#include <string>

namespace fs = std::filesystem;
using namespace mixgrad::test;

TEST_CASE("cli: bad input is one line on standard error, exit code 2, and nothing left behind") {
  const Workplace place;
  mixgrad::io::write_file(place.root / "cifar/file.txt", "");
  struct Case {
    const char *arguments, *word;
  };
  for (const Case& c : std::vector<Case>{
           {"", "search, front, pick, sweep, train, eval"},
           {"find", "find"},
           {"report", "no folder given"},
           {"search --speed 3", "--speed"},
           {"search --lr", "--lr"},
           {"search --lr fast", "--lr: 'fast' is not a number"},
           {"search --lr 0", "lr: 0"},
           {"search --lr nan", "lr: nan"},
           {"search --search-lr 0", "search-lr: 0"},
           {"search --effort high", "effort: unknown 'high': expected quick, normal, thorough"},
           {"search --model resnet9", "resnet8"},
           {"search --scheme per-weight", "per-layer, per-channel"},
           {"search --loss dream", "loss: unknown 'dream': expected classify, imitate, imitate-scores, "},
           {"search --data glyphs:40 --loss regress",
            "'glyphs:40' has no targets, which --loss regress needs to train model resnet8: expected y of floats"},
           {"search --data glyphs:40 --loss imitate",
            "loss: imitate imitates the outputs of a trained network, but model resnet8 has no weights: expected "
            "--init"},
           {"search --loss imitate --distill 0.5", "distill: --loss imitate imitates the float network already"},
           {"train --loss imitate-values", "loss: imitate-values is for searches: a float network can't learn from"},
           {"search --data glyphs:40 --loss reconstruct",
            "'glyphs:40' has images [3, 32, 32], but model resnet8 returns 10 values: --loss "
            "reconstruct expects 3072, one per value of the image"},
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
           {"search --arch-split 0.2", "arch-split: --method fisher does not train alpha"},
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
           {"search --max-shift -1", "max-shift: -1"},
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
           {"eval cifar/file.txt", "cifar/file.txt: not a folder: expected the folder of a run"},
           {"report cifar/file.txt", "cifar/file.txt: not a folder: expected the folder of a run, a sweep or a front"},
           {"inspect why cifar/file.txt conv", "cifar/file.txt: not a folder: expected the folder of a run"},
           {"search --data cifar10:cifar/file.txt", "cifar/file.txt: not a folder; expected one with"},
           {"eval cifar", "summary.json is missing"},
           {"predict", "no network given: expected mixgrad predict NETWORK"},
           {"predict nowhere", "unknown 'nowhere'"},
           {"predict nowhere.onnx --data glyphs:40", "nowhere.onnx"},
           {"predict resnet8", "resnet8 is a network without weights: expected the weights"},
           {"predict cifar --data glyphs:40", "summary.json is missing"},
           {"bench", "bench step"},
           {"bench step --phase search --batch 0", "batch: 0"},
           {"bench step --phase sleep", "search, finetune, float"},
       }) {
    CAPTURE(c.arguments);
    check_complaint(mixgrad_run(place, c.arguments), 2, c.word);
  }
  CHECK(place.holds_only_data());
}

TEST_CASE("cli: corrupt data sets and runs are named") {
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

TEST_CASE("cli: a network found that contains NaN is refused by all commands that read it") {
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
        "export run --to tflite --out net.tflite", "bench inference run", "report run", "inspect why run conv"}) {
    CAPTURE(arguments);
    check_complaint(mixgrad_run(place, arguments), 2,
                    fmt::format("run/model.safetensors: tensor \"{}\" contains NaN at index 3", weight->first));
  }
}

TEST_CASE("cli: errors in a configuration file name file, line and key") {
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
  complaint("seed = -1\n", "cifar/run.toml:1: seed: expected a whole number of 0 or more");
  complaint("\nlr = \"fast\"\n", "cifar/run.toml:2: lr: expected a number");
  complaint("weight-bits = [2, \"4\"]\n", "cifar/run.toml:1: weight-bits: expected whole numbers");
  complaint("quiet = 1\n", "cifar/run.toml:1: quiet: expected true or false");
  complaint("model = 8\n", "cifar/run.toml:1: model: expected text");
  complaint("weight-bits = []\n", "weight-bits: the list");
  complaint("target = \"size=40%\"\nregularizer = \"macs\"\n", "regularizer: with a target");
  complaint("lr = 0.1\nlr = \n", "cifar/run.toml:2: invalid TOML");
  CHECK(place.holds_only_data());
}
