// SPDX-License-Identifier: Apache-2.0
// The output of inspect, compared with the networks and runs that it shows.
#include "../networks.h"
#include "../shell.h"
#include "../skip.h"

#include <mixgrad/inspect.h>
#include <mixgrad/io.h>
#include <mixgrad/ops.h>

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>

using namespace mixgrad;
using inspect::TapeOp;
using nlohmann::json;
using test::Folder;

namespace {

const inspect::Quantizer& quantizer_of(const inspect::GraphView& view, const std::string& node, char kind) {
  const auto found = std::ranges::find_if(view.quantizers, [&](const inspect::Quantizer& q) {
    return q.id[0] == kind && std::ranges::find(q.nodes, node) != q.nodes.end();
  });
  REQUIRE(found != view.quantizers.end());
  return *found;
}

/// Checks for lines of at most 100 columns, without tabs.
void check_plain(const std::string& text) {
  CHECK(text.ends_with('\n'));
  CHECK(text.find('\t') == std::string::npos);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    CHECK(end - begin <= 100);
    begin = end + 1;
  }
}

void check_draws(const std::string& dot, const std::string& expected) {
  const Folder folder;
  io::write_file(folder.path / "graph.dot", dot);
  folder.run("dot -Tsvg graph.dot -o graph.svg");
  CHECK(folder.said().empty());  // no warnings either
  CHECK(io::read_file(folder.path / "graph.svg").find(expected) != std::string::npos);
}

bool can_draw() {
  if (test::has("dot")) return true;
  test::skip("pictures need dot: apt-get install graphviz");
  return false;
}

/// A layer of two channels that chooses between 4 and 8 bits, in one epoch.
train::EpochReport epoch_of(int epoch, std::array<float, 4> alpha, std::array<float, 4> task,
                            std::array<float, 4> cost) {
  const Shape shape{2, 2};
  train::EpochReport report{.phase = "search", .epoch = epoch, .epochs = 2};
  report.tau = 1;
  const Tensor a = Tensor::from(shape, alpha), one = Tensor::full({1}, 1), zero = Tensor::zeros({1});
  report.alphas.push_back({.name = "conv.alpha_w",
                           .nodes = {"conv", "twin"},
                           .bits = {4, 8},
                           .alpha = a,
                           .theta = softmax(a, 1),
                           .task_gradient = Tensor::from(shape, task),
                           .cost_gradient = Tensor::from(shape, cost)});
  report.alphas.push_back({.name = "conv.alpha_a",
                           .nodes = {"conv"},
                           .bits = {8},
                           .alpha = one,
                           .theta = one,
                           .task_gradient = zero,
                           .cost_gradient = zero});
  return report;
}

/// Writes a run of two epochs to `folder`.
void write_history(const Folder& folder) {
  const std::string first =
      history_line(epoch_of(0, {1, 0, 0, 1}, {0.03F, 0.01F, -0.03F, -0.005F}, {-0.01F, -0.01F, 0.01F, 0.008F}));
  const std::string second =
      history_line(epoch_of(1, {0, 0, 1, 1}, {0.01F, 0, -0.01F, -0.003F}, {-0.01F, -0.01F, 0.009F, 0.009F}));
  io::write_file(folder.path / "history.jsonl", first + "\n" + second + "\n");
}

RunConfig small_run() {
  RunConfig config;
  config.act_bits = {4, 8};
  config.batch_size = 16;
  config.threads = 2;
  return config;
}

std::vector<TapeOp> ops_called(const inspect::TapeView& view, const std::string& name) {
  std::vector<TapeOp> out;
  std::ranges::copy_if(view.ops, std::back_inserter(out), [&](const TapeOp& op) { return op.op == name; });
  return out;
}

double largest(std::span<const float> values) {
  double most = 0;
  for (float v : values) most = std::max(most, std::abs(static_cast<double>(v)));
  return most;
}

}  // namespace

TEST_CASE("inspect network: what a network from a file takes of pixels") {
  const auto input = [](const std::string& scale, const std::string& normalize) {
    RunConfig config;
    config.input_scale = scale;
    config.normalize = normalize;
    return inspect::view(inspect::network(config, 10, false)).input;
  };
  CHECK(input("", "").empty());
  CHECK(input("0..255", "") == "pixels from 0 to 255");
  CHECK(input("0..255", "127.5/127.5") == "pixels from -1 to 1");
  CHECK(input("", "0,0.5,0/1,0.5,1") == "pixels from -1 to 1, (v - 0/0.5/0) / 1/0.5/1 for v from 0 to 1 by channel");
}

