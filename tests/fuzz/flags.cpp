// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <mixgrad/ops.h>
#include <mixgrad/search.h>

namespace {

struct Net : mixgrad::nn::Module {
  mixgrad::nn::Linear fc{{.in_features = 2, .out_features = 2}};
  Net() { add_module("fc", fc); }
  mixgrad::Tensor forward(const mixgrad::Tensor& x) override { return fc(mixgrad::flatten(x)); }
};

}  // namespace

/// The two small languages of the command line, --override and --target, one line each.
void mixgrad::fuzz::read_flags(const Folder&, std::string_view bytes) {
  const size_t line = bytes.find('\n');
  Net net;
  const Graph graph = simplified(net, {2, 1, 1});
  MixPrecOptions options;
  options.overrides = parse_overrides(std::string(bytes.substr(0, line)));
  check_names(graph, options);
  if (line != bytes.npos) parse_targets(std::string(bytes.substr(line + 1)), graph);
}
