// SPDX-License-Identifier: Apache-2.0
// A network's task is chosen and stored, not guessed from sizes.
#include "../networks.h"
#include "../refusal.h"
#include "../shell.h"

#include <mixgrad/io.h>
#include <mixgrad/ops.h>

#include <doctest/doctest.h>

#include <algorithm>

using namespace mixgrad;
using mixgrad::test::refusal;

namespace {

/// Ten features to ten values: by its sizes, it could be a classifier or an autoencoder.
class Square : public nn::Module {
 public:
  Square() : first_({.in_features = 10, .out_features = 6}), second_({.in_features = 6, .out_features = 10}) {
    add_module("first", first_);
    add_module("second", second_);
    nn::initialize(*this, Rng(4, "init"));
  }
  Tensor forward(const Tensor& x) override { return second_(relu(first_(flatten(x)))); }

 private:
  nn::Linear first_, second_;
};

const Shape features = {10, 1, 1};

data::Splits labelled() {
  data::Dataset set = test::random_images(40, features, 7);
  set.class_names.resize(10);
  for (int i = 0; i < 40; ++i) set.labels.push_back(i % 10);
  return {.train = set, .validation = set, .test = set};
}

data::Batch whole(const data::Dataset& set) {
  data::Loader loader(set, {.batch_size = set.size()});
  loader.start(0);
  return loader.batch(0);
}

const train::Metric& metric_of(const char* task) { return train::find_task(task).metric; }

struct Recorder : train::Observer {
  void on_step(const train::StepReport& report) override { metrics.push_back(report.metric.name); }
  void on_epoch(const train::EpochReport& report) override {
    metrics.push_back(report.metric.name);
    last = report;
  }
  std::vector<std::string> metrics;
  train::EpochReport last{.phase = "", .epoch = 0, .epochs = 0};
};

/// A user's own task: every value should be 1, and the metric is the smallest value.
train::Task all_ones() {
  return {.name = "ones",
          .metric = {.name = "smallest value", .label = "least", .larger_is_better = true, .is_share = false},
          .reads_labels = false,
          .loss_and_metric =
              [](const Tensor& output, const data::Batch&, double denominator) {
                double smallest = 0;
                const int64_t values = output.dim(1);
                for (int64_t i = 0; i < output.dim(0); ++i)
                  smallest += *std::ranges::min_element(
                      output.data().subspan(static_cast<size_t>(i * values), static_cast<size_t>(values)));
                return train::Outcome{.loss = mse(output, Tensor::full(output.shape(), 1), denominator),
                                      .measured = smallest};
              },
          .chance = [](const data::Dataset&) { return 0.0; },
          .check = [](const train::Pairing&) {}};
}

}  // namespace

TEST_CASE("tasks: an explicit choice comes before the graph's task, and that before the default for the data") {
  const train::Task own = all_ones();
  using enum data::Known;
  CHECK(&train::task_for(&own, "reconstruct", labels) == &own);
  CHECK(train::task_for(nullptr, "reconstruct", labels).name == "reconstruct");
  CHECK(train::task_for(nullptr, "", labels).metric.name == "accuracy");
  CHECK(train::task_for(nullptr, "", label_maps).metric.name == "mean IoU");
  CHECK(train::task_for(nullptr, "classify", label_maps).name == "classify");
  CHECK(train::task_for(nullptr, "", values).name == "regress");
  CHECK(train::task_for(nullptr, "", nothing).name == "reconstruct");
  CHECK(refusal([] { train::find_task("dream"); }) ==
        "loss: unknown 'dream': expected classify, imitate, imitate-scores, imitate-values, reconstruct, regress");
}

TEST_CASE("tasks: ten features and ten classes are classified, in steps, searches and evaluations") {
  const data::Splits splits = labelled();
  Square net;
  const train::StepResult warm = train::step(net, whole(splits.train));
  CHECK(warm.task.metric == metric_of("classify"));
  CHECK(warm.task.mean_loss() > 1);  // near log(10), which no error of values in [0, 1] reaches
  MixPrec search(net, {.input_shape = features, .calibration = {whole(splits.train).x}});
  Recorder recorder;
  train::search(search, splits, {}, recorder);
  CHECK(std::ranges::all_of(recorder.metrics, [](const std::string& name) { return name == "accuracy"; }));
  Graph found = search.arch_export();
  CHECK(train::evaluate(found, splits.test).metric == metric_of("classify"));

  found.task = "reconstruct";
  const train::Score error = train::evaluate(found, splits.test);
  CHECK(error.metric == metric_of("reconstruct"));
  CHECK(error.value() == error.mean_loss());
  CHECK(error.quality() == -error.value());
  CHECK(train::step(found, whole(splits.train)).task.metric == metric_of("reconstruct"));
}

