// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/sweep.h>

#include <src/internal/json.h>
#include <src/internal/text.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace mixgrad::sweep {
namespace {

constexpr size_t longest_name = 46;

std::string text(const std::optional<double>& value, const char* format) {
  return value ? fmt::format(fmt::runtime(format), *value) : "";
}

/// "dnas-per-channel-size=30%" of "dnas-per-channel-size=30%-seed1".
std::string without_seed(const Point& point) {
  const std::string ending = fmt::format("-seed{}", point.config.seed);
  return point.name.ends_with(ending) ? point.name.substr(0, point.name.size() - ending.size()) : point.name;
}

std::optional<Spread> spread_of(const std::vector<Row>& rows, const Group& group, std::optional<double> Row::*value) {
  std::vector<double> values;
  for (const size_t i : group.rows) {
    if (const auto& number = rows[i].*value) values.push_back(*number);
  }
  return values.size() == group.rows.size() ? std::optional(spread(values)) : std::nullopt;
}

bool has_several(const Group& group) { return group.rows.size() > 1; }

/// The group of every row; all unset if no group has several rows.
std::vector<std::optional<Group>> groups_of_rows(const std::vector<Row>& rows) {
  std::vector<std::optional<Group>> out(rows.size());
  const std::vector<Group> all = groups(rows);
  if (std::ranges::none_of(all, has_several)) return out;
  for (const Group& group : all) {
    for (const size_t i : group.rows) out[i] = group;
  }
  return out;
}

/// Larger is better; unset if the run has no result to compare.
std::optional<double> quality(const Row& row) {
  if (!row.final_metric) return std::nullopt;
  return row.metric.larger_is_better ? *row.final_metric : -*row.final_metric;
}

/// Of a metric's value: only where the metric is the accuracy.
template <typename Value>
std::optional<Value> accuracy(const Row& row, const std::optional<Value>& value) {
  return row.metric.name == "accuracy" ? value : std::nullopt;
}

/// What a column of the metric is called.
std::string heading(const std::vector<Row>& rows) {
  constexpr size_t width = 8;
  if (rows.empty()) return "metric";
  const train::Metric& m = rows[0].metric;
  return m.name.size() <= width ? m.name : m.label;
}

bool beats(const Row& a, const Row& b) {
  const double qa = *quality(a), qb = *quality(b), sa = *a.size_bits, sb = *b.size_bits;
  return qa >= qb && sa <= sb && (qa > qb || sa < sb);
}

bool comparable(const Row& row) { return quality(row) && row.size_bits; }

nlohmann::ordered_json value(const std::optional<double>& number) {
  return number ? nlohmann::ordered_json(*number) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json value(const std::optional<Spread>& s) {
  if (!s) return nullptr;
  return {{"mean", s->mean}, {"deviation", s->deviation}, {"smallest", s->smallest}, {"largest", s->largest}};
}

/// The cells of ",seeds,accuracy_mean,..." in csv().
std::string spread_cells(const Row& row, const Group& group) {
  std::string out = fmt::format(",{}", group.rows.size());
  for (const auto& s : {accuracy(row, group.metric), group.loss, group.size_share}) {
    out += s ? fmt::format(",{:.6f},{:.6f}", s->mean, s->deviation) : ",,";
  }
  return out;
}

std::string percent(const std::optional<double>& share) { return share ? fmt::format("{:.1f}%", 100 * *share) : "-"; }

/// Keeps the end of a long name, which says more than its beginning.
std::string shortened(const std::string& name) {
  return name.size() <= longest_name ? name : ".." + name.substr(name.size() - longest_name + 2);
}

/// Statistics over the seeds of every group; empty if no group has several.
std::string table_of_groups(const std::vector<Row>& rows) {
  const std::vector<Group> all = groups(rows);
  if (std::ranges::none_of(all, has_several)) return "";
  size_t width = 10;
  for (const Group& g : all) width = std::max(width, shortened(g.name).size());
  std::string out = fmt::format("\n{:<{}} {:>5} {:>8} {:>9} {:>8} {:>8} {:>8}\n", "over seeds", width, "seeds",
                                heading(rows), "deviation", "least", "most", "of 8-bit");
  for (const Group& g : all) {
    const auto number = [&](double Spread::*part) { return g.metric ? fmt::format("{:.4f}", *g.metric.*part) : "-"; };
    out +=
        fmt::format("{:<{}} {:>5} {:>8} {:>9} {:>8} {:>8} {:>8}\n", shortened(g.name), width, g.rows.size(),
                    number(&Spread::mean), has_several(g) ? number(&Spread::deviation) : "-", number(&Spread::smallest),
                    number(&Spread::largest), percent(g.size_share ? std::optional(g.size_share->mean) : std::nullopt));
  }
  return out;
}

}  // namespace

Spread spread(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  const auto [smallest, largest] = std::ranges::minmax(values);
  return {
      .mean = mean, .deviation = n > 1 ? std::sqrt(squares / (n - 1)) : 0, .smallest = smallest, .largest = largest};
}

std::vector<Group> groups(const std::vector<Row>& rows) {
  std::vector<Group> out;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string name = without_seed(rows[i].point);
    auto group = std::ranges::find(out, name, &Group::name);
    if (group == out.end()) group = out.insert(out.end(), Group{.name = name, .rows = {}});
    group->rows.push_back(i);
  }
  for (Group& group : out) {
    group.metric = spread_of(rows, group, &Row::final_metric);
    group.loss = spread_of(rows, group, &Row::final_loss);
    group.size_share = spread_of(rows, group, &Row::size_share);
  }
  return out;
}

