// SPDX-License-Identifier: Apache-2.0
// Records a training step op by op.
#include "dot.h"

#include <mixgrad/error.h>
#include <mixgrad/fisher.h>
#include <mixgrad/inspect.h>
#include <mixgrad/models.h>
#include <mixgrad/ops.h>

#include <src/internal/json.h>
#include <src/internal/by_dtype.h>
#include <src/internal/text.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

namespace mixgrad::inspect {
namespace {

using nlohmann::ordered_json;
using report::listed;
using report::shortened;

Values values_of(const Tensor& t) {
  Values out{.shape = t.shape(), .largest_gradient = {}};
  by_dtype(t.dtype(), [&]<typename T>() {
    out.lowest = std::numeric_limits<double>::infinity();
    out.highest = -out.lowest;
    for (const T value : t.data<T>()) {
      const auto v = static_cast<float>(value);
      if (std::isnan(v) || std::isnan(out.lowest)) {
        out.lowest = out.highest = std::numeric_limits<double>::quiet_NaN();
      } else {
        out.lowest = std::min<double>(out.lowest, v);
        out.highest = std::max<double>(out.highest, v);
      }
    }
  });
  return out;
}

std::optional<double> largest_gradient(const Tensor& t) {
  if (!t.has_grad()) return std::nullopt;
  double largest = 0;
  by_dtype(t.dtype(), [&]<typename T>() {
    for (const T g : t.grad<T>()) {
      const double magnitude = std::abs(static_cast<float>(g));
      if (!(magnitude <= largest)) largest = magnitude;  // keeps NaN
    }
  });
  return largest;
}

const void* memory_of(const Tensor& t) {
  return t.dtype() == DType::float32 ? static_cast<const void*>(t.data().data()) : t.data<bfloat16>().data();
}

/// Records a step. Tensors are identified by their memory, which a micro-batch's leaves share with the originals.
class StepRecorder : public TapeObserver {
 public:
  explicit StepRecorder(const std::vector<nn::NamedTensor>& leaves) {
    for (const nn::NamedTensor& leaf : leaves) {
      if (names_.try_emplace(memory_of(leaf.tensor), leaf.name).second) leaves_.push_back(leaf);
    }
    lap();
  }

  void recorded(const Record& r) override {
    TapeOp op{.op = r.op, .node = r.module, .from = {}, .shapes = {}, .output = values_of(r.output)};
    op.forward_ms = lap();
    for (const Tensor& input : r.inputs) {
      if (!input) continue;
      const auto known = names_.find(memory_of(input));
      op.from.push_back(known == names_.end() ? "constant" : known->second);
      op.shapes.push_back(input.shape());
    }
    index_[r.output.id()] = ops_.size();
    names_[memory_of(r.output)] = fmt::format("%{}", ops_.size());
    ops_.push_back(std::move(op));
    outputs_.push_back(r.output);
    lap();
  }

  void played(const Record& r) override {
    TapeOp& op = ops_[index_.at(r.output.id())];
    op.backward_ms = lap();
    op.output.largest_gradient = largest_gradient(r.output);
    lap();
  }

