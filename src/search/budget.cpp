// SPDX-License-Identifier: Apache-2.0
// Bounds on costs: how they are told, and how they steer the search.
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/search.h>

#include <cmath>
#include <cstdlib>

namespace mixgrad {
namespace {

/// How many of a cost's units a B, KiB or MiB is; 0 where it counts no memory.
double bytes_factor(const std::string& cost_unit, const std::string& unit) {
  const double of_byte = cost_unit == "bits" ? 8 : cost_unit == "bytes" ? 1 : 0;
  return of_byte * (unit == "B" ? 1 : unit == "KiB" ? 1024 : unit == "MiB" ? 1024 * 1024 : 0);
}

/// What a share with % is of.
double uniform_8_bit(const std::string& part, const cost::Model& model, const Graph& network) {
  try {
    return cost::uniform(network, model, 8);
  } catch (const Error& e) {
    bad_input("target: '{}' is a share of uniform 8-bit, which has no cost: {}; expected a plain number ({})", part,
              e.what(), model.unit);
  }
}

Target parse_target(const std::string& part, const Graph& network) {
  const auto equals = part.find('=');
  char* end = nullptr;
  const double value = equals == std::string::npos ? 0 : std::strtod(part.c_str() + equals + 1, &end);
  if (!(value > 0) || !std::isfinite(value)) {
    bad_input(
        "target: '{}' is not of the form size=40KiB, size=35% or macs=2e8: expected COST=NUMBER with a number above 0",
        part);
  }
  const std::string name = part.substr(0, equals), unit = end;
  const cost::Model model = cost::find(name);
  if (unit == "%") return {model, value / 100 * uniform_8_bit(part, model, network)};
  if (unit.empty()) return {model, value};
  if (const double factor = bytes_factor(model.unit, unit); factor > 0) return {model, value * factor};
  bad_input("target: '{}' has the unknown unit '{}': expected a plain number ({}), or % of uniform 8-bit{}", part, unit,
            model.unit, bytes_factor(model.unit, "B") > 0 ? ", or B, KiB, MiB" : "");
}

}  // namespace

std::vector<Target> parse_targets(const std::string& text, const Graph& network) {
  std::vector<Target> targets;
  for (size_t begin = 0; !text.empty() && begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const Target target = parse_target(text.substr(begin, comma - begin), network);
    for (const Target& other : targets) {
      if (other.model.name == target.model.name)
        bad_input("target: {} is given twice: expected each cost once", target.model.name);
    }
    targets.push_back(target);
    begin = comma + 1;
  }
  return targets;
}

Tensor constraint_violation(const Graph& graph, std::span<const Target> targets, const Thetas& thetas) {
  std::vector<Tensor> terms;
  for (const Target& t : targets) {
    const Tensor share = scale(cost::soft(graph, t.model, thetas), 1 / t.limit);
    const Tensor terms_of_target[] = {share, Tensor::scalar(-1)};
    terms.push_back(relu(sum(terms_of_target)));
  }
  return sum(terms);
}

}  // namespace mixgrad
