// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/sweep.h>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace mixgrad::sweep {
namespace {

constexpr size_t longest_name = 46;

std::string text(const std::optional<double>& value, const char* format) { return value ? fmt::format(fmt::runtime(format), *value) : ""; }

/// As RFC 4180 wants it.
std::string cell(const std::string& value) {
  if (value.find_first_of("\",\n") == std::string::npos) return value;
  std::string quoted = "\"";
  for (char c : value) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

/// Larger is better; nothing where the run has no result to compare.
std::optional<double> quality(const Row& row) {
  if (row.final_accuracy) return row.final_accuracy;
  return row.final_loss ? std::optional(-*row.final_loss) : std::nullopt;
}

bool beats(const Row& a, const Row& b) {
  const double qa = *quality(a), qb = *quality(b), sa = *a.size_bits, sb = *b.size_bits;
  return qa >= qb && sa <= sb && (qa > qb || sa < sb);
}

bool comparable(const Row& row) { return quality(row) && row.size_bits; }

nlohmann::ordered_json value(const std::optional<double>& number) { return number ? nlohmann::ordered_json(*number) : nlohmann::ordered_json(nullptr); }

std::string percent(const std::optional<double>& share) { return share ? fmt::format("{:.1f}%", 100 * *share) : "-"; }

/// The end of a long name says more than its beginning.
std::string shortened(const std::string& name) {
  return name.size() <= longest_name ? name : ".." + name.substr(name.size() - longest_name + 2);
}

}  // namespace

void mark_front(std::vector<Row>& rows) {
  for (Row& row : rows) {
    row.pareto = comparable(row) && std::ranges::none_of(rows, [&](const Row& other) { return comparable(other) && beats(other, row); });
  }
}

std::string csv(const std::vector<Row>& rows) {
  std::string out = "name,method,scheme,target,strength,seed,float_accuracy,final_accuracy,final_loss,size_bits,size_share,macs_share,pareto\n";
  for (const Row& r : rows) {
    const RunConfig& c = r.point.config;
    out += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{}\n", cell(r.point.name), c.method, c.scheme, cell(c.target), text(r.strength, "{:.6g}"),
                       c.seed, text(r.float_accuracy, "{:.6f}"), text(r.final_accuracy, "{:.6f}"), text(r.final_loss, "{:.6g}"),
                       text(r.size_bits, "{:.0f}"), text(r.size_share, "{:.6f}"), text(r.macs_share, "{:.6f}"), r.pareto ? 1 : 0);
  }
  return out;
}

std::string json(const std::vector<Row>& rows) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Row& r : rows) {
    const RunConfig& c = r.point.config;
    list.push_back({{"name", r.point.name}, {"method", c.method}, {"scheme", c.scheme}, {"target", c.target}, {"strength", value(r.strength)},
                    {"seed", c.seed}, {"float_accuracy", value(r.float_accuracy)}, {"final_accuracy", value(r.final_accuracy)},
                    {"final_loss", value(r.final_loss)}, {"size_bits", value(r.size_bits)}, {"size_share", value(r.size_share)},
                    {"macs_share", value(r.macs_share)}, {"pareto", r.pareto}});
  }
  return list.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string table(const std::vector<Row>& rows) {
  const bool classifies = std::ranges::any_of(rows, [](const Row& r) { return r.final_accuracy.has_value(); });
  size_t width = 5;
  for (const Row& r : rows) width = std::max(width, shortened(r.point.name).size());
  std::string out = fmt::format("{:<{}} {:>8} {:>8} {:>14} {:>8} {:>8} {}\n", "point", width, "float", classifies ? "accuracy" : "error", "size (bits)",
                                "of 8-bit", "macs", "front");
  for (const Row& r : rows) {
    const auto& shown = classifies ? r.final_accuracy : r.final_loss;
    out += fmt::format("{:<{}} {:>8} {:>8} {:>14} {:>8} {:>8} {:>5}\n", shortened(r.point.name), width, text(r.float_accuracy, "{:.4f}"),
                       text(shown, "{:.4f}"), text(r.size_bits, "{:.0f}"), percent(r.size_share), percent(r.macs_share), r.pareto ? "*" : "");
  }
  return out;
}

}  // namespace mixgrad::sweep
