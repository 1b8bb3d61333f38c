// SPDX-License-Identifier: Apache-2.0
// --tensorboard: event files, read back by another implementation of their format.
#include "../shell.h"
#include "../skip.h"
#include "workplace.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <filesystem>
#include <map>

using namespace mixgrad::test;
using nlohmann::json;

namespace {

const std::string reader = std::string(MIXGRAD_SOURCE_DIR) + "/tests/tensorboard";

bool has_reader() {
  if (has("node") && std::filesystem::exists(reader + "/node_modules/tfrecord")) return true;
  skip("no reader of event files: apt-get install nodejs npm, then npm ci --ignore-scripts in tests/tensorboard");
  return false;
}

/// The events of each file in a folder.
json events_of(const Workplace& place, const std::string& folder) {
  const Outcome outcome = shell_run(place, fmt::format("node '{}/read.js' {}", reader, folder));
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  return json::parse(outcome.out);
}

/// The values of an epoch's event by tag: a number, or a histogram.
std::map<std::string, json> values_of(const json& event) {
  std::map<std::string, json> out;
  for (const json& value : event.at("summary").at("value")) {
    const bool added =
        out.emplace(value.at("tag"), value.contains("histo") ? value.at("histo") : value.at("simpleValue")).second;
    CHECK_MESSAGE(added, value.at("tag"));
  }
  return out;
}

double total(const json& numbers) {
  double sum = 0;
  for (const json& number : numbers) sum += number.get<double>();
  return sum;
}

void check_histogram(const json& h) {
  const auto limits = h.at("bucketLimit").get<std::vector<double>>();
  CHECK(h.at("bucket").size() == limits.size());
  CHECK(total(h.at("bucket")) == h.at("num"));
  CHECK(std::ranges::is_sorted(limits));
  CHECK(limits.back() > h.at("max"));
  CHECK(limits.front() >= h.at("min"));
  CHECK(h.at("sumSquares").get<double>() >= 0);
}

/// Of an epoch's θ: the sum over the candidates is 1 in every channel.
void check_thetas(const std::map<std::string, json>& values) {
  std::map<std::string, double> sums, channels;
  for (const auto& [tag, value] : values) {
    if (!tag.starts_with("theta/")) continue;
    const std::string name = tag.substr(0, tag.rfind('/'));
    sums[name] += value.is_number() ? value.get<double>() : value.at("sum").get<double>();
    channels[name] = value.is_number() ? 1 : value.at("num").get<double>();
  }
  CHECK(sums.size() > 1);
  for (const auto& [name, sum] : sums) CHECK_MESSAGE(sum == doctest::Approx(channels[name]), name);
}

/// One event for each line of metrics.jsonl, with its numbers.
void check_metrics(const json& events, const std::vector<json>& lines) {
  REQUIRE(events.size() == lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    CHECK(events[i].at("step") == i + 1);
    const auto values = values_of(events[i]);
    for (const auto& [name, number] : lines[i].items()) {
      const auto found = values.find("metrics/" + name);
      CHECK_MESSAGE((found != values.end()) == (number.is_number() && name != "epoch"), name);
      if (found != values.end()) CHECK(found->second.get<float>() == number.get<float>());
    }
  }
}

/// The events of a file with values, after those that every file begins with.
json epochs_of(const json& file, int64_t first_step) {
  REQUIRE(file.size() > 2);
  CHECK(file[0].at("fileVersion") == "brain.Event:2");
  CHECK(file[1].at("sessionLog").at("status") == "START");
  CHECK(file[1].at("step") == first_step);
  return {file.begin() + 2, file.end()};
}

}  // namespace

TEST_CASE("tensorboard: metrics, alphas, thetas and parameters of every epoch can be read back") {
  if (!has_reader()) return;
  const Workplace place;
  REQUIRE(mixgrad_run(place, quick(place) + "--act-bits 4,8 --out run --tensorboard new/tb").exit_code == 0);
  const json files = events_of(place, "new/tb");
  REQUIRE(files.size() == 1);
  const json epochs = epochs_of(files[0], 1);
  check_metrics(epochs, json_lines(place.path("run/metrics.jsonl")));
  for (const json& epoch : epochs) {
    for (const auto& [tag, value] : values_of(epoch)) {
      CAPTURE(tag);
      if (value.is_object()) check_histogram(value);
    }
  }
  const auto values = values_of(epochs[1]);  // of the search
  CHECK(values.at("alpha/conv.alpha_w/2-bit").at("num") == 16);
  CHECK(values.at("alpha/conv.alpha_a/4-bit").is_number());
  CHECK_FALSE(values.contains("alpha/input.alpha_a/8-bit"));  // has one candidate
  CHECK(values.at("parameters/fc.weight").at("num") == 640);
  CHECK(values.at("parameters/conv.clip").get<double>() > 0);
  check_thetas(values);
}

TEST_CASE("tensorboard: a resumed run goes on where its checkpoint is, in a file of its own") {
  if (!has_reader() || emulated()) return;
  const Workplace place;
  const std::string command = quick(place) + "--out run --resume --tensorboard tb";
  const std::string killed = fmt::format(
      "'{}' {} & pid=$!; until grep -q search run/metrics.jsonl 2>/dev/null || ! kill -0 $pid; do sleep 0.02; done; "
      "kill -KILL $pid; wait $pid; [ $? = 137 ]",
      binary(), command);
  REQUIRE(shell_run(place, killed).exit_code == 0);
  REQUIRE(mixgrad_run(place, command).exit_code == 0);
  const json files = events_of(place, "tb");
  REQUIRE(files.size() == 2);
  json epochs = epochs_of(files[0], 1);
  const int64_t next = files[1].at(1).at("step");
  REQUIRE(next >= 2);
  epochs.erase(epochs.begin() + (next - 1), epochs.end());  // as TensorBoard forgets them
  for (const json& epoch : epochs_of(files[1], next)) epochs.push_back(epoch);
  check_metrics(epochs, json_lines(place.path("run/metrics.jsonl")));
}

TEST_CASE("tensorboard: a run goes on when its event file is removed, and says so once") {
  if (emulated()) return;
  const Workplace place;
  const Outcome outcome = shell_run(
      place, fmt::format("'{}' {} --finetune-epochs 2 --out run --tensorboard tb & pid=$!; "
                         "until [ -s run/metrics.jsonl ] || ! kill -0 $pid; do sleep 0.02; done; rm -r tb; wait $pid",
                         binary(), quick(place)));
  CHECK(outcome.exit_code == 0);
  CHECK(json_lines(place.path("run/metrics.jsonl")).size() == 4);
  const std::string words = "nothing more is written there";
  CHECK(outcome.notes.find(words) != std::string::npos);
  CHECK(outcome.notes.find(words) == outcome.notes.rfind(words));
}

TEST_CASE("tensorboard: a folder that can't be is refused, and nothing is left") {
  const Workplace place;
  mixgrad::io::write_file(place.root / "file", "");
  check_complaint(mixgrad_run(place, quick(place) + "--out run --tensorboard file/tb"), 2,
                  "tensorboard: can't make folder file/tb");
  CHECK_FALSE(std::filesystem::exists(place.root / "run"));
}
