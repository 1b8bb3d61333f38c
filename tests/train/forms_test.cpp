// SPDX-License-Identifier: Apache-2.0
// Tasks other than one label per image: given values, label maps, and a float network's outputs.
#include <mixgrad/mixgrad.h>

#include "../refusal.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace mixgrad;
using test::refusal;

namespace {

/// From two channels to three at every position.
class Net : public nn::Module {
 public:
  Net()
      : first_({.in_channels = 2, .out_channels = 8, .kernel = {3, 3}, .padding = {1, 1}}),
        last_({.in_channels = 8, .out_channels = 3, .kernel = {1, 1}}) {
    add_module("first", first_);
    add_module("last", last_);
    nn::initialize(*this, Rng(4, "init"));
  }
  Tensor forward(const Tensor& x) override { return last_(relu(first_(x))); }

 private:
  nn::Conv2d first_, last_;
};

data::Dataset images(int64_t count) {
  data::Dataset set{.name = "set", .channels = 2, .height = 4, .width = 4};
  Rng rng(7, "images");
  for (int64_t i = 0; i < count * set.image_values(); ++i) set.features.push_back(static_cast<float>(rng.normal()));
  return set;
}

data::Batch whole(const data::Dataset& set) { return data::Loader(set, {.batch_size = set.size()}).batch(0); }

/// Which channel of three is largest where: something that the network can learn.
data::Dataset with_maps(int64_t count) {
  data::Dataset set = images(count);
  for (size_t i = 0; i < set.features.size(); i += 2)
    set.labels.push_back(set.features[i] > 0.5F ? 2 : set.features[i + 1] > 0 ? 1 : 0);
  set.label_map = {4, 4};
  set.class_names = {"none", "second", "first"};
  return set;
}

Graph floating(Net& net) { return simplified(net, {2, 4, 4}); }

train::Pairing pairing(const data::Dataset& set, const Shape& output) {
  return {.images = set,
          .data = "npy:d",
          .input = set.image_shape(),
          .output = output,
          .network = "model m",
          .left_out = "",
          .notes = ""};
}

}  // namespace

TEST_CASE("forms: regression compares outputs with targets in the order of the file") {
  data::Dataset set = images(6);
  Net net;
  const Graph graph = floating(net);
  const Tensor outputs = graph.forward(whole(set).x);
  set.targets = outputs.to_vector();
  set.target_shape = {3, 4, 4};
  CHECK(train::evaluate(graph, set).metric == train::find_task("regress").metric);
  CHECK(train::evaluate(graph, set).value() == 0);
  for (float& v : set.targets) v += 0.5F;
  CHECK(train::evaluate(graph, set).value() == doctest::Approx(0.25));
  CHECK(train::step(graph, whole(set), {.micro_batch = 4}).task.mean_loss() == doctest::Approx(0.25));

  data::Dataset two = images(2);
  two.targets = {1, 5, 3, 5};
  two.target_shape = {2};
  const train::Task& regress = train::find_task("regress");
  CHECK(regress.chance(two) == doctest::Approx(0.5));  // the variances 1 and 0
  CHECK(refusal([&] { regress.check(pairing(two, {2})); }) == "accepted");
  CHECK(refusal([&] { regress.check(pairing(two, {2, 1, 1})); }) == "accepted");
  CHECK(refusal([&] { regress.check(pairing(two, {3})); }) ==
        "data: 'npy:d' has targets [2], but model m returns [3]: --loss regress expects equal shapes");
  CHECK(
      refusal([&] { regress.check(pairing(images(2), {3})); }) ==
      "data: 'npy:d' has no targets, which --loss regress needs to train model m: expected y of floats, [N, ...] like "
      "its outputs [3]");
}

