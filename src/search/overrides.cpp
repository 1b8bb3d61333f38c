// SPDX-License-Identifier: Apache-2.0
// What the user wants different for some layers.
#include <mixgrad/error.h>
#include <mixgrad/search.h>

#include <src/internal/suggest.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include <fnmatch.h>

namespace mixgrad {
namespace {

constexpr const char *spaces = " \t\n\v\f\r", *quotes = "'\"";

/// A name that holds a pattern's characters fits as it is, too.
bool fits(const std::string& pattern, const std::string& name) {
  return pattern == name || ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

[[noreturn]] void not_an_override(const std::string& part) {
  bad_input(
      "override: '{}' is not of the form LAYER=8, LAYER=2,4/8 (weight bits/output bits), LAYER=4:minmax (weight "
      "bits:quantizer) or LAYER=float, with quotes around a LAYER that has spaces: 'my layer'=8",
      part);
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

/// Where the name of the part that begins at `begin` ends, its quotes included; npos where it doesn't.
size_t end_of_name(const std::string& text, size_t begin) {
  if (std::string_view(quotes).find(text[begin]) == std::string_view::npos)
    return text.find_first_of(std::string("=") + spaces, begin);
  const size_t end = text.find(std::string{text[begin], '='}, begin + 1);
  return end == std::string::npos ? end : end + 1;
}

std::string without_quotes(const std::string& name) {
  return std::string_view(quotes).find(name[0]) == std::string_view::npos ? name : name.substr(1, name.size() - 2);
}

/// `part` is NAME=VALUE.
LayerOverride read_override(const std::string& part, const std::string& name, const std::string& value) {
  LayerOverride out{.name = without_quotes(name)};
  if (out.name.empty()) not_an_override(part);
  if (value == "float") {
    out.exclude = true;
    return out;
  }
  const auto slash = value.find('/');
  const std::string weights = value.substr(0, slash);
  const auto colon = weights.find(':');
  if (const std::string bits = weights.substr(0, colon); !bits.empty())
    out.weight_precisions = quant::checked_precisions("override", parse_bits(bits, part), 0);
  if (colon != std::string::npos) out.weight_quantizer = quant::find_weight(weights.substr(colon + 1));
  if (slash != std::string::npos) {
    out.activation_precisions = quant::checked_precisions("override", parse_bits(value.substr(slash + 1), part), 2);
  }
  if (value.empty()) not_an_override(part);
  return out;
}

/// Names the layers that there are, and the one that comes near as an import writes it: with dots for slashes.
[[noreturn]] void no_layer(const char* where, const std::string& name, const Graph& graph) {
  std::vector<std::string> layers, quoted;
  for (const Node& n : graph.nodes) {
    if (n.is_layer()) layers.push_back(n.name);
  }
  for (const std::string& layer : layers) quoted.push_back("'" + layer + "'");
  const bool slashes = name.find('/') != std::string::npos;
  std::string imported = name;
  std::ranges::replace(imported, '/', '.');
  if (slashes) imported.erase(0, imported.find_first_not_of('.'));
  const std::string meant = nearest(imported, layers);
  bad_input("{}: the network has no layer '{}'{}: expected one of {}{}", where, name,
            slashes ? " (the import replaced / in names by .)" : "", fmt::join(quoted, ", "),
            did_you_mean(meant.empty() ? "" : "'" + meant + "'"));
}

}  // namespace

std::vector<LayerOverride> parse_overrides(const std::string& text) {
  std::vector<LayerOverride> out;
  for (size_t begin = text.find_first_not_of(spaces); begin != std::string::npos;) {
    const size_t equals = end_of_name(text, begin), end = text.find_first_of(spaces, std::min(equals, text.size()));
    const std::string part = text.substr(begin, end - begin);
    if (equals == std::string::npos || text[equals] != '=' || equals == begin) not_an_override(part);
    out.push_back(read_override(part, text.substr(begin, equals - begin), part.substr(equals - begin + 1)));
    begin = text.find_first_not_of(spaces, end);
  }
  return out;
}

const LayerOverride* override_of(const MixPrecOptions& options, const std::string& name) {
  const auto found =
      std::ranges::find_if(options.overrides, [&](const LayerOverride& o) { return fits(o.name, name); });
  return found == options.overrides.end() ? nullptr : &*found;
}

void check_names(const Graph& graph, const MixPrecOptions& options) {
  for (const std::string& name : options.exclude_names) {
    const auto named = [&](const Node& n) { return n.is_layer() && n.name == name; };
    if (std::ranges::none_of(graph.nodes, named)) no_layer("exclude_names", name, graph);
  }
  for (const LayerOverride& o : options.overrides) {
    const bool weights = o.exclude || o.weight_quantizer || !o.weight_precisions.empty();
    const auto named = [&](const Node& n) {
      const bool has_quantizer = !n.passes_quantizer() && !n.as<op::Input>();
      return (n.is_layer() || (!weights && has_quantizer)) && fits(o.name, n.name);
    };
    if (std::ranges::none_of(graph.nodes, named)) no_layer("override", o.name, graph);
  }
}

}  // namespace mixgrad