  TapeView view(const train::StepResult& result) const {
    TapeView out{
        .leaves = {}, .ops = ops_, .task_loss = result.task.mean_loss(), .regularization = result.regularization};
    for (const nn::NamedTensor& leaf : leaves_) {
      const auto reads = [&](const TapeOp& op) { return std::ranges::find(op.from, leaf.name) != op.from.end(); };
      if (std::ranges::none_of(ops_, reads)) continue;
      out.leaves.push_back({leaf.name, values_of(leaf.tensor)});
      out.leaves.back().values.largest_gradient = largest_gradient(leaf.tensor);
    }
    return out;
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// Milliseconds since the last call.
  double lap() {
    const auto before = std::exchange(time_, Clock::now());
    return std::chrono::duration<double, std::milli>(time_ - before).count();
  }

  std::vector<nn::NamedTensor> leaves_;
  std::vector<TapeOp> ops_;
  std::vector<Tensor> outputs_;               // kept, so that their memory is not reused under another name
  std::map<const void*, std::string> names_;  // by memory
  std::map<const void*, size_t> index_;       // of ops, by tensor
  Clock::time_point time_;
};

data::Batch first_images(const data::Splits& splits, int64_t images) {
  data::Loader loader(splits.train, {.batch_size = images});
  loader.start(0);
  return loader.batch(0);
}

/// Records the second of two equal steps: the first fills the caches of convolutions, so that times are typical.
template <typename Step>
TapeView recorded(const std::vector<nn::NamedTensor>& leaves, const Step& step) {
  step(nullptr);
  for (const nn::NamedTensor& leaf : leaves) leaf.tensor.zero_grad();
  StepRecorder recorder(leaves);
  const train::StepResult result = step(&recorder);
  return recorder.view(result);
}

TapeView float_step(nn::Module& net, const data::Batch& batch, const train::Task& task) {
  std::vector<nn::NamedTensor> leaves = net.named_parameters();
  std::ranges::copy(net.named_buffers(), std::back_inserter(leaves));
  leaves.push_back({"images", batch.x});
  net.train();
  return recorded(leaves, [&](TapeObserver* observer) { return train::step(net, batch, observer, &task); });
}

/// `leaves`: what the step reads besides the graph's parameters and the images.
TapeView graph_step(const Graph& graph, const data::Batch& batch, const train::StepOptions& step,
                    std::vector<nn::NamedTensor> leaves = {}) {
  for (const Parameter& p : graph.parameters()) {
    if (p.role != Role::clip) leaves.push_back(p);
  }
  for (const Node& node : graph.nodes) {  // clips that are not learned too
    if (node.output_slot) leaves.push_back({node.name + ".clip", node.output_slot->clip});
  }
  leaves.push_back({"images", batch.x});
  return recorded(leaves, [&](TapeObserver* observer) {
    train::StepOptions observed = step;
    observed.observer = observer;
    return train::step(graph, batch, observed);
  });
}

/// The first step of a search that measures α: θ is one-hot, and its gradients are what is measured.
TapeView measured_step(MixPrec& net, const data::Batch& batch, train::StepOptions step) {
  FisherSearch search(net, {}, /*strength=*/0, batch.size());
  const Thetas thetas = search.thetas();
  step.sample = [&] { return thetas; };
  std::vector<nn::NamedTensor> leaves;
  const auto add_leaf = [&](const std::string& name, const void* slot) {
    const auto theta = thetas.find(slot);
    if (theta != thetas.end() && theta->second.dim(0) > 1) leaves.push_back({name, theta->second});
  };
  for (const Node& node : net.graph().nodes) {
    add_leaf(node.name + ".theta_w", node.weight_slot.get());
    add_leaf(node.name + ".theta_x", node.output_slot.get());
  }
  return graph_step(net.graph(), batch, step, leaves);
}

/// The first step of a search that trains α.
TapeView learned_step(MixPrec& net, const data::Batch& batch, train::StepOptions step, double strength) {
  step.sample = [&] { return net.sample(); };
  step.regularization = [&](const Thetas& t) { return scale(net.get_regularization_loss(t), strength); };
  return graph_step(net.graph(), batch, step);
}

/// A step of the search, or of fine-tuning the network that a search would find without training.
TapeView quantized_step(const RunConfig& config, const Graph& floating, const data::Splits& splits,
                        const data::Batch& batch, StepKind phase) {
  MixPrecOptions options = mix_prec_options(config);
  options.calibration = train::calibration_batches(splits.train, config.batch_size, config.seed);
  options.input_range = splits.train.known_range();
  MixPrec net(floating, options);
  const train::Task task = task_for_search(config, floating, splits.train);
  train::StepOptions step{.dtype = dtype_of(config.dtype), .micro_batch = batch.size(), .task = &task};
  if (phase == StepKind::fine_tune) return graph_step(net.arch_export(), batch, step);
  if (config.method == Method::fisher) return measured_step(net, batch, step);
  return learned_step(net, batch, step, config.strength.value_or(default_strength(floating, net.regularizer())));
}

std::string dims(const Shape& shape) {
  return shape.rank() == 0 ? "1" : fmt::format("{}", fmt::join(shape.dims(), "x"));
}

std::string gradient_cell(const std::optional<double>& g) { return g ? fmt::format("{:.3g}", *g) : "."; }

std::string ms(double value) { return fmt::format("{:.{}f}", value, value < 999 ? 2 : 0); }

std::string cells(const Values& v) {
  return fmt::format("{:<14} {:>9.3g} {:>9.3g} {:>9}", dims(v.shape), v.lowest, v.highest,
                     gradient_cell(v.largest_gradient));
}

ordered_json to_json(const Shape& shape) { return std::vector<int64_t>(shape.dims().begin(), shape.dims().end()); }

ordered_json to_json(const Values& v) {
  return {{"shape", to_json(v.shape)},
          {"lowest", v.lowest},
          {"highest", v.highest},
          {"largest_gradient", v.largest_gradient ? ordered_json(*v.largest_gradient) : ordered_json(nullptr)}};
}

std::string label(const std::string& title, const Values& v) {
  return fmt::format("{}\n{}\n{:.3g} .. {:.3g}\nmax |gradient| {}", title, dims(v.shape), v.lowest, v.highest,
                     gradient_cell(v.largest_gradient));
}

}  // namespace

TapeView tape(const RunConfig& config, const TapeOptions& options) {
  config.validate();
  if (options.images < 1) bad_input("images: {}: expected at least 1", options.images);
  if (options.phase == StepKind::search && !is_search(config.method))
    bad_input("method: {} does not search: expected fisher or dnas", name_of(config.method));
  const train::Threads threads(config.threads);
  const data::Splits splits = load_data(config);
  const models::Model model = make_model(config, splits.train);
  if (!model.trained) nn::initialize(*model.net, Rng(config.seed, "init"));
  if (!config.init.empty()) nn::load_state(*model.net, config.init);
  const data::Batch batch = first_images(splits, options.images);
  if (options.phase == StepKind::warm_up) return float_step(*model.net, batch, run_task(config, splits.train));
  return quantized_step(config, simplified(*model.net, splits.train.image_shape()), splits, batch, options.phase);
}

std::string text(const TapeView& view) {
  const std::string head = fmt::format("{:<14} {:>9} {:>9} {:>9}", "shape", "lowest", "highest", "max|grad|");
  std::string out = fmt::format("{:<41} {}\n", "leaf", head);
  for (const Leaf& leaf : view.leaves) {
    out += fmt::format("{:<41} {}\n", shortened(leaf.name, 41), cells(leaf.values));
  }
  out += fmt::format("\n{:>4} {:<18} {:<17} {} {:>6} {:>6}\n", "", "op", "node", head, "ms", "back");
  for (size_t i = 0; i < view.ops.size(); ++i) {
    const TapeOp& op = view.ops[i];
    out += fmt::format("{:>4} {:<18} {:<17} {} {:>6} {:>6}\n", fmt::format("%{}", i), op.op, shortened(op.node, 17),
                       cells(op.output), ms(op.forward_ms), op.output.largest_gradient ? ms(op.backward_ms) : ".");
    std::vector<std::string> from;
    for (size_t k = 0; k < op.from.size(); ++k) from.push_back(fmt::format("{} {}", op.from[k], dims(op.shapes[k])));
    out += fmt::format("{:>4} from {}\n", "", listed(from, 10));
  }
  return out + fmt::format("\ntask loss {:.4g}, regularization {:.4g}\n", view.task_loss, view.regularization);
}

std::string json(const TapeView& view) {
  ordered_json leaves = ordered_json::array(), ops = ordered_json::array();
  for (const Leaf& leaf : view.leaves) {
    leaves.push_back({{"name", leaf.name}});
    leaves.back().update(to_json(leaf.values));
  }
  for (const TapeOp& op : view.ops) {
    ordered_json from = ordered_json::array();
    for (size_t k = 0; k < op.from.size(); ++k)
      from.push_back({{"name", op.from[k]}, {"shape", to_json(op.shapes[k])}});
    ops.push_back({{"id", fmt::format("%{}", ops.size())}, {"op", op.op}, {"node", op.node}, {"from", from}});
    ops.back().update(to_json(op.output));
    ops.back().update({{"forward_ms", op.forward_ms}, {"backward_ms", op.backward_ms}});
  }
  const ordered_json all = {
      {"task_loss", view.task_loss}, {"regularization", view.regularization}, {"leaves", leaves}, {"ops", ops}};
  return json_text(all) + "\n";
}

std::string dot(const TapeView& view) {
  std::string body;
  for (const Leaf& leaf : view.leaves) {
    body += fmt::format("  {} [label={}, shape=ellipse, fillcolor=\"#e8e8e8\"]\n", quoted(leaf.name),
                        quoted(label(leaf.name, leaf.values)));
  }
  std::map<std::string, std::string> clusters;  // by node, so that a layer's ops are drawn together
  for (size_t i = 0; i < view.ops.size(); ++i) {
    const TapeOp& op = view.ops[i];
    const std::string id = fmt::format("%{}", i);
    clusters[op.node] += fmt::format("  {} [label={}]\n", quoted(id), quoted(label(id + " " + op.op, op.output)));
    for (const std::string& from : op.from) {
      if (from != "constant") body += fmt::format("  {} -> {}\n", quoted(from), quoted(id));
    }
  }
  int count = 0;
  for (const auto& [node, ops] : clusters) {
    body +=
        node.empty() ? ops : fmt::format("  subgraph cluster_{} {{\n  label={}\n{}  }}\n", count++, quoted(node), ops);
  }
  return digraph(body);
}

}  // namespace mixgrad::inspect