TEST_CASE("forms: on label maps, the loss is a mean over pixels and the metric the mean IoU of all images") {
  const data::Dataset set = with_maps(9);
  Net net;
  const Graph graph = floating(net);
  const data::Batch batch = whole(set);
  const Tensor scores = graph.forward(batch.x);
  double loss = 0;
  std::vector<double> both(3), either(3);
  const std::vector<float> z = scores.to_vector();
  for (size_t n = 0; n < 9; ++n) {
    for (size_t p = 0; p < 16; ++p) {
      std::array<double, 3> row{};
      for (size_t c = 0; c < 3; ++c) row[c] = z[(n * 3 + c) * 16 + p];
      const auto truth = static_cast<size_t>(batch.labels[n * 16 + p]);
      const auto chosen = static_cast<size_t>(std::ranges::max_element(row) - row.begin());
      loss += std::log(std::exp(row[0]) + std::exp(row[1]) + std::exp(row[2])) - row[truth];
      if (truth == chosen) ++both[truth];
      ++either[truth];
      if (truth != chosen) ++either[chosen];
    }
  }
  const double iou = (both[0] / either[0] + both[1] / either[1] + both[2] / either[2]) / 3;
  train::Confusion confusion;
  const train::Score score = train::evaluate(graph, set, 9, nullptr, &confusion);
  CHECK(score.mean_loss() == doctest::Approx(loss / (9 * 16)));
  CHECK(score.value() == doctest::Approx(iou));
  CHECK(confusion.total() == 9 * 16);
  CHECK(score.mean_measured() == doctest::Approx(confusion.accuracy()));
  const train::StepResult parts = train::step(graph, batch, {.micro_batch = 2});
  CHECK(parts.task.value() == doctest::Approx(iou));
  CHECK(parts.task.mean_loss() == doctest::Approx(loss / (9 * 16)));

  const auto share = static_cast<double>(std::ranges::count(set.labels, 1)) / static_cast<double>(set.labels.size());
  const train::Task& task = train::task_for(nullptr, "classify", set.known());
  CHECK(task.chance(set) == doctest::Approx(share / 3));
  CHECK(refusal([&] { task.check(pairing(set, {3, 4, 4})); }) == "accepted");
  CHECK(refusal([&] {
          task.check(pairing(set, {3, 2, 2}));
        }) ==
        "data: 'npy:d' has label maps [4, 4] of 3 classes, but model m returns [3, 2, 2]: --loss classify expects "
        "[3, 4, 4]");
}

TEST_CASE("forms: a segmentation network learns, is searched and reports the IoU of whole epochs") {
  const data::Dataset set = with_maps(120);
  const data::Splits splits{.train = set, .validation = set, .test = set};
  Net net;
  struct Last : train::Observer {
    void on_epoch(const train::EpochReport& epoch) override { report = epoch; }
    train::EpochReport report{.phase = "", .epoch = 0, .epochs = 0};
  } last;
  train::warm_up(net, splits, {.epochs = 15, .batch_size = 20, .lr = 0.2}, last);
  CHECK(last.report.metric.name == "mean IoU");
  CHECK(last.report.val_metric > 0.8);
  CHECK(last.report.train_metric == doctest::Approx(last.report.val_metric).epsilon(0.1));
  MixPrec search(floating(net), {.calibration = {whole(set).x}});
  train::search(search, splits, {}, last);
  CHECK(last.report.metric.name == "mean IoU");
  CHECK(train::evaluate(search.arch_export(), set).value() > 0.7);
}

TEST_CASE("forms: imitation of class scores counts agreement, of values the error relative to their variance") {
  const data::Dataset set = images(20);
  Net net;
  const Graph graph = floating(net);
  Graph other = graph.clone();
  Rng rng(5, "noise");
  for (const Parameter& p : other.parameters()) {
    for (float& v : p.tensor.data()) v += static_cast<float>(0.1 * rng.normal());
  }
  const train::Teacher teacher = train::teacher(graph, set);
  const std::vector<float> outputs = graph.forward(whole(set).x).to_vector(),
                           seen = other.forward(whole(set).x).to_vector();

  const train::Task values = train::find_task("imitate-values").taught(teacher);
  CHECK(train::evaluate(graph, set, 20, &values).value() == 0);
  double mean = 0, variance = 0, error = 0;
  for (const float v : outputs) mean += v / static_cast<double>(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    variance += (outputs[i] - mean) * (outputs[i] - mean);
    error += (static_cast<double>(outputs[i]) - seen[i]) * (static_cast<double>(outputs[i]) - seen[i]);
  }
  CHECK(train::evaluate(other, set, 20, &values).value() == doctest::Approx(error / variance));
  CHECK(values.chance(set) < 1.0001);  // guessing the mean of each value is at least as good as the mean of all
  CHECK(values.chance(set) > 0.5);

  const train::Task scores = train::find_task("imitate-scores").taught(teacher);
  train::Confusion confusion;
  const train::Score same = train::evaluate(graph, set, 20, &scores, &confusion);
  CHECK(same.value() == 1);
  CHECK(same.mean_loss() == doctest::Approx(0).epsilon(1e-6));
  CHECK(confusion.accuracy() == 1);
  const train::Score differs = train::evaluate(other, set, 20, &scores);
  CHECK(differs.value() < 1);
  CHECK(differs.value() > 1.0 / 3);
  CHECK(differs.mean_loss() > 0.001);
  CHECK(scores.chance(set) >= 1.0 / 3);
  CHECK(train::step(other, whole(set), {.task = &scores}).task.mean_loss() == doctest::Approx(differs.mean_loss()));
  CHECK(std::ranges::none_of(teacher.network->parameters(), [](const Parameter& p) { return p.tensor.has_grad(); }));

  CHECK(refusal([&] { train::evaluate(graph, set, 20, &train::find_task("imitate")); }) ==
        "imitate: the float network to imitate is missing: expected Task::taught");
  CHECK(
      refusal([&] { train::find_task("imitate-scores").check(pairing(set, {1})); }) ==
      "model m returns [1]: --loss imitate-scores expects at least two class scores, --loss imitate-values any values");
}