TEST_CASE("inspect: a network's nodes and the quantizers that they share") {
  RunConfig config;
  config.weight_bits = {0, 2, 8};
  const inspect::GraphView view = inspect::view(inspect::network(config, 10, false));
  int64_t weights = 0, macs = 0;
  for (const inspect::NodeView& n : view.nodes) weights += n.weights, macs += n.macs;
  CHECK(weights == 77'360);
  CHECK(macs == 12'501'632);
  CHECK(view.nodes[1].op == "conv2d + relu");
  CHECK(view.nodes[1].shape == Shape{16, 32, 32});

  // The inputs of an Add share its output's quantizer and, with 0 bits, their channels.
  CHECK(quantizer_of(view, "conv", 'w').nodes == std::vector<std::string>{"conv", "stack1.conv2"});
  CHECK(quantizer_of(view, "conv", 'w').bits == std::vector{0, 2, 8});
  CHECK(quantizer_of(view, "conv", 'w').channels == 16);
  CHECK(quantizer_of(view, "stack2.shortcut", 'a').nodes ==
        std::vector<std::string>{"stack2.conv2", "stack2.shortcut"});
  CHECK(quantizer_of(view, "stack2.shortcut", 'a').is_signed);
  CHECK(quantizer_of(view, "fc", 'w').bits == std::vector{2, 8});
  CHECK(quantizer_of(view, "fc", 'w').id == view.nodes.back().weight_quantizer);
  CHECK(view.nodes.back().output_quantizer.empty());

  check_plain(inspect::text(view));
  CHECK(inspect::text(view).find("conv, stack1.conv2\n") != std::string::npos);
  const json j = json::parse(inspect::json(view));
  CHECK(j.at("nodes").size() == view.nodes.size());
  CHECK(j.at("nodes").back().at("output_quantizer").is_null());
  CHECK(j.at("quantizers")[0].at("nodes") == json::array({"conv", "stack1.conv2"}));

  config.scheme = MixPrecType::PER_LAYER;
  config.weight_bits = {4};
  const inspect::GraphView layers = inspect::view(inspect::network(config, 10, false));
  CHECK(quantizer_of(layers, "conv", 'w').nodes.size() == 1);
  CHECK(quantizer_of(layers, "conv", 'w').channels == 0);
}

TEST_CASE("inspect: networks as traced and exported, and every model of the zoo") {
  for (const std::string& name : models::names()) {
    RunConfig config;
    config.model = name;
    const inspect::GraphView traced = inspect::view(inspect::network(config, 2, true));
    CHECK(traced.quantizers.empty());
    CHECK(std::ranges::count(traced.nodes, "batch_norm", &inspect::NodeView::op) > 0);
    check_plain(inspect::text(traced));
    check_plain(inspect::text(inspect::view(inspect::network(config, 2, false))));
  }
  const Graph found = test::every_op(true, 3);
  const inspect::GraphView view = inspect::view(found);
  for (const inspect::Quantizer& q : view.quantizers) CHECK(q.fixed);
  const inspect::Quantizer& stem = quantizer_of(view, "stem", 'w');
  for (int b : found.nodes[1].weight_slot->bits) CHECK(std::ranges::count(stem.bits, b) == 1);
  check_plain(inspect::text(view));
}

TEST_CASE("inspect: Graphviz draws the pictures without warnings, whatever the names") {
  if (!can_draw()) return;
  Graph graph = test::every_op(false, 4);
  graph.nodes[1].name = "a \"stem\" \\N <b>\n\x01{|}";
  check_draws(inspect::dot(inspect::view(graph)), "a &quot;stem&quot; \\N &lt;b&gt;");
  check_draws(inspect::dot(inspect::tape(small_run(), {.images = 2})), "activation_mixture");
}

TEST_CASE("inspect why: pulls are -gradient, means over channels and epochs; choices are those of the last epoch") {
  const Folder folder;
  write_history(folder);
  const inspect::Why why = inspect::why(folder.path, "twin");
  CHECK_FALSE(why.output);
  REQUIRE(why.weights);
  CHECK(why.weights->nodes == std::vector<std::string>{"conv", "twin"});
  CHECK(why.weights->channels == 2);
  REQUIRE(why.weights->epochs.size() == 2);
  const inspect::Candidate& eight = why.weights->epochs[0].candidates[1];
  CHECK(eight.bits == 8);
  CHECK(eight.theta == doctest::Approx(0.5));
  CHECK(eight.task_pull == doctest::Approx((0.03 + 0.005) / 2));
  CHECK(eight.cost_pull == doctest::Approx(-0.009));
  CHECK(eight.chosen == 1);
  const inspect::Candidate outcome = why.weights->outcome()[1];
  CHECK(outcome.task_pull == doctest::Approx(0.012));
  CHECK(outcome.chosen == 2);
  CHECK(outcome.theta == doctest::Approx(std::exp(1) / (std::exp(1) + 1)));
  CHECK(outcome.task_pull == doctest::Approx((eight.task_pull + why.weights->epochs[1].candidates[1].task_pull) / 2));

  const std::string said = inspect::text(why);
  check_plain(said);
  CHECK(said.find("8 bits: task pull +0.012, cost pull -0.009, sum +0.003; chosen by 2 of 2 channels") !=
        std::string::npos);
  CHECK(said.find("shares its alpha with conv") != std::string::npos);
  CHECK(said.find("-gradient") != std::string::npos);
  const json j = json::parse(inspect::json(why));
  CHECK(j.at("output").is_null());
  CHECK(j.at("weights").at("epochs")[1].at("candidates")[0].at("task_pull").get<double>() == doctest::Approx(-0.005));

  CHECK(said.find("exported") == std::string::npos);  // nothing has been exported yet

  CHECK(inspect::text(inspect::why(folder.path, "conv")).find("8 bits was the only candidate") != std::string::npos);
  CHECK_THROWS_WITH_AS(inspect::why(folder.path, "fc"), doctest::Contains("expected one of conv, twin"), Error);
}

TEST_CASE("inspect why: measured losses, summed over channels, in place of pulls") {
  const Folder folder;
  train::EpochReport report = epoch_of(0, {1, 0, 0, 1}, {}, {});
  report.alphas[0].loss = Tensor::from({2, 2}, std::array{0.25F, 0.5F, 0.0F, 0.0F});
  report.alphas[1].loss = Tensor::zeros({1});
  io::write_file(folder.path / "history.jsonl", history_line(report) + "\n");
  const inspect::Why why = inspect::why(folder.path, "conv");
  REQUIRE(why.weights);
  const std::vector<inspect::Candidate>& candidates = why.weights->epochs[0].candidates;
  REQUIRE(candidates[0].loss);
  CHECK(*candidates[0].loss == doctest::Approx(0.75));
  CHECK(*candidates[1].loss == 0);
  const std::string said = inspect::text(why);
  check_plain(said);
  CHECK(said.find("    1      4        +0.75         1\n           8            0         1\n") != std::string::npos);
  CHECK(said.find("pull") == std::string::npos);
  CHECK(said.find("sums over the channels") != std::string::npos);
  const json j = json::parse(inspect::json(why)).at("weights").at("epochs")[0].at("candidates");
  CHECK(j[0].at("loss").get<double>() == doctest::Approx(0.75));
}

TEST_CASE("inspect why: a finished run shows what was exported, including pruned channels") {
  const Folder folder;
  write_history(folder);
  Graph graph = test::every_op(false, 5);
  Node& stem = graph.nodes[1];
  const auto at_4_bits = std::ranges::count(stem.weight_slot->bits, 4);
  REQUIRE(at_4_bits > 0);
  train::EpochReport report = epoch_of(0, {1, 0, 0, 1}, {}, {});
  train::AlphaReport& weights = report.alphas[0];
  weights.nodes = {"stem"};
  weights.bits = {0, 2, 4, 8};
  weights.alpha = weights.theta = weights.task_gradient = weights.cost_gradient =
      Tensor::full({4, stem.weight().dim(0) + 3}, 0.25F);
  io::write_file(folder.path / "history.jsonl", history_line(report) + "\n");
  save(graph, folder.path / "model.safetensors");
  Repair repair{.start = "whole layers", .choices = 90, .moved = 17};
  repair.costs = {{.name = "size", .largest = 8000, .arg_max = 6000, .found = 3990, .limit = 4000}};
  io::write_file(folder.path / "summary.json", "{\"repair\": " + to_json(repair) + "}");
  const inspect::Why why = inspect::why(folder.path, "stem");
  REQUIRE(why.exported);
  const std::string said = inspect::text(why);
  CHECK(said.find(fmt::format("moved from the arg max ({} at 8 bits)", stem.weight().dim(0) + 3)) != std::string::npos);
  CHECK(said.find("Target: size of at most 4000; 6000 at the arg max, 3990 as exported.") != std::string::npos);
  CHECK(said.find("derived from whole layers.\n17 of its 90 choices moved from their arg max") != std::string::npos);
  CHECK(json::parse(inspect::json(why)).at("repair").at("moved") == 17);
  io::write_file(folder.path / "summary.json", "{}");  // a run without targets, or by an older build
  CHECK_FALSE(inspect::why(folder.path, "stem").repair);
  CHECK(why.exported->channels.at(0) == 3);
  CHECK(why.exported->channels.at(4) == at_4_bits);
  CHECK(why.exported->output_bits == stem.output_slot->precisions[0]);
  CHECK(inspect::text(why).find(fmt::format("{} at 4 bits", at_4_bits)) != std::string::npos);
  CHECK(json::parse(inspect::json(why)).at("exported").at("channels").at("0") == 3);
}

TEST_CASE("inspect tape: the ops of a search step read each other's results and leave a plain step's gradients") {
  RunConfig config = small_run();
  config.method = Method::dnas;
  const inspect::TapeView view = inspect::tape(config, {.images = 6});
  CHECK(ops_called(view, "conv2d").size() == 9);
  CHECK(ops_called(view, "weight_mixture").size() == 10);
  CHECK(ops_called(view, "activation_mixture").size() == 13);
  for (size_t i = 0; i < view.ops.size(); ++i) {
    const TapeOp& op = view.ops[i];
    REQUIRE(op.from.size() == op.shapes.size());
    for (size_t k = 0; k < op.from.size(); ++k) {
      if (op.from[k] == "constant") CHECK(op.shapes[k].rank() == 0);  // a number in the cost
      if (op.from[k][0] != '%') continue;
      const auto made_by = std::stoul(op.from[k].substr(1));
      REQUIRE(made_by < i);
      CHECK(view.ops[made_by].output.shape == op.shapes[k]);
    }
    CHECK(op.output.lowest <= op.output.highest);
    CHECK(op.output.largest_gradient.has_value());
  }
  const TapeOp conv = ops_called(view, "conv2d")[0];
  CHECK(conv.node == "conv");
  CHECK(conv.output.shape == Shape{6, 16, 32, 32});
  CHECK(view.ops[std::stoul(conv.from[1].substr(1))].from[0] == "conv.weight");
  CHECK(view.ops[std::stoul(conv.from[0].substr(1))].from[0] == "images");

  // The same step without inspect.
  const data::Splits splits = load_data(config);
  const models::Model model = models::make(config.model, 10);
  nn::initialize(*model.net, Rng(config.seed, "init"));
  const Graph floating = simplified(*model.net, {3, 32, 32});
  MixPrecOptions options = mix_prec_options(config);
  options.calibration = train::calibration_batches(splits.train, 16, config.seed);
  MixPrec net(floating, options);
  data::Loader loader(splits.train, {.batch_size = 6});
  loader.start(0);
  const double strength = default_strength(floating, net.regularizer());
  const train::StepResult plain =
      train::step(net.graph(), loader.batch(0),
                  {.sample = [&] { return net.sample(); },
                   .regularization = [&](const Thetas& t) { return scale(net.get_regularization_loss(t), strength); },
                   .micro_batch = 6});
  CHECK(view.task_loss == plain.task.mean_loss());
  CHECK(view.regularization == plain.regularization);
  size_t found = 0;
  for (const Parameter& leaf : net.graph().parameters()) {
    if (leaf.role == Role::clip) continue;
    const auto seen = std::ranges::find(view.leaves, leaf.name, &inspect::Leaf::name);
    CAPTURE(leaf.name);
    REQUIRE(seen != view.leaves.end());
    CHECK(seen->values.largest_gradient == largest(leaf.tensor.grad()));
    CHECK(seen->values.highest == *std::ranges::max_element(leaf.tensor.data()));
    ++found;
  }
  CHECK(found == 50);  // with the learned steps of 10 layers
  check_plain(inspect::text(view));
  const json j = json::parse(inspect::json(view));
  CHECK(j.at("ops").size() == view.ops.size());
  CHECK(j.at("ops")[0].at("forward_ms").is_number());
}

TEST_CASE("inspect tape: the step of a search that measures alpha reads one-hot theta, with a gradient to each") {
  const inspect::TapeView view = inspect::tape(small_run(), {.images = 4});
  CHECK(view.regularization == 0);
  std::vector<std::string> names;
  for (const inspect::Leaf& leaf : view.leaves) {
    if (leaf.name.find(".theta_") == std::string::npos) continue;
    names.push_back(leaf.name);
    CHECK(leaf.values.lowest == 0);
    CHECK(leaf.values.highest == 1);
    CHECK(leaf.values.largest_gradient > 0);
  }
  CHECK(names.size() == 19);  // of 10 layers and 9 activations: the input has a single candidate
  CHECK(names.front() == "conv.theta_w");
  for (const inspect::TapeOp& op : ops_called(view, "weight_mixture"))
    CHECK(std::ranges::any_of(op.from, [](const std::string& from) { return from.ends_with(".theta_w"); }));
}

TEST_CASE("inspect tape: a step of fine-tuning runs on codes") {
  const inspect::TapeView view = inspect::tape(small_run(), {.phase = StepKind::fine_tune, .images = 4});
  CHECK(view.regularization == 0);
  CHECK(ops_called(view, "activation_mixture").empty());
  REQUIRE_FALSE(ops_called(view, "requantize").empty());
  for (const inspect::TapeOp& op : ops_called(view, "requantize"))
    CHECK(op.output.highest == std::rint(op.output.highest));
}

TEST_CASE("inspect tape: a float step names its modules; invalid options are refused") {
  const inspect::TapeView view = inspect::tape(small_run(), {.phase = StepKind::warm_up, .images = 4});
  CHECK(view.regularization == 0);
  CHECK(ops_called(view, "batch_norm").size() == 7);
  CHECK(ops_called(view, "batch_norm")[1].node == "stack1.bn1");
  CHECK(ops_called(view, "weight_mixture").empty());
  CHECK(ops_called(view, "cross_entropy").back().output.largest_gradient == 1.0);
  check_plain(inspect::text(view));
  CHECK_THROWS_WITH_AS(inspect::tape(small_run(), {.images = 0}), "images: 0: expected at least 1", Error);
}

TEST_CASE("inspect on the command line") {
  const Folder folder;
  write_history(folder);
  const auto mixgrad = [&](const std::string& arguments, int exit_code = 0) {
    folder.run(fmt::format("'{}' inspect {}; test $? = {}", MIXGRAD_BINARY, arguments, exit_code));
    return folder.said();
  };
  CHECK(mixgrad("ds_cnn --classes 12").find("22,016") != std::string::npos);
  CHECK(mixgrad("--model ds_cnn --classes 12 --act-bits 4,8").find("4,8 bits") != std::string::npos);
  CHECK(json::parse(mixgrad("--json --traced --dot net.dot")).at("quantizers").empty());
  CHECK(io::read_file(folder.path / "net.dot").starts_with("digraph"));
  CHECK(mixgrad("why . conv").find("task pull +0.012") != std::string::npos);
  CHECK(json::parse(mixgrad("why . conv --json")).at("layer") == "conv");
  CHECK(json::parse(mixgrad("tape --json --model ds_cnn --images 2 --phase float --dot tape.dot")).at("ops").size() >
        20);
  CHECK(io::read_file(folder.path / "tape.dot").starts_with("digraph"));
  struct Case {
    const char *arguments, *words;
  };
  for (const Case& c : std::vector<Case>{{"lenet", "unknown 'lenet': expected resnet8"},
                                         {"--classes 0", "classes: 0"},
                                         {"--weight-bits 9", "weight-bits: 9"},
                                         {"--override conv9=8", "conv9"},
                                         {"why", "inspect why DIR LAYER"},
                                         {"why nowhere conv", "nowhere: no such folder"},
                                         {"why . fc", "expected one of conv, twin"},
                                         {"why nowhere", "nowhere: no such folder"},
                                         {"tape --images 0", "images: 0"},
                                         {"tape --init nowhere", "nowhere"}}) {
    CAPTURE(c.arguments);
    const std::string said = mixgrad(c.arguments, 2);
    CHECK(said.find(c.words) != std::string::npos);
    CHECK(std::ranges::count(said, '\n') == 1);
  }
}
