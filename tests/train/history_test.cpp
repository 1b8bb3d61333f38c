// SPDX-License-Identifier: Apache-2.0
// The gradients that drive α: the task's and the cost's apart, recorded without changing the run itself.
#include "../networks.h"

#include <mixgrad/ops.h>
#include <mixgrad/run_folder.h>
#include <mixgrad/tape.h>

#include <mixgrad/io.h>

#include "../shell.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cmath>

using namespace mixgrad;
using test::same_bytes;

namespace {

struct Recorder : train::Observer {
  void on_epoch(const train::EpochReport& report) override { epochs.push_back(report); }
  std::vector<train::EpochReport> epochs;
};

/// 24 random images that serve as every part of the data.
data::Splits random_splits() {
  data::Dataset set = test::random_images(24, {3, 32, 32}, 2);
  set.class_names.resize(10);
  Rng rng(3, "labels");
  for (int i = 0; i < 24; ++i) set.labels.push_back(static_cast<int32_t>(rng.below(10)));
  return {.train = set, .validation = set, .test = set};
}

MixPrec random_search(const data::Splits& splits, SamplerOptions sampler = {}) {
  MixPrec net(*test::random_resnet8(1), {.input_shape = {3, 32, 32},
                                         .activation_precisions = {4, 8},
                                         .weight_precisions = {0, 2, 8},
                                         .w_mixprec_type = MixPrecType::PER_CHANNEL,
                                         .calibration = train::calibration_batches(splits.train, 24, 1),
                                         .sampler = sampler});
  test::randomize_architecture(net, 4);
  return net;
}

/// Learning rates of zero, so that every step has the same gradient.
train::SearchSchedule still(double strength) {
  train::SearchSchedule s;
  s.epochs = 1;
  s.batch_size = 12;
  s.lr = s.arch_lr = 0;
  s.strength = strength;
  s.tau_end = 0.7;
  return s;
}

std::vector<train::AlphaReport> recorded(const train::SearchSchedule& schedule, SamplerOptions sampler = {}) {
  const data::Splits splits = random_splits();
  MixPrec net = random_search(splits, sampler);
  Recorder recorder;
  train::search(net, splits, schedule, recorder);
  return recorder.epochs.back().alphas;
}

void check_near(const Tensor& a, const Tensor& b, double scale) {
  REQUIRE(a.shape() == b.shape());
  for (int64_t i = 0; i < a.size(); ++i) CHECK(std::abs(a.data()[i] - b.data()[i]) <= 1e-5 * scale);
}

double largest(const Tensor& t) {
  double most = 0;
  for (float v : t.data()) most = std::max(most, std::abs(static_cast<double>(v)));
  return most;
}

}  // namespace

TEST_CASE("Tape::gradients returns the gradients of a part and leaves all others unchanged") {
  const Tensor x = Tensor::full({2}, 3).requires_grad(), y = Tensor::full({2}, 5).requires_grad(),
               unused = Tensor::zeros({4});
  x.set_grad(std::array{7.0F, 8.0F});
  Tape tape;
  const std::array<double, 2> weights = {1, 2};
  const Tensor a = expectation(x, weights), b = scale(a, 10), all = product(b, expectation(y, weights));
  const std::array leaves = {x, y, unused};
  const std::vector<Tensor> of_b = tape.gradients(b, leaves);
  CHECK(of_b[0].to_vector() == std::vector<float>{10, 20});
  CHECK(of_b[1].to_vector() == std::vector<float>{0, 0});
  CHECK(of_b[2].to_vector() == std::vector<float>{0, 0, 0, 0});
  CHECK(x.grad()[0] == 7);
  for (const Tensor& t : {y, unused, a, b, all}) CHECK_FALSE(t.has_grad());
  tape.backward(all);
  CHECK(x.grad()[0] == 7 + 10 * 15);
  CHECK(y.grad()[1] == 2 * 90);
}

TEST_CASE("search with measured alpha: reports losses, counts patience once the budget has shrunk, meets the target") {
  const data::Splits splits = random_splits();
  MixPrec net = random_search(splits, {.hard = true});
  train::SearchSchedule s = still(0);
  s.measured = true;
  s.epochs = 10;
  s.patience = 1;  // with learning rates of zero, no epoch is better than the first
  s.targets = parse_targets("size=30%", net.graph());
  Recorder recorder;
  train::search(net, splits, s, recorder);
  CHECK(recorder.epochs.size() >= 6);
  CHECK(recorder.epochs.size() < 10);
  CHECK(cost::discrete(net.graph(), cost::size()) <= s.targets[0].limit);
  const train::EpochReport& last = recorder.epochs.back();
  CHECK(last.cost_soft == doctest::Approx(last.cost_discrete));
  double most = 0;
  for (const train::AlphaReport& a : last.alphas) {
    REQUIRE(a.loss);
    CHECK_FALSE(a.task_gradient);
    CHECK(a.loss.shape() == a.alpha.shape());
    most = std::max(most, largest(a.loss));
  }
  CHECK(most > 0);

  s.arch_split = 0.5;
  CHECK_THROWS_WITH_AS(train::search(net, splits, s, recorder), doctest::Contains("arch-split"), Error);
}

