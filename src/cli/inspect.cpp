// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "json.h"
#include "options.h"

#include <mixgrad/error.h>
#include <mixgrad/inspect.h>
#include <mixgrad/io.h>

#include <fmt/core.h>

#include <cstdio>
#include <memory>

namespace mixgrad::cli {
namespace {

/// What all inspect commands share: printing.
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
  o.add(run_setting("scheme"), c);
  o.add(run_setting("weight-bits"), c, "candidates for weights");
  o.add(run_setting("act-bits"), c, "candidates for activations");
  o.add(run_setting("input-bits"), c);
  o.add(run_setting("override"), c, "different bits for some layers, as for search");
}

void run(Network& n) {
  n.apply_options();
  check_form("model", n.config.model, run_setting("model").form + "|why|tape");  // mistyped commands end up here, too
  if (n.classes < 1) bad_input("classes: {} is not possible: expected at least 1", n.classes);
  const inspect::GraphView view = inspect::view(inspect::network(n.config, n.classes, n.traced));
  if (!n.dot.empty()) io::write_file(n.dot, inspect::dot(view));
  n.print(view);
}

void run(Why& w) {
  w.apply_options();
  if (w.run.empty())
    bad_input("inspect why: folder missing: expected mixgrad inspect why DIR LAYER with the folder of a search");
  if (!w.layer.empty()) return w.print(inspect::why(w.run, w.layer));
  const std::vector<std::string> layers = inspect::searched_layers(w.run);
  if (w.json) return print_json({{"layers", layers}});
  for (const std::string& layer : layers) fmt::print("{}\n", layer);
}

void run(Step& s) {
  s.apply_options();
  const inspect::TapeView view = inspect::tape(s.config, s.step);
  if (!s.dot.empty()) io::write_file(s.dot, inspect::dot(view));
  s.print(view);
}

void add_why(CLI::App& inspect) {
  CLI::App* command = inspect.add_subcommand(
      "why", "show what drove one layer's bit-widths during a search: the task and the cost, epoch by epoch");
  const auto w = std::make_shared<Why>(*command);
  command->add_option("DIR", w->run, "folder of a search, finished or running")->type_name("");
  command->add_option("LAYER", w->layer, "name of a layer; without one, prints the names")->type_name("");
  w->options.add("json", &w->json, "print one JSON object");
  show_examples(*command, {"mixgrad inspect why RUN", "mixgrad inspect why RUN stack1.conv2"});
  command->callback([w] { run(*w); });
}

void add_tape(CLI::App& inspect) {
  CLI::App* command =
      inspect.add_subcommand("tape", "show one training step op by op: shapes, values, gradients, times");
  const auto s = std::make_shared<Step>(*command);
  Options& o = s->options;
  RunConfig& c = s->config;
  o.add(run_setting("model"), c, "network");
  o.add(run_setting("input-shape"), c);
  o.add(run_setting("input-scale"), c);
  o.add(run_setting("normalize"), c);
  o.add(run_setting("data"), c, "images for the step");
  o.add_reading(c);
  o.add(run_setting("loss"), c, "task [from --init, the model or the data]");
  o.add(run_setting("init"), c, "weights (float.safetensors of mixgrad train) [random, from the seed]");
  o.add("phase", &s->step.phase, "kind of step; float: of the warm-up");
  o.add("images", &s->step.images, "size of the micro-batch");
  o.add(run_setting("method"), c, "search whose step it is: fisher or dnas");
  add_quantizer_options(o, c);
  o.add(run_setting("regularizer"), c, "dnas: cost in the loss [size]");
  o.add(run_setting("strength"), c);
  o.add(run_setting("dtype"), c, "type of activations between layers in steps of search and fine-tuning");
  o.add(run_setting("seed"), c);
  o.add(run_setting("threads"), c);
  o.add("json", &s->json, "print one JSON object");
  o.add("dot", &s->dot, "also write it to this file as a Graphviz drawing", file_form);
  show_examples(*command, {"mixgrad inspect tape --images 8", "mixgrad inspect tape --phase float --dot step.dot"});
  command->callback([s] { run(*s); });
}

}  // namespace

void add_inspect(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "inspect", "show a network's nodes and shared quantizers, what drove a search, or a training step op by op");
  const auto n = std::make_shared<Network>(*command);
  Options& o = n->options;
  const Setting& model = run_setting("model");
  command->add_option("MODEL", n->config.model, "network")->type_name(model.form);
  o.add(model, n->config, "the same as MODEL");
  o.add(run_setting("input-shape"), n->config);
  o.add(run_setting("input-scale"), n->config);
  o.add(run_setting("normalize"), n->config);
  add_quantizer_options(o, n->config);
  o.add(run_setting("quantize-output"), n->config, "quantize the network's output too");
  o.add("classes", &n->classes, "number of classes");
  o.add("traced", &n->traced, "show the graph as traced, before batch norms are folded and quantizers placed");
  o.add("json", &n->json, "print one JSON object");
  o.add("dot", &n->dot, "also write it to this file as a Graphviz drawing", file_form);
  show_examples(*command, {"mixgrad inspect resnet8", "mixgrad inspect resnet8 --weight-bits 0,2,4,8 --dot net.dot"});
  add_why(*command);
  add_tape(*command);
  command->callback([command, n] {
    if (command->get_subcommands().empty()) run(*n);
  });
}

}  // namespace mixgrad::cli
