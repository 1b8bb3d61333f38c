// SPDX-License-Identifier: Apache-2.0
#include "../networks.h"
#include "../worse.h"

#include <mixgrad/bench.h>

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <mutex>

using namespace mixgrad;
using test::random_batch;
using test::same_bytes;

namespace {

/// 72 images of 10 classes.
data::Splits random_splits() {
  const data::Batch b = random_batch(72, {3, 32, 32}, 10, 2);
  data::Dataset d{.name = "random",
                  .channels = 3,
                  .height = 32,
                  .width = 32,
                  .pixels = {},
                  .labels = {},
                  .class_names = std::vector<std::string>(10)};
  for (float v : b.x.data()) d.pixels.push_back(static_cast<uint8_t>(v * 255 + 0.5F));
  d.labels.assign(b.labels.begin(), b.labels.end());
  return {.train = d, .validation = d, .test = d};
}

/// Searches and then fine-tunes from the same float network; returns the final parameters.
std::vector<std::vector<float>> trained(int count, DType dtype) {
  const train::Threads threads(count);
  const auto model = test::random_resnet8(1);
  const data::Splits splits = random_splits();
  MixPrec net(*model, {.input_shape = {3, 32, 32},
                       .activation_precisions = {2, 4, 8},
                       .w_mixprec_type = MixPrecType::PER_CHANNEL,
                       .calibration = train::calibration_batches(splits.train, 24, 1)});
  train::Observer quiet;
  train::SearchSchedule search;
  search.epochs = 2;
  search.batch_size = 36;  // not a multiple of the micro-batch
  search.dtype = dtype;
  search.strength = 1e-6;
  search.augmentation = {.flip = true, .crop = 2};
  train::search(net, splits, search, quiet);
  Graph found = net.arch_export();
  train::Schedule fine = search;
  fine.epochs = 1;
  fine.lr = 0.01;
  train::fine_tune(found, splits, fine, net.regularizer(), quiet);

  std::vector<std::vector<float>> state;
  for (const Tensor& alpha : net.nas_parameters()) state.emplace_back(alpha.data().begin(), alpha.data().end());
  for (const Parameter& p : found.parameters())
    if (p.role != Role::clip) state.emplace_back(p.tensor.data().begin(), p.tensor.data().end());
  for (const auto& slot : found.activation_slots())
    state.emplace_back(slot->clip.data().begin(), slot->clip.data().end());
  return state;
}

}  // namespace

TEST_CASE("search and fine-tuning give the same bytes with 1, 2 and 4 threads") {
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    const auto one = trained(1, dtype);
    for (const int threads : {2, 4}) {
      const auto other = trained(threads, dtype);
      REQUIRE(other.size() == one.size());
      for (size_t i = 0; i < one.size(); ++i) CHECK(same_bytes(one[i], other[i]));
    }
  }
}

TEST_CASE("a front gives the same bytes with 1, 2 and 4 threads") {
  const data::Splits splits = random_splits();
  std::vector<io::Safetensors> fronts;
  for (const int count : {1, 2, 4}) {
    const train::Threads threads(count);
    MixPrec net(*test::random_resnet8(1), {.input_shape = {3, 32, 32},
                                           .activation_precisions = {4, 8},
                                           .weight_precisions = {0, 2, 4, 8},
                                           .w_mixprec_type = MixPrecType::PER_CHANNEL,
                                           .calibration = train::calibration_batches(splits.train, 24, 1),
                                           .sampler = {.hard = true},
                                           .weight_quantizer = quant::find_weight("lsq-odd")});
    FrontSearch search(net, front_budgets(net.graph(), cost::size(), 0.1, 3), 36);
    train::Observer quiet;
    const train::Schedule schedule = {.epochs = 3, .batch_size = 36, .lr = 1e-3};
    train::front("search", net, search, splits, schedule, quiet);
    const Segment segment = search.segments()[1];
    train::segment("segment", net, segment, splits, schedule, quiet);
    fronts.push_back(to_safetensors(segment.searched));
  }
  CHECK(io::checksum(fronts[0]) == io::checksum(fronts[1]));
  CHECK(io::checksum(fronts[0]) == io::checksum(fronts[2]));
}

