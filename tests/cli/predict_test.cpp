// SPDX-License-Identifier: Apache-2.0
// mixgrad predict: outputs, top classes and confusions of networks in any form, on the screen and in files.
#include "pictures.h"
#include "workplace.h"

#include <mixgrad/data.h>
#include <mixgrad/io.h>
#include <mixgrad/run_folder.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <sstream>

namespace fs = std::filesystem;
namespace io = mixgrad::io;
using namespace mixgrad::test;
using nlohmann::json;

namespace {

/// A run on forty pictures, and what it predicts.
struct Run : Workplace {
  Run() : pictures(write_pictures(root / "pictures")) {
    const Outcome found = mixgrad_run(
        *this, "search --data " + pictures +
                   " --warmup-epochs 3 --search-epochs 1 --finetune-epochs 1 --batch-size 20 --threads 2 --out run");
    CAPTURE(found.err);
    REQUIRE(found.exit_code == 0);
  }

  Outcome predict(const std::string& arguments) const {
    return mixgrad_run(*this, "predict " + arguments + " --threads 2");
  }
  std::string written(const std::string& arguments, const std::string& file) const {
    const Outcome outcome = predict(arguments + " --out " + file);
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    return io::read_file(path(file));
  }

  std::string pictures;
};

/// The values of a file y.npy of this shape.
std::vector<float> values(const std::string& npy, const std::string& shape) {
  const size_t begin = 128;
  CHECK(npy.substr(0, begin).find("'shape': (" + shape + ")") != std::string::npos);
  CHECK(npy[begin - 1] == '\n');
  std::vector<float> out((npy.size() - begin) / sizeof(float));
  std::memcpy(out.data(), npy.data() + begin, out.size() * sizeof(float));
  return out;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

}  // namespace

TEST_CASE("predict: a run's outputs are those of its network, in every kind of file, and nothing else is left") {
  const Run place;
  const std::vector<float> outputs = values(place.written("run", "y.npy"), "40, 10,");
  const mixgrad::FinishedRun run = mixgrad::load_run(place.path("run"));
  const mixgrad::Tensor expected = run.network.forward(mixgrad::data::Loader(run.test, {.batch_size = 40}).batch(0).x);
  CHECK(outputs == expected.to_vector());
  CHECK(values(place.written("run --data " + place.pictures, "y.npy"), "40, 10,") == outputs);
  CHECK(values(place.written("run --input pictures/x_test.npy", "y.npy"), "40, 10,") == outputs);
  CHECK(values(place.written("run/model.safetensors --input pictures/x_test.npy", "y.npy"), "40, 10,") == outputs);
  std::error_code error;
  fs::permissions(place.path("y.npy"), fs::perms::owner_read | fs::perms::owner_write, error);

  const std::vector<std::string> csv = lines(place.written("run", "y.csv"));
  REQUIRE(csv.size() == 41);
  CHECK(csv[0] == "image,label,0,1,2,3,4,5,6,7,8,9");
  CHECK(csv[4].starts_with(fmt::format("3,3,{},{},", outputs[30], outputs[31])));
  const std::vector<std::string> top = lines(place.written("run --top 2", "y.csv"));
  CHECK(top[0] == "image,label,top1,value1,top2,value2");

  place.written("run --top 2", "y.jsonl");
  const std::vector<json> jsonl = json_lines(place.path("y.jsonl"));
  REQUIRE(jsonl.size() == 40);
  for (size_t n = 0; n < jsonl.size(); ++n) {
    const auto row = outputs.begin() + static_cast<std::ptrdiff_t>(10 * n);
    CHECK(jsonl[n].at("image") == std::to_string(n));
    CHECK(jsonl[n].at("outputs").get<std::vector<float>>() == std::vector<float>(row, row + 10));
    CHECK(jsonl[n].at("label") == std::to_string(n % 10));
    CHECK(jsonl[n].at("top")[0].at("class") == std::to_string(std::max_element(row, row + 10) - row));
    CHECK(jsonl[n].at("top")[0].at("value") >= jsonl[n].at("top")[1].at("value"));
    CHECK(top[n + 1].starts_with(
        fmt::format("{},{},{},", n, n % 10, jsonl[n].at("top")[0].at("class").get<std::string>())));
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(place.root))
    CHECK_FALSE(entry.path().filename().string().starts_with(".mixgrad-"));
}

TEST_CASE("predict: the integer network chooses the same classes; float weights and a screen work, too") {
  const Run place;
  const std::vector<float> simulated = values(place.written("run", "y.npy"), "40, 10,");
  const std::vector<float> integer = values(place.written("run --integer", "i.npy"), "40, 10,");
  const float range = std::ranges::max(simulated) - std::ranges::min(simulated);
  for (size_t i = 0; i < integer.size(); ++i) CHECK(std::abs(integer[i] - simulated[i]) <= 1e-3F * range);

  const Outcome trained =
      mixgrad_run(place, "train --data " + place.pictures + " --epochs 1 --batch-size 20 --out float");
  REQUIRE(trained.exit_code == 0);
  const std::string file = place.written("float/float.safetensors --data " + place.pictures, "f.npy");
  CHECK(values(file, "40, 10,").size() == 400);
  CHECK(place.written("float --input pictures/x_test.npy", "f.npy") == file);  // ten outputs, as the weights say

  const Outcome screen = place.predict("run --top 3");
  CHECK(lines(screen.out).size() == 40);
  CHECK(lines(screen.out)[0].starts_with("0  "));
  const Outcome all = place.predict("run");
  CHECK(lines(all.out)[0].ends_with(" ..."));
  check_plain_text(screen.out);
  check_plain_text(all.out);
}

TEST_CASE("predict: confusions sum to the images, and their accuracy is that of eval, per class and in all") {
  const Run place;
  const auto printed = [&](const std::string& command) {
    const Outcome outcome = mixgrad_run(place, command + " --json --threads 2");
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    return json::parse(outcome.out);
  };
  const json eval = printed("eval run"), predicted = printed("predict run --confusion");
  CHECK(predicted.at("confusion") == eval.at("confusion"));
  CHECK(predicted.at("classes") == eval.at("classes"));
  CHECK_FALSE(predicted.contains("predictions"));
  int64_t correct = 0, all = 0;
  for (size_t c = 0; c < 10; ++c) {
    const json &about = eval.at("classes")[c], &row = eval.at("confusion")[c];
    CHECK(about.at("name") == std::to_string(c));
    CHECK(about.at("images") == 4);
    CHECK(about.at("correct") == row[c]);
    CHECK(about.at("accuracy").get<double>() == doctest::Approx(row[c].get<double>() / 4));
    correct += row[c].get<int64_t>();
    for (const json& count : row) all += count.get<int64_t>();
  }
  CHECK(all == 40);
  CHECK(eval.at("accuracy").get<double>() == doctest::Approx(static_cast<double>(correct) / 40));
  const json kept = parsed(place.path("run/confusion.json"));
  CHECK(kept.at("truth") == "labels");
  CHECK(kept.at("found").at("confusion") == eval.at("confusion"));
  CHECK(kept.at("float").at("classes").size() == 10);

  const json top = printed("predict run --top 1 --confusion");
  CHECK(top.at("predictions").size() == 40);
  CHECK(top.at("images") == 40);
  CHECK(top.at("output") == json({10}));

  const Outcome table = place.predict("run --confusion");
  check_plain_text(table.out);
  CHECK(lines(table.out).size() == 25);
  CHECK(table.out.find(fmt::format("\naccuracy {:.4f} on 40 images\n", eval.at("accuracy").get<double>())) !=
        std::string::npos);
}

TEST_CASE("predict: what is missing or does not fit is refused by name, and nothing is written") {
  const Run place;
  write_array(place.root / "grey.npy", "2, 32, 32", std::string(2048, 'a'));
  write_array(place.root / "first.npy", "2, 3, 32, 32", std::string(6144, 'a'));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"run --out y.txt", "out: y.txt: unknown format: expected a file .npy, .csv or .jsonl"},
      {"run --out nowhere/y.npy", "can't write into folder nowhere"},
      {"run --input grey.npy --out y.npy", "data: images of 'grey.npy' are [1, 32, 32], but the network in run takes"},
      {"run --input first.npy --layout nhwc", "data: images of 'first.npy' are [32, 3, 32], but the network in run"},
      {"run --input first.npy --skip-unreadable", "skip-unreadable: 'first.npy' has no files to skip"},
      {"run --layout nchw --data glyphs:40", "layout: 'glyphs:40' has no choice of layout"},
      {"run --input nowhere.npy --out y.npy", "nowhere.npy"},
      {"run --input grey.npy --data glyphs:40", "--data and --input: set only one of them"},
      {"run --top 11", "top: 11 is not possible: run returns 10 values"},
      {"run --top -1", "top: -1 is not possible"},
      {"run --input pictures/x_test.npy --confusion", "confusion: the images have no labels to compare with"},
      {"run --normalize imagenet", "normalize: the network in run has its own normalization"},
      {"run/model.safetensors",
       "predict: no images for run/model.safetensors: expected --data with a data set, or --input"},
      {"pictures --data glyphs:40", "pictures: not the folder of a finished run: summary.json is missing"},
  };
  for (const auto& [arguments, words] : cases) {
    CAPTURE(arguments);
    check_complaint(place.predict(arguments), 2, words);
  }
  CHECK_FALSE(fs::exists(place.path("y.npy")));
  io::write_file(place.path("y.npy"), "before");
  place.predict("run --input grey.npy --out y.npy");
  CHECK(io::read_file(place.path("y.npy")) == "before");

  REQUIRE(mixgrad_run(place, "train --data " + place.pictures + " --epochs 1 --out float").exit_code == 0);
  check_complaint(place.predict("float --integer --data " + place.pictures), 2,
                  "integer: float is a float network, without an integer form: expected the folder of a search");
}
