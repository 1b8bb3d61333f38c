// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "settings.h"

#include <mixgrad/error.h>
#include <mixgrad/inspect.h>
#include <mixgrad/io.h>

#include <fmt/core.h>

#include <cstdio>
#include <memory>

namespace mixgrad::cli {
namespace {

/// What the forms of inspect share: how to print.
struct Inspect {
  explicit Inspect(CLI::App& command) : options(command) {}

  Options options;
  RunConfig config;
  std::string dot;
  bool json = false;

  void apply_options() {
    options.apply();
    if (!dot.empty()) io::check_file(dot);
  }

  template <typename View>
  void print(const View& view) const {
    std::fputs((json ? inspect::json(view) : inspect::text(view)).c_str(), stdout);
  }
};

struct Network : Inspect {
  using Inspect::Inspect;
  int64_t classes = 10;
  bool traced = false;
};

struct Why : Inspect {
  using Inspect::Inspect;
  std::string run, layer;
};

struct Step : Inspect {
  using Inspect::Inspect;
  inspect::TapeOptions step;
};

void add_quantizer_options(Options& o, RunConfig& c) {
  o.add("scheme", &c.scheme, "what a weight's bits are chosen for", scheme_form);
  o.add("weight-bits", &c.weight_bits, "candidates for weights");
  o.add("act-bits", &c.act_bits, "candidates for activations");
  o.add("input-bits", &c.input_bits, "candidates for the network's input");
  o.add("override", &c.override_layers, "other bits for some layers, as search takes them");
}

void run(Network& n) {
  n.apply_options();
  check_form("model", n.config.model, model_form() + "|why|tape");  // a mistyped command comes here too
  if (n.classes < 1) bad_input("classes: {} is not possible: expected at least 1", n.classes);
  const inspect::GraphView view = inspect::view(inspect::network(n.config, n.classes, n.traced));
  if (!n.dot.empty()) io::write_file(n.dot, inspect::dot(view));
  n.print(view);
}

void run(Why& w) {
  w.apply_options();
  if (w.run.empty() || w.layer.empty())
    bad_input("inspect why: expected mixgrad inspect why DIR LAYER, DIR being what search writes to");
  w.print(inspect::why(w.run, w.layer));
}

void run(Step& s) {
  s.apply_options();
  const inspect::TapeView view = inspect::tape(s.config, s.step);
  if (!s.dot.empty()) io::write_file(s.dot, inspect::dot(view));
  s.print(view);
}

void add_why(CLI::App& inspect) {
  CLI::App* command = inspect.add_subcommand(
      "why", "what pulled at one layer's bit-widths during a search: the task and the cost, epoch by epoch");
  const auto w = std::make_shared<Why>(*command);
  command->add_option("DIR", w->run, "folder of a search, finished or running")->type_name("");
  command->add_option("LAYER", w->layer, "name of a layer")->type_name("");
  w->options.add("json", &w->json, "print one JSON object");
  show_examples(*command, {"mixgrad inspect why RUN stack1.conv2"});
  command->callback([w] { run(*w); });
}

void add_tape(CLI::App& inspect) {
  CLI::App* command = inspect.add_subcommand("tape", "one training step op by op: shapes, values, gradients, times");
  const auto s = std::make_shared<Step>(*command);
  Options& o = s->options;
  o.add("model", &s->config.model, "network", model_form());
  o.add("data", &s->config.data, "images for the step", data_form());
  o.add("loss", &s->config.loss, "what to train for [as --init, the model or the data say]", loss_form());
  o.add("init", &s->config.init, "weights (float.safetensors of mixgrad train) [drawn from the seed]", file_form);
  o.add("phase", &s->step.phase, "float: the warm-up", phase_form);
  o.add("images", &s->step.images, "size of the micro-batch");
  add_quantizer_options(o, s->config);
  o.add("regularizer", &s->config.regularizer, "cost in the loss [size]", regularizer_form());
  o.add("strength", &s->config.strength, "weight of the cost in the loss [0.6 / cost of the uniform 8-bit network]");
  o.add("dtype", &s->config.dtype, "how the search step keeps activations between layers", dtype_form);
  o.add("seed", &s->config.seed, "of everything random");
  o.add("threads", &s->config.threads, "0 for all cores");
  o.add("json", &s->json, "print one JSON object");
  o.add("dot", &s->dot, "also draw it into this file, for Graphviz", file_form);
  show_examples(*command, {"mixgrad inspect tape --images 8", "mixgrad inspect tape --phase float --dot step.dot"});
  command->callback([s] { run(*s); });
}

}  // namespace

void add_inspect(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "inspect", "show a network's nodes and which of them share a quantizer; a search's reasons; a step op by op");
  const auto n = std::make_shared<Network>(*command);
  Options& o = n->options;
  command->add_option("MODEL", n->config.model, "network")->type_name(model_form());
  o.add("model", &n->config.model, "the same", model_form());
  o.add("input-shape", &n->config.input_shape,
        "of the images, for a model's file that leaves height or width open [as the file says]", "C,H,W");
  add_quantizer_options(o, n->config);
  o.add("quantize-output", &n->config.quantize_output, "a quantizer on the network's output too");
  o.add("classes", &n->classes, "that the network tells apart");
  o.add("traced", &n->traced, "as traced, before batch norms are folded and quantizers placed");
  o.add("json", &n->json, "print one JSON object");
  o.add("dot", &n->dot, "also draw it into this file, for Graphviz", file_form);
  show_examples(*command, {"mixgrad inspect resnet8", "mixgrad inspect resnet8 --weight-bits 0,2,4,8 --dot net.dot"});
  add_why(*command);
  add_tape(*command);
  command->callback([command, n] {
    if (command->get_subcommands().empty()) run(*n);
  });
}

}  // namespace mixgrad::cli
