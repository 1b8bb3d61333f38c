// SPDX-License-Identifier: Apache-2.0
// Errors in the command line: one line, exit code 2, a suggestion, and nothing is written.
#include "workplace.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>

#include <filesystem>
#include <vector>

using namespace mixgrad::test;

namespace {

struct Case {
  const char *arguments, *words;
};

void check_refused(const std::vector<Case>& cases) {
  const Workplace place;
  for (const Case& c : cases) {
    CAPTURE(c.arguments);
    check_complaint(mixgrad_run(place, c.arguments), 2, c.words);
  }
  CHECK(place.holds_only_data());
}

const char* const unusual_bytes = "\"$(printf '\\377\\376')\"";  // quoted for the shell

}  // namespace

TEST_CASE("command line: a mistyped command or option is refused with a suggestion") {
  check_refused({
      {"serach --lr 1", "unknown command 'serach': did you mean mixgrad search?"},
      {"exprot run", "did you mean mixgrad export?"},
      {"fly", "unknown command 'fly': expected one of search, front, pick, sweep, train"},
      {"bench stpe", "did you mean mixgrad bench step?"},
      {"inspect tpae --images 8", "did you mean mixgrad inspect tape?"},
      {"inspect wyh", "did you mean why?"},
      {"search --warmup-epoch 1", "unknown option --warmup-epoch: did you mean --warmup-epochs?"},
      {"search --batch=32", "unknown option --batch: did you mean --batch-size?"},
      {"search --quantum 1", "unknown option --quantum: see mixgrad search --help"},
      {"inspect tape --imagse 8", "did you mean --images?"},
      {"--lr 0.1 search", "unknown option --lr: it belongs after mixgrad search"},
      {"--quantum", "unknown option --quantum: expected a command first: search"},
      {"sweep --strenghts 1e-6", "did you mean --strengths?"},
  });
}

TEST_CASE("command line: unexpected words are named in the order typed") {
  check_refused({
      {"search --quantum 1 --lrr 2 --tesseract",
       "unknown options --quantum, --lrr (did you mean --lr?), --tesseract: see mixgrad search --help"},
      {"search one two three", "unexpected arguments 'one' 'two' 'three': mixgrad search takes options only"},
      {"search batch-size 32",
       "unexpected arguments 'batch-size' '32': mixgrad search takes options only; did you mean --batch-size?"},
      {"eval run other", "unexpected argument 'other': mixgrad eval takes no more than DIR"},
      {"inspect why run layer more", "unexpected argument 'more': mixgrad inspect why takes no more than DIR LAYER"},
      {"verify a b", "unexpected argument 'b'"},
      {"verify a b", "unexpected argument 'b'"},
      {"export a b", "unexpected argument 'b'"},
      {"completion bash zsh", "unexpected argument 'zsh'"},
      {"train data", "unexpected argument 'data'"},
      {"bench inference a b", "unexpected argument 'b'"},
  });
}

TEST_CASE("command line: an unknown value of a fixed set is refused with a suggestion") {
  check_refused({
      {"search --model resnet9", "model: unknown 'resnet9': expected "},
      {"search --model resnet9", "; did you mean resnet8?"},
      {"search --model x.keras", "tf.lite.TFLiteConverter"},
      {"search --model x.pt", "torch.onnx.export"},
      {"search --scheme per-chanel", "; did you mean per-channel?"},
      {"search --method unifrom", "; did you mean uniform?"},
      {"search --dtype fp32", "; did you mean f32?"},
      {"search --data cifra10:cifar", "; did you mean cifar10:DIR?"},
      {"search --regularizer sise", "; did you mean size?"},
      {"search --target sise=40%", "; did you mean size?"},
      {"sweep --targets 40% --methods uniform,randon", "; did you mean random?"},
      {"sweep --schemes per-layr", "; did you mean per-layer?"},
      {"inspect resnet9", "; did you mean resnet8?"},
      {"bench step --phase serch", "; did you mean search?"},
      {"export run --to onxn --out net", "; did you mean onnx?"},
  });
}