void mark_front(std::vector<Row>& rows) {
  for (Row& row : rows) {
    row.pareto = comparable(row) &&
                 std::ranges::none_of(rows, [&](const Row& other) { return comparable(other) && beats(other, row); });
  }
}

std::string csv(const std::vector<Row>& rows) {
  std::string out =
      "name,method,scheme,target,strength,seed,float_accuracy,final_accuracy,final_loss,metric,final_metric,size_bits,"
      "size_share,macs_"
      "share,pareto";
  const auto of_row = groups_of_rows(rows);
  const bool several = !rows.empty() && of_row[0].has_value();
  out += several
             ? ",seeds,accuracy_mean,accuracy_deviation,loss_mean,loss_deviation,size_share_mean,size_share_deviation\n"
             : "\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& r = rows[i];
    const RunConfig& c = r.point.config;
    out += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}", report::csv_field(r.point.name), method_name(c),
                       name_of(c.scheme), report::csv_field(c.target), text(r.strength, "{:.6g}"), c.seed,
                       text(accuracy(r, r.float_metric), "{:.6f}"), text(accuracy(r, r.final_metric), "{:.6f}"),
                       text(r.final_loss, "{:.6g}"), r.metric.name, text(r.final_metric, "{:.6g}"),
                       text(r.size_bits, "{:.0f}"), text(r.size_share, "{:.6f}"), text(r.macs_share, "{:.6f}"),
                       r.pareto ? 1 : 0);
    out += several ? spread_cells(r, *of_row[i]) + "\n" : "\n";
  }
  return out;
}

std::string json(const std::vector<Row>& rows) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  const auto of_row = groups_of_rows(rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& r = rows[i];
    const RunConfig& c = r.point.config;
    list.push_back({{"name", r.point.name},
                    {"method", method_name(c)},
                    {"scheme", name_of(c.scheme)},
                    {"target", c.target},
                    {"strength", value(r.strength)},
                    {"seed", c.seed},
                    {"metric", r.metric.name},
                    {"float_metric", value(r.float_metric)},
                    {"final_metric", value(r.final_metric)},
                    {"float_accuracy", value(accuracy(r, r.float_metric))},
                    {"final_accuracy", value(accuracy(r, r.final_metric))},
                    {"final_loss", value(r.final_loss)},
                    {"size_bits", value(r.size_bits)},
                    {"size_share", value(r.size_share)},
                    {"macs_share", value(r.macs_share)},
                    {"pareto", r.pareto}});
    if (of_row[i]) {
      list.back()["over_seeds"] = {{"seeds", of_row[i]->rows.size()},
                                   {"metric", value(of_row[i]->metric)},
                                   {"accuracy", value(accuracy(r, of_row[i]->metric))},
                                   {"loss", value(of_row[i]->loss)},
                                   {"size_share", value(of_row[i]->size_share)}};
    }
  }
  return json_text(list, 1) + "\n";
}

std::string table(const std::vector<Row>& rows) {
  size_t width = 5;
  for (const Row& r : rows) width = std::max(width, shortened(r.point.name).size());
  std::string out = fmt::format("{:<{}} {:>8} {:>8} {:>14} {:>8} {:>8} {}\n", "point", width, "float", heading(rows),
                                "size (bits)", "of 8-bit", "macs", "front");
  for (const Row& r : rows) {
    out += fmt::format("{:<{}} {:>8} {:>8} {:>14} {:>8} {:>8} {:>5}\n", shortened(r.point.name), width,
                       text(r.float_metric, "{:.4f}"), text(r.final_metric, "{:.4f}"), text(r.size_bits, "{:.0f}"),
                       percent(r.size_share), percent(r.macs_share), r.pareto ? "*" : "");
  }
  return out + table_of_groups(rows);
}

}  // namespace mixgrad::sweep