TEST_CASE("the float warm-up gives the same bytes with 1, 2 and 4 threads") {
  const data::Splits splits = random_splits();
  std::vector<std::vector<float>> states;
  for (const int count : {1, 2, 4}) {
    const train::Threads threads(count);
    const auto model = test::random_resnet8(1);
    train::Observer quiet;
    train::warm_up(*model, splits, {.epochs = 2, .batch_size = 36, .augmentation = {.flip = true, .crop = 2}}, quiet);
    states.emplace_back();
    for (const nn::NamedTensor& t : nn::state_of(*model))
      states.back().insert(states.back().end(), t.tensor.data().begin(), t.tensor.data().end());
  }
  CHECK(same_bytes(states[0], states[1]));
  CHECK(same_bytes(states[0], states[2]));
}

TEST_CASE("a step does not depend on how the batch is cut") {
  const auto model = test::random_resnet8(3);
  const data::Batch batch = random_batch(12, {3, 32, 32}, 10, 4);
  MixPrec net(*model, {.input_shape = {3, 32, 32}, .activation_precisions = {4, 8}});
  const auto gradients = [&](int64_t micro_batch) {
    for (const Tensor& t : net.net_parameters()) t.zero_grad();
    const train::StepResult r = train::step(net.graph(), batch, {.micro_batch = micro_batch});
    CHECK(r.task.images == 12);
    std::vector<std::vector<float>> out;
    for (const Tensor& t : net.net_parameters()) out.emplace_back(t.grad().begin(), t.grad().end());
    return out;
  };
  const auto whole = gradients(12);
  for (const int64_t micro_batch : {1, 5, 100}) {
    const auto cut = gradients(micro_batch);
    for (size_t i = 0; i < whole.size(); ++i) {
      REQUIRE(!whole[i].empty());
      REQUIRE(cut[i].size() == whole[i].size());
      double largest = 0, worst = 0;
      for (size_t k = 0; k < whole[i].size(); ++k) {
        largest = std::max(largest, std::abs(static_cast<double>(whole[i][k])));
        worst = test::worse(worst, std::abs(static_cast<double>(whole[i][k]) - cut[i][k]));
      }
      CHECK(worst <= 1e-4 * largest + 1e-7);
    }
  }
}

TEST_CASE("an observer is called for every op, forward and backward, from every thread, and changes no gradient") {
  struct Counter : TapeObserver {
    void recorded(const Record& r) override {
      const std::lock_guard lock(mutex);
      ++ops[r.module + " " + r.op];
    }
    void played(const Record& r) override {
      const std::lock_guard lock(mutex);
      CHECK(r.output.has_grad());
      --ops[r.module + " " + r.op];
    }
    std::mutex mutex;
    std::map<std::string, int> ops;
  } counter;
  const auto model = test::random_resnet8(9);
  const data::Batch batch = random_batch(8, {3, 32, 32}, 10, 10);
  MixPrec net(*model, {.input_shape = {3, 32, 32}});
  const auto gradients = [&](TapeObserver* observer) {
    std::vector<float> all;
    for (const Tensor& t : net.net_parameters()) t.zero_grad();
    train::step(net.graph(), batch, {.micro_batch = 2, .observer = observer});
    for (const Tensor& t : net.net_parameters()) all.insert(all.end(), t.grad().begin(), t.grad().end());
    return all;
  };
  CHECK(same_bytes(gradients(nullptr), gradients(&counter)));
  for (const char* op : {"input activation_mixture", "stack1.conv2 weight_mixture", "stack1.conv2 conv2d",
                         "stack3.add add", " cross_entropy"}) {
    CHECK(counter.ops.contains(op));
  }
  for (const auto& [op, open] : counter.ops) CHECK(open == 0);
}

