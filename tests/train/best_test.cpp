// SPDX-License-Identifier: Apache-2.0
// A phase ends with its best epoch, or with its start if no epoch was as good.
#include "../../src/train/epoch_loop.h"
#include "../cli/workplace.h"
#include "../networks.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

using namespace mixgrad;
using namespace mixgrad::test;

namespace {

/// Validation images that `network` classifies without error; labels of the training images are random.
data::Splits mastered_by(const Graph& network) {
  const data::Batch b = random_batch(48, network.input_shape(), 10, 2);
  data::Dataset d{.name = "random",
                  .channels = 3,
                  .height = 32,
                  .width = 32,
                  .pixels = {},
                  .labels = {},
                  .class_names = std::vector<std::string>(10)};
  for (float v : b.x.data()) d.pixels.push_back(static_cast<uint8_t>(v * 255 + 0.5F));
  d.labels.assign(b.labels.begin(), b.labels.end());
  data::Splits splits{.train = d, .validation = d, .test = {}};
  const NoTape pause;
  const Tensor logits = network.forward(data::Loader(d, {.batch_size = 48}).batch(0).x);
  for (size_t i = 0; i < 48; ++i) {
    const auto row = logits.data().subspan(i * 10, 10);
    splits.validation.labels[i] = static_cast<int32_t>(std::ranges::max_element(row) - row.begin());
  }
  return splits;
}

Graph found_network() { return random_export(random_model("resnet8", 1), MixPrecType::PER_CHANNEL, {0, 2, 4, 8}, 1); }

std::string bytes_of(const Graph& graph) { return io::to_bytes(to_safetensors(graph), "graph"); }

/// Stops after a number of steps.
struct Stopper : train::Observer {
  explicit Stopper(int64_t most) : left(most) {}
  void on_step(const train::StepReport&) override { --left; }
  bool stop() const override { return left <= 0; }
  int64_t left;
};

/// Keeps the bytes of the last checkpoint.
struct Memory : train::Checkpoints {
  void write(io::Safetensors content) override { last_written = io::to_bytes(content, "checkpoint"); }
  std::string last_written;
};

constexpr int64_t endless = std::numeric_limits<int64_t>::max();

}  // namespace

TEST_CASE("best: the start is kept unless an epoch is as good, and patience counts epochs only") {
  const Tensor t = Tensor::from({1}, std::vector{1.0F});
  train::Best best({t}, 2);
  const auto epoch = [&](float value, double quality) {
    t.data()[0] = value;
    return best.offer(quality);
  };
  best.offer_start(0.9);
  CHECK(epoch(2, 0.5));
  CHECK(epoch(3, 0.4));
  CHECK(epoch(4, 0.6));  // better than the epochs before: patience starts again
  CHECK(epoch(5, 0.6));
  CHECK_FALSE(epoch(6, 0.6));
  best.restore();
  CHECK(best.is_start());
  CHECK(t.data()[0] == 1);
  epoch(7, 0.9);
  best.restore();
  CHECK_FALSE(best.is_start());
  CHECK(t.data()[0] == 7);
}

TEST_CASE("fine-tuning that ruins a network leaves it unchanged, byte for byte, even if it was stopped and resumed") {
  const Graph start = found_network();
  const data::Splits splits = mastered_by(start);
  REQUIRE(train::evaluate(start, splits.validation).value() == 1);
  REQUIRE(std::ranges::any_of(start.nodes, [](const Node& node) { return bool(node.weight_scales); }));
  const train::Schedule ruinous{.epochs = 2, .batch_size = 24, .lr = 3};
  for (const int64_t stopped_at : {endless, int64_t{1}, int64_t{3}}) {
    CAPTURE(stopped_at);
    Graph graph = found_network();
    Memory memory;
    Stopper stopper(stopped_at);
    CHECK(train::fine_tune(graph, splits, ruinous, cost::size(), stopper, &memory));
    CHECK(bytes_of(graph) == bytes_of(start));
    if (stopped_at == endless) continue;
    Graph again = found_network();
    train::Checkpoints resumed(io::from_bytes(memory.last_written, "checkpoint"));
    train::Observer quiet;
    CHECK(train::fine_tune(again, splits, ruinous, cost::size(), quiet, &resumed));
    CHECK(bytes_of(again) == bytes_of(start));
  }
  Graph untouched = found_network();  // stopped before its first step
  Stopper stopped(0);
  CHECK_FALSE(train::fine_tune(untouched, splits, ruinous, cost::size(), stopped));
  CHECK(bytes_of(untouched) == bytes_of(start));
}

TEST_CASE("fine-tuning that changes nothing ends with its last epoch") {
  Graph graph = random_export(random_model("resnet8", 1), MixPrecType::PER_LAYER, {8}, 1);
  train::Observer quiet;
  CHECK_FALSE(
      train::fine_tune(graph, mastered_by(graph), {.epochs = 1, .batch_size = 24, .lr = 1e-12}, cost::size(), quiet));
}

TEST_CASE(
    "further training keeps the initial network if epochs only make it worse; from random weights it ends with an "
    "epoch") {
  for (const bool trained : {true, false}) {
    CAPTURE(trained);
    const auto net = random_resnet8(1);
    net->eval();
    const std::string before = io::to_bytes(nn::to_safetensors(*net), "net");
    train::Observer quiet;
    const data::Splits splits = mastered_by(simplified(*net, {3, 32, 32}));
    const bool kept =
        train::warm_up(*net, splits, {.epochs = 2, .batch_size = 24, .lr = 2, .start_counts = trained}, quiet);
    CHECK(kept == trained);
    CHECK((io::to_bytes(nn::to_safetensors(*net), "net") == before) == trained);
  }
}

TEST_CASE("cli: fine-tuning with a huge learning rate keeps the initial accuracy and says so") {
  const Workplace place;
  const std::string data = " --data " + place.data() + " --batch-size 20 --threads 2 ";
  REQUIRE(mixgrad_run(place, "train --epochs 6 --quiet --out float" + data).exit_code == 0);
  const Outcome run = mixgrad_run(
      place,
      "search --init float/float.safetensors --search-epochs 0 --finetune-epochs 2 --search-lr 1 --out run" + data);
  CAPTURE(run.err);
  REQUIRE(run.exit_code == 0);
  CHECK(run.out.find(
            "no epoch of fine-tuning was as good on the validation images, so the network before it is kept\n") !=
        std::string::npos);
  const auto summary = parsed(place.path("run/summary.json"));
  CHECK(summary.at("kept_start") == true);
  CHECK(summary.at("search_accuracy").get<double>() > 0.3);
  CHECK(summary.at("final_accuracy") == summary.at("search_accuracy"));
}
