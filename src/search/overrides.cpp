// SPDX-License-Identifier: Apache-2.0
// What the user wants different for some layers.
#include <mixgrad/error.h>
#include <mixgrad/search.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include <fnmatch.h>

namespace mixgrad {
namespace {

bool fits(const std::string& pattern, const std::string& name) { return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0; }

[[noreturn]] void not_an_override(const std::string& part) {
  bad_input("override: '{}' is not of the form LAYER=8, LAYER=2,4/8 (weight bits/output bits) or LAYER=float", part);
}

std::vector<int> parse_bits(const std::string& list, const std::string& part) {
  std::vector<int> bits;
  const char* at = list.data();
  const char* end = at + list.size();
  while (true) {
    const auto [next, error] = std::from_chars(at, end, bits.emplace_back());
    if (error != std::errc() || (next != end && *next != ',')) not_an_override(part);
    if (next == end) return bits;
    at = next + 1;
  }
}

LayerOverride parse_override(const std::string& part) {
  const auto equals = part.find('=');
  if (equals == 0 || equals == std::string::npos) not_an_override(part);
  LayerOverride out{.name = part.substr(0, equals)};
  const std::string value = part.substr(equals + 1);
  if (value == "float") {
    out.exclude = true;
    return out;
  }
  const auto slash = value.find('/');
  const std::string weights = value.substr(0, slash);
  if (!weights.empty()) out.weight_precisions = quant::checked_precisions("override", parse_bits(weights, part), 0);
  if (slash != std::string::npos) {
    out.activation_precisions = quant::checked_precisions("override", parse_bits(value.substr(slash + 1), part), 2);
  }
  if (weights.empty() && slash == std::string::npos) not_an_override(part);
  return out;
}

}  // namespace

std::vector<LayerOverride> parse_overrides(const std::string& text) {
  std::vector<LayerOverride> out;
  std::istringstream parts(text);
  for (std::string part; parts >> part;) out.push_back(parse_override(part));
  return out;
}

const LayerOverride* override_of(const MixPrecOptions& options, const std::string& name) {
  const auto found = std::ranges::find_if(options.overrides, [&](const LayerOverride& o) { return fits(o.name, name); });
  return found == options.overrides.end() ? nullptr : &*found;
}

void check_names(const Graph& graph, const MixPrecOptions& options) {
  for (const std::string& name : options.exclude_names) {
    const auto named = [&](const Node& n) { return n.is_layer() && n.name == name; };
    if (std::ranges::none_of(graph.nodes, named)) bad_input("exclude_names: the network has no layer '{}'", name);
  }
  for (const LayerOverride& o : options.overrides) {
    const bool weights = o.exclude || !o.weight_precisions.empty();
    const auto named = [&](const Node& n) { return (n.is_layer() || (!weights && n.op == "add")) && fits(o.name, n.name); };
    if (std::ranges::none_of(graph.nodes, named)) bad_input("override: the network has no layer '{}'", o.name);
  }
}

}  // namespace mixgrad