TEST_CASE("an error inside a micro-batch is reported once, with any number of threads") {
  const auto model = test::random_resnet8(5);
  MixPrec net(*model, {.input_shape = {3, 32, 32}});
  data::Batch batch = random_batch(32, {3, 32, 32}, 10, 6);
  batch.labels[20] = 10;
  CHECK_THROWS_WITH_AS(train::step(net.graph(), batch), "[cross_entropy] label 10 is out of range for 10 classes",
                       Error);
}

TEST_CASE("the temperature falls geometrically from start to end, or as in the paper") {
  train::SearchSchedule s;
  s.epochs = 5;
  s.tau_start = 5;
  s.tau_end = 0.1;
  CHECK(train::temperature(s, 0) == doctest::Approx(5));
  CHECK(train::temperature(s, 2) == doctest::Approx(std::sqrt(0.5)));
  CHECK(train::temperature(s, 4) == doctest::Approx(0.1));
  s.epochs = 1;
  CHECK(train::temperature(s, 0) == doctest::Approx(0.1));
  s.tau_exponential = true;
  CHECK(train::temperature(s, 10) == doctest::Approx(5 * std::exp(-0.45)));
}

namespace {

/// The loss of a step in this type with so many threads, and the gradients of all parameters.
std::vector<float> loss_and_gradients(const Graph& graph, const data::Batch& batch, DType dtype, int count) {
  const train::Threads threads(count);
  const std::vector<Parameter> parameters = graph.parameters();
  for (const Parameter& p : parameters) p.tensor.zero_grad();
  const train::StepResult r = train::step(graph, batch, {.dtype = dtype});
  std::vector<float> all = {static_cast<float>(r.task.mean_loss())};
  for (const Parameter& p : parameters) all.insert(all.end(), p.tensor.grad().begin(), p.tensor.grad().end());
  return all;
}

/// The cosine between gradients.
double likeness(std::span<const float> a, std::span<const float> b) {
  double dot = 0, norm_a = 0, norm_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    norm_a += static_cast<double>(a[i]) * a[i];
    norm_b += static_cast<double>(b[i]) * b[i];
  }
  return dot / std::sqrt(norm_a * norm_b);
}

}  // namespace

TEST_CASE("bfloat16 activations: close to the float32 step, and the same bytes with any number of threads") {
  const auto model = test::random_resnet8(7);
  const data::Batch batch = random_batch(24, {3, 32, 32}, 10, 8);
  MixPrec net(*model, {.input_shape = {3, 32, 32},
                       .activation_precisions = {4, 8},
                       .w_mixprec_type = MixPrecType::PER_CHANNEL,
                       .calibration = {batch.x}});
  struct Case {
    Graph graph;
    double loss_error, likeness;
  };
  // A discrete network computes the same codes in both types, and only its gradients are rounded.
  for (const Case& c : std::vector<Case>{{net.graph(), 0.02, 0.98}, {net.arch_export(), 0, 0.999}}) {
    const std::vector<float> exact = loss_and_gradients(c.graph, batch, DType::float32, 2);
    const std::vector<float> rounded = loss_and_gradients(c.graph, batch, DType::bfloat16, 2);
    REQUIRE(exact.size() == rounded.size());
    CHECK_FALSE(same_bytes(exact, rounded));
    CHECK(std::abs(rounded[0] - exact[0]) <= c.loss_error * static_cast<double>(exact[0]));
    CHECK(likeness(std::span(exact).subspan(1), std::span(rounded).subspan(1)) > c.likeness);
    for (const int threads : {1, 4})
      CHECK(same_bytes(rounded, loss_and_gradients(c.graph, batch, DType::bfloat16, threads)));
  }
}

TEST_CASE("a number of threads is in effect until the end of its scope, and no library function changes it for good") {
  const int before = train::threads();
  {
    const train::Threads three(3);
    const int inside = train::threads();
    const train::Threads as_it_is(0);
    CHECK(train::threads() == inside);
#ifdef _OPENMP
    CHECK(inside == 3);
#endif
  }
  CHECK(train::threads() == before);
  bench::step({.model = "ds_cnn", .batch = 2, .threads = before + 1, .steps = 1});
  CHECK(train::threads() == before);
}
