// SPDX-License-Identifier: Apache-2.0
#include "chance.h"

#include <mixgrad/cost.h>
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/models.h>
#include <mixgrad/run.h>

#include <src/internal/names.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <sstream>

namespace mixgrad {

double default_strength(const Graph& floating, const cost::Model& regularizer) {
  constexpr double pull = 0.6;  // strength · cost of the uniform 8-bit network
  const auto uniform = cost::if_defined([&] { return cost::uniform(floating, regularizer, 8); });
  if (!uniform)
    bad_input("strength: {} has no cost of uniform 8-bit, from which a strength would follow: give one",
              regularizer.name);
  return pull / *uniform;
}

namespace {

/// Learning rates of search and fine-tuning (Adam) as shares of the warm-up's (SGD). Fine-tuning starts near where
/// the search's cosine ended: larger steps would first undo what it learned.
constexpr double search_lr_share = 0.007, finetune_lr_share = 0.002;

constexpr int64_t sensitivity_images = 512;

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

/// On the test set, of a network that came out of `phase`; `untrained`: where its weights are from, if not from
/// training here.
train::Score test_score(const char* phase, const Graph& network, const data::Splits& splits,
                        const std::string& untrained = "") {
  const train::Score score = train::evaluate(network, splits.test);
  if (std::isfinite(score.loss)) return score;
  if (!untrained.empty())
    bad_input("{}: the network's outputs are NaN or infinite: expected weights that keep them finite", untrained);
  failed_run("{}: the network's outputs became NaN or infinite: try a smaller lr", phase);
}

train::Schedule schedule(const RunConfig& config, const data::Splits& splits, const Communicator* communicator,
                         int epochs, double lr) {
  return {.epochs = epochs,
          .batch_size = config.batch_size,
          .lr = lr,
          .check_numerics = config.check_numerics,
          .patience = config.patience,
          .augmentation = data::default_augmentation(config.data, splits.train.image_shape()),
          .seed = config.seed,
          .communicator = communicator,
          .task = &run_task(config, splits.train)};
}

train::SearchSchedule search_schedule(const RunConfig& config, const data::Splits& splits,
                                      const Communicator* communicator, const std::vector<Target>& targets) {
  train::SearchSchedule s;
  static_cast<train::Schedule&>(s) =
      schedule(config, splits, communicator, config.search_epochs, config.lr * search_lr_share);
  s.arch_lr = config.arch_lr;
  s.targets = targets;
  s.arch_split = config.arch_split;
  s.tau_start = config.tau_start;
  s.tau_end = config.tau_end;
  s.tau_exponential = config.tau_schedule == "exp";
  s.dtype = parse_dtype(config.dtype);
  return s;
}

/// The graph of a float network that takes the images of `splits` as they are normalized.
Graph float_graph(const RunConfig& config, nn::Module& net, const data::Splits& splits) {
  Graph graph = simplified(net, splits.train.image_shape());
  graph.normalization = splits.train.normalization;
  graph.task = run_task(config, splits.train).name;
  return graph;
}

/// check_possible of one run whose data are read. Returns why the network found will have no integer form
/// (integer_obstacle).
std::string check_wishes(const RunConfig& config, const data::Splits& splits) {
  Graph graph = float_graph(config, *make_model(config, splits.train.classes()).net, splits);
  const std::vector<Target> targets = parse_targets(config.target, graph);
  MixPrecOptions options = mix_prec_options(config, targets);
  if (config.method == "uniform") check_uniform(graph, options, targets);
  if (config.method == "sensitivity") options.w_mixprec_type = MixPrecType::PER_LAYER;
  place_quantizers(graph, options);
  calibrate(graph, options);
  std::string obstacle = integer_obstacle(graph);
  if (config.method == "uniform") return obstacle;  // candidates without a cost are passed over
  const Thetas thetas = graph.softmax_thetas();
  for (const Target& t : targets) cost::soft(graph, t.model, thetas);  // throws where a candidate has no cost
  if (targets.empty()) {
    const cost::Model regularizer = cost::find(cost_to_lower(config));
    cost::soft(graph, regularizer, thetas);
    if (!config.strength) default_strength(graph, regularizer);  // throws where none follows
  }
  check_reachable(graph, targets);
  return obstacle;
}

/// What a run has read before its search: the float network and what is wanted of its discrete form.
struct Start {
  const RunConfig& config;
  const data::Splits& splits;
  const Communicator* communicator;
  const Graph& floating;
  std::vector<Target> targets;
  std::function<void(const std::string&)> note;  ///< tells the user of the run, and its result
};

/// The weight of the cost in the loss of a search: none with targets, nor for baselines.
double strength_of(const Start& start) {
  const RunConfig& config = start.config;
  if (config.method != "dnas" || !start.targets.empty()) return 0;
  return config.strength.value_or(default_strength(start.floating, cost::find(cost_to_lower(config))));
}

/// What the networks that meet the targets are compared by.
Judge judge(const data::Splits& splits) {
  return {.quality = [&](const Graph& g) { return train::evaluate(g, splits.validation).quality(); },
          .loss = [&](const Graph& g) { return train::evaluate(g, splits.train, sensitivity_images).mean_loss(); }};
}

/// A network, and where there are targets how it met them.
struct Found {
  Graph network;
  std::optional<Repair> repair = {};