TEST_CASE("forms: what --loss imitate compares follows from the teacher's task, else from the form of its outputs") {
  const data::Dataset set = images(4);
  Net net;
  Graph graph = floating(net);
  const auto chosen = [&](const char* task) {
    graph.task = task;
    return train::find_task("imitate").taught(train::teacher(graph, set)).name;
  };
  CHECK(chosen("classify") == "imitate-scores");
  CHECK(chosen("regress") == "imitate-values");
  CHECK(chosen("reconstruct") == "imitate-values");
  CHECK(chosen("") == "imitate-values");  // maps
  graph.nodes[static_cast<size_t>(graph.output)].shape = {3, 1, 1};
  CHECK(chosen("") == "imitate-scores");
  graph.nodes[static_cast<size_t>(graph.output)].shape = {1};
  CHECK(chosen("") == "imitate-values");
}

TEST_CASE("forms: of several outputs, imitation compares each, and takes the means") {
  struct Heads : nn::Module {
    Heads() {
      add_module("first", first);
      add_module("last", last);
      nn::initialize(*this, Rng(4, "init"));
    }
    Tensor forward(const Tensor& x) override {
      const Tensor y = relu(first(x));
      return outputs({flatten(global_avg_pool2d(y)), last(flatten(y))});
    }
    nn::Conv2d first{{.in_channels = 2, .out_channels = 3, .kernel = {3, 3}, .padding = {1, 1}}};
    nn::Linear last{{.in_features = 48, .out_features = 4}};
  } net;
  const data::Dataset set = images(20);
  const Graph graph = simplified(net, {2, 4, 4});
  Graph other = graph.clone();
  Rng rng(5, "noise");
  for (const Parameter& p : other.parameters()) {
    for (float& v : p.tensor.data()) v += static_cast<float>(0.1 * rng.normal());
  }
  const train::Teacher teacher = train::teacher(graph, set);
  REQUIRE(teacher.variances.size() == 2);
  const std::vector<float> wanted = graph.forward(whole(set).x).to_vector(),
                           seen = other.forward(whole(set).x).to_vector();

  double error = 0, agreement = 0;
  for (const auto& [first, count] : {std::pair<size_t, size_t>{0, 3}, {3, 4}}) {
    double sum = 0, squares = 0, off = 0;
    for (size_t n = 0; n < 20; ++n) {
      const auto real = wanted.begin() + static_cast<std::ptrdiff_t>(n * 7 + first),
                 close = seen.begin() + static_cast<std::ptrdiff_t>(n * 7 + first);
      const auto size = static_cast<std::ptrdiff_t>(count);
      agreement +=
          std::max_element(real, real + size) - real == std::max_element(close, close + size) - close ? 0.5 : 0;
      for (std::ptrdiff_t k = 0; k < size; ++k) {
        sum += real[k];
        squares += static_cast<double>(real[k]) * real[k];
        off += std::pow(static_cast<double>(real[k]) - static_cast<double>(close[k]), 2);
      }
    }
    const auto values = static_cast<double>(20 * count);
    error += 0.5 * (off / values) / (squares / values - std::pow(sum / values, 2));
  }
  const train::Task values = train::find_task("imitate").taught(teacher);
  CHECK(values.name == "imitate-values");
  CHECK(train::evaluate(graph, set, 20, &values).value() == 0);
  CHECK(train::evaluate(other, set, 20, &values).value() == doctest::Approx(error));
  CHECK(values.chance(set) > 0.5);
  CHECK(values.chance(set) < 1.0001);

  const train::Task scores = train::find_task("imitate-scores").taught(teacher);
  CHECK_FALSE(scores.decisions);
  CHECK(train::evaluate(graph, set, 20, &scores).value() == 1);
  CHECK(train::evaluate(other, set, 20, &scores).value() == doctest::Approx(agreement / 20));
  CHECK(scores.chance(set) >= 0.25);
  CHECK(train::step(other, whole(set), {.task = &scores}).task.mean_loss() > 0);
}
