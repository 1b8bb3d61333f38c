// SPDX-License-Identifier: Apache-2.0

#include <mixgrad/io.h>
#include <mixgrad/report.h>

#include <src/internal/text.h>

#include <fmt/core.h>

#include <algorithm>
#include <set>

namespace mixgrad::report {
namespace {

std::string cell(const std::optional<int>& bits) { return bits ? std::to_string(*bits) : "-"; }

/// The number of channels at `bits`, or a dot for none, so that the choices stand out.
std::string channels_at(const LayerSummary& layer, int bits) {
  const auto count = bits == 0 ? layer.pruned : std::ranges::count(layer.weight_bits, bits);
  return count == 0 ? "." : std::to_string(count);
}

std::string layers(const RunConfig& config, const RunResult& result) {
  const bool per_layer = config.scheme == MixPrecType::PER_LAYER;
  const std::set<int> candidates(config.weight_bits.begin(), config.weight_bits.end());
  size_t width = 5;
  for (const LayerSummary& layer : result.layers) width = std::max(width, shortened(layer.name).size());

  std::string out = fmt::format("{:<{}} {:>9} {:>12} {:>3} {:>3}", "layer", width, "weights", "MACs", "in", "out");
  if (per_layer) out += fmt::format(" {:>12}", "weight bits");
  for (int bits : candidates) out += per_layer ? "" : fmt::format(" {:>5}", fmt::format("{}-bit", bits));
  out += per_layer ? "\n" : "  (channels)\n";
  for (const LayerSummary& layer : result.layers) {
    out += fmt::format("{:<{}} {:>9} {:>12} {:>3} {:>3}", shortened(layer.name), width,
                       grouped(static_cast<double>(layer.weights)), grouped(static_cast<double>(layer.macs)),
                       cell(layer.in_bits), cell(layer.out_bits));
    if (per_layer)
      out += fmt::format(" {:>12}", layer.weight_bits.empty() ? "-" : std::to_string(layer.weight_bits[0]));
    for (int bits : candidates) out += per_layer ? "" : fmt::format(" {:>5}", channels_at(layer, bits));
    out += "\n";
  }
  return out;
}

std::string amount(const std::optional<double>& value) {
  if (!value) return "-";
  return *value > 0 && *value < 1000 ? fmt::format("{:.4g}", *value) : grouped(*value);
}

std::string share(double part, const std::optional<double>& whole) {
  return whole && *whole > 0 ? fmt::format("{:.1f}%", 100 * part / *whole) : "-";
}

std::string costs(const RunResult& result) {
  std::string out = fmt::format("{:<23} {:>15} {:>15} {:>15} {:>10} {:>10}\n", "", "found", "uniform 8-bit", "float",
                                "of 8-bit", "of float");
  for (const CostReport& c : result.costs) {
    out += fmt::format("{:<23} {:>15} {:>15} {:>15} {:>10} {:>10}\n", c.name + " (" + c.unit + ")", amount(c.found),
                       amount(c.uniform8), amount(c.floating), share(c.found, c.uniform8), share(c.found, c.floating));
  }
  return out;
}

/// How the network was changed after the search to meet the targets.
std::string repair(const RunResult& result) {
  if (!result.repair) return "";
  const Repair& r = *result.repair;
  std::string out;
  for (const Repair::Cost& c : r.costs) {
    out += fmt::format("arg max at {} of the target {}: {:.0f}% of the saving was made after the search\n",
                       share(c.arg_max, c.limit), c.name, 100 * c.share());
  }
  out += fmt::format("derived from {}", r.start);
  if (r.choices > 0) out += fmt::format("; {} of {} choices moved from their arg max", r.moved, r.choices);
  const train::Metric& metric = result.final.metric;
  const auto shown = [&](double quality) { return metric.larger_is_better ? quality : -quality; };
  if (r.quality) out += fmt::format("\n{} on the validation images: ", metric.name);
  if (r.quality && r.quality_at_arg_max)
    out += fmt::format("arg max {:.4f}, within the target{} ", shown(*r.quality_at_arg_max),
                       r.costs.size() > 1 ? "s" : "");
  if (r.quality) out += fmt::format("{:.4f}", shown(*r.quality));
  return out + "\n";
}

std::string targets(const RunResult& result) {
  std::string out;
  for (const TargetReport& t : result.targets) {
    out += fmt::format("target {}: {} of {} {} used ({})\n", t.name, amount(t.found), amount(t.limit), t.unit,
                       share(t.found, t.limit));
  }
  return out.empty() ? out : "\n" + out + repair(result);
}

}  // namespace

std::string table(const RunConfig& config, const RunResult& result) {
  const auto shown = [](const train::Score& s) { return fmt::format("{:.4f}", s.value()); };
  return layers(config, result) + "\n" + costs(result) + targets(result) +
         fmt::format("\n{} on {} test images: float {}, after the search {}, fine-tuned {}\n", result.final.metric.name,
                     grouped(static_cast<double>(result.test_images)), shown(result.floating), shown(result.searched),
                     shown(result.final)) +
         (result.kept_start
              ? "no epoch of fine-tuning was as good on the validation images, so the network before it is kept\n"
              : "") +
         fmt::format("checksum of the network found: {}\n", checksum(result.network));
}

}  // namespace mixgrad::report