  static Found met(MetTargets m) { return {.network = std::move(m.network), .repair = std::move(m.repair)}; }
};

/// The network that the search, or a baseline in its place, finds.
Found found_by_method(const Start& start, train::Observer& observer, train::Checkpoints& checkpoints) {
  const RunConfig& config = start.config;
  MixPrecOptions options = mix_prec_options(config, start.targets);
  options.calibration = train::calibration_batches(start.splits.train, config.batch_size, config.seed);
  options.input_range = start.splits.train.known_range();
  options.on_note = start.note;
  const Judge compared = judge(start.splits);
  if (config.method == "uniform")
    return Found::met(uniform_baseline(start.floating, options, start.targets, compared.quality));
  if (config.method == "random")
    return Found::met(random_baseline(start.floating, options, start.targets, config.seed));
  if (config.method == "sensitivity")
    return Found::met(sensitivity_baseline(start.floating, options, start.targets, compared.loss));
  MixPrec net(start.floating, options);
  check_reachable(net.graph(), start.targets);
  train::SearchSchedule schedule = search_schedule(config, start.splits, start.communicator, start.targets);
  schedule.strength = strength_of(start);
  train::search(net, start.splits, schedule, observer, &checkpoints);
  if (start.targets.empty()) return {.network = net.arch_export({.refine = config.refine})};
  return Found::met(exported(meet_targets(net.graph(), start.targets, compared)));
}

/// The same, or what it gave before the run was resumed; what it had to tell is told either way.
Found found(const Start& start, train::Observer& observer, train::Checkpoints& checkpoints) {
  constexpr const char *notes_key = "notes", *repair_key = "repair";  // notes: one a line
  if (checkpoints.finished("search")) {
    io::Safetensors before = checkpoints.result("search");
    std::istringstream lines(before.metadata[notes_key]);
    for (std::string line; std::getline(lines, line);) start.note(line);
    const auto repair = before.metadata.find(repair_key);
    const bool told = repair != before.metadata.end();
    Graph network = graph_from(before);
    network.task = start.floating.task;  // which a checkpoint written before tasks had names does not say
    return {.network = std::move(network),
            .repair = told ? std::optional(repair_from_json(repair->second)) : std::nullopt};
  }
  std::string notes;
  Start noted = start;
  noted.note = [&](const std::string& text) {
    start.note(text);
    notes += text + '\n';
  };
  Found out = found_by_method(noted, observer, checkpoints);
  io::Safetensors kept = to_safetensors(out.network);
  kept.metadata[notes_key] = valid_utf8(notes);
  if (out.repair) kept.metadata[repair_key] = to_json(*out.repair);
  checkpoints.finish("search", kept);
  return out;
}

/// Baselines spend the search's epochs on fine-tuning: every method trains equally long.
int finetune_epochs(const RunConfig& config) {
  return config.finetune_epochs + (config.method == "dnas" ? 0 : config.search_epochs);
}

struct WarmedUp {
  std::unique_ptr<nn::Module> net;
  bool kept_start = false;
};

/// The float network: read from a file, or trained from the seed. One made elsewhere is trained further only on wish.
WarmedUp warmed_up(const RunConfig& config, const data::Splits& splits, const Communicator* communicator,
                   train::Observer& observer, train::Checkpoints& checkpoints, bool train_further = false) {
  models::Model model = make_model(config, splits.train.classes());
  State weights;
  for (const nn::NamedTensor& t : nn::state_of(*model.net)) weights.add(t.name, t.tensor);
  if (checkpoints.finished("warmup")) {
    weights.restore(checkpoints.result("warmup"));
    return {.net = std::move(model.net)};
  }
  bool kept_start = false;
  if (!model.trained) nn::initialize(*model.net, Rng(config.seed, "init"));
  if (!config.init.empty()) {
    nn::load_state(*model.net, config.init);
  } else if (!model.trained || train_further) {
    train::Schedule warmup = schedule(config, splits, communicator, config.warmup_epochs, config.lr);
    warmup.start_counts = model.trained;
    kept_start = train::warm_up(*model.net, splits, warmup, observer, &checkpoints);
  }
  checkpoints.finish("warmup", weights.content());
  return {.net = std::move(model.net), .kept_start = kept_start};
}

/// The file that the float network's weights are from, if it is not trained here.
std::string weights_file(const RunConfig& config) {
  if (!config.init.empty()) return config.init;
  return config.model.ends_with(".onnx") ? config.model : "";
}

/// What to tell of a float network that is hardly better than a constant.
std::string near_chance(const RunConfig& config, const train::Score& score) {
  return fmt::format(
      "the float network's {} of {} on the test images is hardly better than chance, so bit-widths found from it mean "
      "nothing: {}",
      score.metric.name, fmt::format(fmt::runtime(score.metric.is_share ? "{:.4f}" : "{:.4g}"), score.value()),
      !weights_file(config).empty()
          ? "were the images it was trained on normalized (--normalize), or its classes in another order?"
          : "train it first (--warmup-epochs, --lr, --init)");
}

/// What to tell of channels whose weights are too small to set their steps; empty without any.
std::string small_weights(const Graph& discrete) {
  std::vector<std::string> counts;
  for (const Node& node : discrete.nodes) {
    const int64_t channels = discrete.channels_set_by_bias(node);
    if (channels > 0) counts.push_back(fmt::format("{} of {}", channels, node.name));
  }
  if (counts.empty()) return "";
  return fmt::format(
      "channels whose weights are so small that their biases set the step, and what they give is all but "
      "constant: {}",
      fmt::join(counts, ", "));
}

std::vector<CostReport> costs(const Graph& found, const Graph& floating) {
  std::vector<CostReport> out;
  for (const cost::Model& model : cost::all()) {
    const auto cost_found = cost::if_defined([&] { return cost::discrete(found, model); });
    if (!cost_found) continue;
    out.push_back({.name = model.name,
                   .unit = model.unit,
                   .found = *cost_found,
                   .uniform8 = cost::if_defined([&] { return cost::uniform(floating, model, 8); }),
                   .floating = cost::if_defined([&] { return cost::discrete(floating, model); })});
  }
  return out;
}

}  // namespace

void check_possible(std::span<const RunConfig> runs) {
  const data::Splits splits = load_data(runs[0]);
  for (const RunConfig& run : runs) check_wishes(run, splits);
}

FloatResult run_warm_up(const RunConfig& config, train::Observer& observer, train::Checkpoints* kept) {
  config.validate();
  const train::Threads threads(config.threads);
  const data::Splits splits = load_data(config);
  train::Checkpoints none;
  train::Checkpoints& checkpoints = kept != nullptr ? *kept : none;
  checkpoints.needs("data", data::checksum(splits));
  for (const std::string& note : splits.notes) observer.on_note(note);
  WarmedUp warm = warmed_up(config, splits, nullptr, observer, checkpoints, true);
  FloatResult result{.net = std::move(warm.net),
                     .normalize = to_string(image_normalization(config, splits.train.channels)),
                     .task = run_task(config, splits.train).name,
                     .test = {},
                     .kept_start = warm.kept_start};
  result.interrupted = observer.stop();
  const bool untrained = result.kept_start || config.warmup_epochs == 0;
  result.test =
      test_score("warmup", float_graph(config, *result.net, splits), splits, untrained ? weights_file(config) : "");
  return result;
}

RunResult run_search(const RunConfig& config, train::Observer& observer, train::Checkpoints* kept,
                     const Communicator* communicator) {
  config.validate();
  const train::Threads threads(config.threads);
  const Stopwatch total;
  const data::Splits splits = load_data(config);
  const std::string obstacle = check_wishes(config, splits);
  train::Checkpoints none;
  train::Checkpoints& checkpoints = kept != nullptr ? *kept : none;
  checkpoints.needs("data", data::checksum(splits));
  RunResult result;
  const auto note = [&](const std::string& text) {
    observer.on_note(text);
    result.notes.push_back(text);
  };
  for (const std::string& text : splits.notes) note(text);
  if (!obstacle.empty())
    note(fmt::format("the network found will run in simulation only, without C package or ONNX file: {}", obstacle));
  result.threads = train::threads();
  result.test_images = splits.test.size();

  const Stopwatch warmup;
  const auto net_float = warmed_up(config, splits, communicator, observer, checkpoints).net;
  const Graph floating = float_graph(config, *net_float, splits);
  result.floating = test_score("warmup", floating, splits, weights_file(config));
  const double chance = run_task(config, splits.train).chance(splits.test);
  if (train::is_near_chance(result.floating, chance)) note(near_chance(config, result.floating));
  result.seconds.warmup = warmup.seconds();

  const Stopwatch search;
  const Start start{.config = config,
                    .splits = splits,
                    .communicator = communicator,
                    .floating = floating,
                    .targets = parse_targets(config.target, floating),
                    .note = note};
  result.strength = strength_of(start);
  Found network = found(start, observer, checkpoints);
  result.network = std::move(network.network);
  result.repair = std::move(network.repair);
  if (const std::string text = small_weights(result.network); !text.empty()) note(text);
  result.searched = test_score("search", result.network, splits);
  result.seconds.search = search.seconds();

  const Stopwatch finetune;
  const cost::Model watched = start.targets.empty() ? cost::find(cost_to_lower(config)) : start.targets[0].model;
  const train::Schedule finetuning =
      schedule(config, splits, communicator, finetune_epochs(config), config.lr * finetune_lr_share);
  result.kept_start = train::fine_tune(result.network, splits, finetuning, watched, observer, &checkpoints);
  result.interrupted = train::stops(observer, communicator);
  result.final = test_score("finetune", result.network, splits);
  result.seconds.finetune = finetune.seconds();

  result.layers = summarize(result.network, floating);
  result.costs = costs(result.network, floating);
  for (const Target& t : start.targets) {
    result.targets.push_back({t.model.name, t.model.unit, t.limit, cost::discrete(result.network, t.model)});
  }
  result.seconds.total = total.seconds();
  return result;
}

}  // namespace mixgrad
