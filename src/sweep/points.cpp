// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/sweep.h>

#include <algorithm>
#include <cctype>
#include <set>

namespace mixgrad::sweep {
namespace {

/// A point's constraint: a target, a strength, or neither (the default strength).
struct Bound {
  std::string target = {};
  std::optional<double> strength = {};
};

/// "30%" → "size=30%", "size=30%+macs=2e+8" → "size=30%,macs=2e+8"
std::string whole_target(std::string text) {
  if (text.ends_with('%') && text.find('=') == std::string::npos) return "size=" + text;
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] == '+' && std::isalpha(static_cast<unsigned char>(text[i + 1])) != 0) text[i] = ',';
  }
  return text;
}

std::vector<Bound> bounds(Method method, const Axes& axes) {
  std::vector<Bound> out;
  if (is_search(method)) {
    for (double strength : axes.strengths) out.push_back({.strength = strength});
  }
  for (const std::string& target : axes.targets) out.push_back({.target = whole_target(target)});
  if (!out.empty()) return out;
  if (is_search(method)) return {Bound{}};
  bad_input("methods: {} needs targets, such as --targets 30%,50%", name_of(method));
}

/// A file name: unusual characters become _.
std::string file_name(std::string text) {
  for (char& c : text) {
    if (c == ',') c = '+';
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && std::string("._=%+-").find(c) == std::string::npos) c = '_';
  }
  return text;
}

bool chooses_layers(Method method) { return method == Method::uniform || method == Method::sensitivity; }

std::string name_of(const RunConfig& c) {
  std::string name = method_name(c);
  if (!chooses_layers(c.method)) name += fmt::format("-{}", name_of(c.scheme));
  if (!c.target.empty()) name += "-" + c.target;
  if (c.strength) name += fmt::format("-strength{}", *c.strength);
  return file_name(fmt::format("{}-seed{}", name, c.seed));
}

}  // namespace

std::vector<Point> points(const RunConfig& base, const Axes& axes) {
  if (!axes.strengths.empty() && std::ranges::none_of(axes.methods, is_search)) {
    bad_input("strengths: only the methods fisher and dnas use them: add one to the methods, or give targets");
  }
  std::vector<Point> out;
  std::set<std::string> names;
  for (const Method method : axes.methods) {
    const size_t schemes = chooses_layers(method) ? 1 : axes.schemes.size();
    for (size_t s = 0; s < schemes; ++s) {
      for (const Bound& bound : bounds(method, axes)) {
        for (uint64_t seed : axes.seeds) {
          Point point{.name = {}, .config = base};
          point.config.method = method;
          point.config.scheme = axes.schemes[s];
          point.config.target = bound.target;
          point.config.strength = bound.strength;
          if (!bound.target.empty() && !axes.strengths.empty()) {  // they are for the points with a strength
            point.config.regularizer.clear();
            point.config.refine = false;
          }
          point.config.seed = seed;
          point.name = name_of(point.config);
          point.config.validate();
          if (!names.insert(point.name).second)
            bad_input("sweep: duplicate point {}: give each value once", point.name);
          out.push_back(point);
        }
      }
    }
  }
  if (out.empty()) bad_input("sweep: no points: methods, schemes and seeds need at least one value each");
  return out;
}

}  // namespace mixgrad::sweep