TEST_CASE("command line: values that are missing, unexpected, empty or given twice") {
  check_refused({
      {"search --lr", "--lr: a value is missing: expected "},
      {"search --lr=", "--lr=: a value is missing after the ="},
      {"search --out --quiet", "--out: '--quiet' is not its value but a flag: expected DIR"},
      {"train --data", "--data: a value is missing"},
      {"eval run --data", "--data: a value is missing"},
      {"search --quiet=yes", "--quiet: takes no value"},
      {"search --config a.toml --config b.toml", "--config: given more than once"},
      {"search --data ''", "--data: the value is empty: expected glyphs|"},
      {"search --out ''", "--out: the value is empty: expected DIR"},
      {"search --config ''", "--config: the value is empty"},
      {"sweep --init ''", "--init: the value is empty"},
      {"train --model ''", "--model: the value is empty"},
      {"verify run --images ''", "--images: the value is empty"},
      {"bench step --batch ''", "--batch: the value is empty"},
      {"eval ''", "eval: no folder given"},
      {"verify ''", "verify: no folder given"},
      {"report ''", "report: no folder given"},
      {"export '' --to c --out net", "export: no folder given"},
      {"inspect ''", "model: unknown ''"},
      {"completion ''", "completion: unknown ''"},
      {"", "no command given: expected one of search, front, pick, sweep"},
  });
}

TEST_CASE("command line: a folder instead of a file, and bytes that are not text") {
  const Workplace place;
  std::filesystem::create_directory(place.root / "cifar/net.onnx");
  std::filesystem::create_directory(place.root / "cifar/net.tflite");
  std::vector<std::pair<std::string, std::string>> cases = {
      {"search --config cifar", "cifar"},
      {"search --init cifar", "cifar"},
      {"sweep --strengths 1e-6 --init cifar --out s", "cifar"},
      {"search --model cifar/net.onnx", "cifar/net.onnx"},
      {"search --model cifar/net.tflite", "cifar/net.tflite"},
      {"search --regularizer table:cifar", "cifar"},
      {"inspect resnet8 --dot cifar", "can't write cifar: it is a folder, expected a file"},
      {"inspect tape --dot cifar", "can't write cifar: it is a folder, expected a file"},
      {"inspect resnet8 --dot nowhere/net.dot", "can't write into folder nowhere/: No such file or directory"},
      {"export run --to onnx --out cifar", "can't write cifar: it is a folder, expected a file"},
      {"export run --to tflite --out cifar", "can't write cifar: it is a folder, expected a file"},
      {unusual_bytes, "unknown command '\xff\xfe'"},
      {std::string("search --scheme ") + unusual_bytes, "scheme: unknown '\xff\xfe'"},
      {std::string("search --lr ") + unusual_bytes, "--lr: '\xff\xfe' is not a number"},
      {std::string("search --init ") + unusual_bytes, "\xff\xfe"},
      {std::string("search --config ") + unusual_bytes, "\xff\xfe"},
      {std::string("sweep --strengths 1e-6 --out s --init ") + unusual_bytes, "\xff\xfe"},
      {std::string("search --override ") + unusual_bytes + "=8", "no layer '\xff\xfe'"},
  };
  for (const std::string command :
       {"eval ", "predict ", "verify ", "report ", "bench inference ", "export --to c --out net "}) {
    cases.emplace_back(command + unusual_bytes, "\xff\xfe");
  }
  for (const auto& complaint : cases) {
    CAPTURE(complaint.first);
    check_complaint(mixgrad_run(place, complaint.first), 2, complaint.second);
  }
  CHECK(place.holds_only_data());
}

TEST_CASE("command line: unknown keys and values in a settings file are named with their line and a suggestion") {
  const Workplace place;
  const auto complaint = [&](const std::string& content, const std::string& words) {
    mixgrad::io::write_file(place.root / "cifar/run.toml", content);
    check_complaint(mixgrad_run(place, "search --config cifar/run.toml"), 2, words);
  };
  complaint("seed = 1\nbatchsize = 2\n",
            "cifar/run.toml:2: unknown key 'batchsize': expected a flag's name without --; did you mean batch-size?");
  complaint(
      "scheme = \"per-chanel\"\n",
      "cifar/run.toml:1: scheme: unknown 'per-chanel': expected per-layer, per-channel; did you mean per-channel?");
  complaint("model = \"resnet9\"\n", "cifar/run.toml:1: model: unknown 'resnet9'");
  CHECK(place.holds_only_data());
}