TEST_CASE("tasks: a network keeps its task in files and in memory; its checksum does not depend on it") {
  Square net;
  Graph floating = simplified(net, features);
  CHECK(floating.task.empty());
  const std::string sum = checksum(floating);
  CHECK(sum == io::checksum(to_safetensors(floating)));
  floating.task = "reconstruct";
  CHECK(checksum(floating) == sum);
  MixPrec search(floating, {.calibration = {whole(labelled().train).x}});
  const Graph found = search.arch_export();
  CHECK(found.task == "reconstruct");
  CHECK(found.clone().task == "reconstruct");

  const test::Folder folder;
  save(found, folder.path / "net.safetensors");
  io::Safetensors file = io::read_safetensors(folder.path / "net.safetensors");
  CHECK(file.metadata.at("task") == "reconstruct");
  CHECK(graph_from(file).task == "reconstruct");
  file.metadata.erase("task");
  CHECK(graph_from(file).task.empty());
}

TEST_CASE("tasks: a user's own task trains a network through every phase") {
  const train::Task own = all_ones();
  const data::Splits splits = labelled();
  Square net;
  Recorder recorder;
  train::Schedule schedule{.epochs = 20, .batch_size = 20, .lr = 0.05, .task = &own};
  train::warm_up(net, splits, schedule, recorder);
  CHECK(recorder.last.val_loss < 0.05);
  CHECK(recorder.last.val_metric > 0.5);
  MixPrec search(net, {.input_shape = features, .calibration = {whole(splits.train).x}});
  train::SearchSchedule searching;
  searching.task = &own;
  train::search(search, splits, searching, recorder);
  Graph found = search.arch_export();
  schedule.epochs = 1;
  train::fine_tune(found, splits, schedule, cost::size(), recorder);
  CHECK(train::evaluate(found, splits.test, 40, &own).value() > 0.5);
  CHECK(std::ranges::all_of(recorder.metrics, [](const std::string& name) { return name == "smallest value"; }));
}

TEST_CASE("tasks: a slice of a batch has its images and their labels") {
  const data::Batch batch = whole(labelled().train), part = batch.part(3, 4);
  CHECK(part.size() == 4);
  CHECK(part.labels == std::vector<int32_t>{3, 4, 5, 6});
  CHECK(test::same_bytes(part.x.data(), batch.x.data().subspan(30, 40)));
}

TEST_CASE("task: a distilled one counts the distance from the teacher's outputs in training, not in evaluation") {
  const data::Splits splits = labelled();
  const data::Batch batch = whole(splits.train);
  Square net;
  const Graph student = simplified(net, features);
  Graph teacher = student.clone();
  for (const Parameter& p : teacher.parameters()) {
    for (float& v : p.tensor.data()) v *= 0.5F;
  }
  for (const char* name : {"classify", "reconstruct"}) {
    CAPTURE(name);
    const train::Task& own = train::find_task(name);
    const auto loss = [&](const train::Task& task) {
      return train::step(student, batch, {.task = &task}).task.mean_loss();
    };
    const train::Task by_itself = train::distilled(own, student, 0.25, splits.train);
    const train::Task by_other = train::distilled(own, teacher, 0.25, splits.train);
    CHECK(loss(by_itself) == doctest::Approx(0.75 * loss(own)));
    CHECK(loss(by_other) > 1.001 * loss(by_itself));
    CHECK(train::evaluate(student, splits.test, 40, &by_other).loss ==
          train::evaluate(student, splits.test, 40, &own).loss);
    CHECK(loss(train::distilled(own, teacher, 0, splits.train)) == loss(own));
    const double narrow = loss(train::distilled(own, teacher, 0.25, splits.train, DType::bfloat16));
    CHECK(narrow == doctest::Approx(loss(by_other)).epsilon(0.01));
    CHECK(narrow != loss(by_other));
    for (const Parameter& p : teacher.parameters()) CHECK_FALSE(p.tensor.has_grad());
  }
  CHECK(refusal([&] { train::distilled(train::find_task("classify"), teacher, 1.5, splits.train); }) ==
        "distill: 1.5 is not possible: expected a share from 0 to 1");
}