TEST_CASE(
    "history: the cost's gradient is that of the regularization alone, the task's does not depend on the strength") {
  constexpr double strength = 1e-6;
  const std::vector<train::AlphaReport> with = recorded(still(strength)), without = recorded(still(0));
  const data::Splits splits = random_splits();
  const MixPrec net = random_search(splits);
  const Thetas thetas = [&] {
    Tape tape;
    Thetas t = net.graph().softmax_thetas(0.7);
    tape.backward(scale(net.get_regularization_loss(t), strength));
    return t;
  }();
  const auto alphas = net.alpha_summary();
  REQUIRE(with.size() == alphas.size());
  for (size_t i = 0; i < alphas.size(); ++i) {
    CAPTURE(alphas[i].name);
    const Tensor own = Tensor::zeros(alphas[i].tensor.shape());
    if (alphas[i].tensor.has_grad()) std::ranges::copy(alphas[i].tensor.grad(), own.data().begin());
    const double scale = largest(own) + largest(without[i].task_gradient) + 1e-9;
    CHECK(with[i].name == alphas[i].name);
    CHECK(std::ssize(with[i].bits) == alphas[i].tensor.dim(0));
    CHECK(same_bytes(with[i].alpha.data(), alphas[i].tensor.data()));
    check_near(with[i].cost_gradient, own, scale);
    check_near(with[i].task_gradient, without[i].task_gradient, scale);
    CHECK(largest(without[i].cost_gradient) == 0);
    if (with[i].bits.size() > 1) CHECK(largest(with[i].task_gradient) > 0);
    CHECK((largest(own) > 0) == with[i].name.ends_with("_w"));  // the size depends on weights only
  }
  // Layers whose outputs are added share one α, under the name of the first.
  CHECK(with[1].name == "conv.alpha_w");
  CHECK(with[1].nodes.size() > 1);
  CHECK(with[1].nodes[1] == "stack1.conv2");
}

TEST_CASE("history: noisy samples, separate steps of α, and any number of threads") {
  train::SearchSchedule schedule = still(1e-6);
  schedule.arch_split = 0.5;
  const SamplerOptions noisy{.kind = SamplerKind::GUMBEL, .hard = true, .seed = 5};
  const auto with_threads = [&](int count) {
    const train::Threads threads(count);
    return recorded(schedule, noisy);
  };
  const auto one = with_threads(1), two = with_threads(2);
  REQUIRE(one.size() == two.size());
  for (size_t i = 0; i < one.size(); ++i) {
    CHECK(same_bytes(one[i].task_gradient.data(), two[i].task_gradient.data()));
    CHECK(same_bytes(one[i].cost_gradient.data(), two[i].cost_gradient.data()));
    if (one[i].bits.size() > 1) CHECK(largest(one[i].task_gradient) > 0);
  }
}

TEST_CASE("history: a line reads back unchanged to 6 digits; a corrupt one is named") {
  const test::Folder folder;
  train::EpochReport report{.phase = "search", .epoch = 3, .epochs = 4};
  report.tau = 0.25;
  report.alphas = recorded(still(1e-6));
  const std::string line = history_line(report);
  io::write_file(folder.path / "history.jsonl", line + "\n" + line + "\n");
  const std::vector<HistoryEpoch> back = read_history(folder.path);
  REQUIRE(back.size() == 2);
  CHECK(back[1].epoch == 3);
  CHECK(back[1].tau == 0.25);
  REQUIRE(back[1].alphas.size() == report.alphas.size());
  for (size_t i = 0; i < report.alphas.size(); ++i) {
    const train::AlphaReport &a = report.alphas[i], &b = back[1].alphas[i];
    CHECK(a.name == b.name);
    CHECK(a.nodes == b.nodes);
    CHECK(a.bits == b.bits);
    for (auto member : {&train::AlphaReport::alpha, &train::AlphaReport::theta, &train::AlphaReport::task_gradient,
                        &train::AlphaReport::cost_gradient}) {
      check_near(a.*member, b.*member, largest(a.*member));
    }
  }
  io::write_file(folder.path / "history.jsonl", line + "\n" + line.substr(0, line.size() / 2));
  CHECK(read_history(folder.path).size() == 1);  // the search is still writing the second
  io::write_file(folder.path / "history.jsonl", line + "\n" + line.substr(0, line.size() / 2) + "\n");
  CHECK_THROWS_WITH_AS(read_history(folder.path), doctest::Contains("history.jsonl:2: corrupt"), Error);
  nlohmann::json wrong = nlohmann::json::parse(line);
  wrong["alphas"][1]["theta"][0].erase(0);
  io::write_file(folder.path / "history.jsonl", wrong.dump() + "\n");
  CHECK_THROWS_WITH_AS(read_history(folder.path), doctest::Contains("history.jsonl:1: corrupt"), Error);
  CHECK_THROWS_WITH_AS(read_history(folder.path / "nowhere"), doctest::Contains("no such folder"), Error);
}
