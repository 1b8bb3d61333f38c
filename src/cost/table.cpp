// SPDX-License-Identifier: Apache-2.0
// Costs from a look-up table: supporting another chip takes a file, not code.
#include <mixgrad/cost.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <toml++/toml.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace mixgrad::cost {
namespace {

/// Costs per MAC at one weight precision, for every candidate of the layer's input.
std::vector<double> column(const Table& table, const Layer& layer, int weight_bits) {
  std::vector<double> costs;
  for (int input_bits : layer.input.bits) {
    const auto found = table.per_mac.find({layer.kind, input_bits, weight_bits});
    if (found == table.per_mac.end()) {
      bad_input("{}: no cost for {} with {}-bit inputs and {}-bit weights, which layer '{}' may use", table.name,
                name_of(layer.kind), input_bits, weight_bits, layer.name);
    }
    costs.push_back(found->second);
  }
  return costs;
}

Value of_layer(const Table& table, const Layer& layer) {
  std::vector<Value> terms;
  for (size_t p = 0; p < layer.weights.bits.size(); ++p) {
    if (layer.weights.bits[p] == 0) continue;
    Value channels = layer.channels_at(p);
    if (table.tile > 1)
      channels = scale(ceil_div(channels, static_cast<double>(table.tile)), static_cast<double>(table.tile));
    terms.push_back(product(layer.input.expected(column(table, layer, layer.weights.bits[p])), channels));
  }
  return product(sum(terms), layer.live_inputs,
                 static_cast<double>(layer.output_positions() * layer.kernel_positions()));
}

/// Reads the keys of a TOML table and refuses unknown ones.
class Keys {
 public:
  Keys(const toml::table& table, std::string where) : table_(table), where_(std::move(where)) {}

  template <typename T>
  T get(const char* key, const char* kind) {
    known_.insert(key);
    const auto value = table_[key].value_exact<T>();
    if (!value) bad_input("{}: {} is missing or not {}", where_, key, kind);
    return *value;
  }
  double number(const char* key) {
    known_.insert(key);
    const auto value = table_[key].value<double>();
    if (!value || !table_[key].is_number() || !std::isfinite(*value) || *value < 0) {
      bad_input("{}: {} is missing or not a non-negative number", where_, key);
    }
    return *value;
  }
  void allow(const char* key) { known_.insert(key); }
  void refuse_others() const {
    for (const auto& [key, node] : table_) {
      if (!known_.contains(std::string(key.str()))) bad_input("{}: unknown key '{}'", where_, key.str());
    }
  }

 private:
  const toml::table& table_;
  std::string where_;
  std::set<std::string> known_;
};

int bits_of(Keys& keys, const char* key, int least, const std::string& where) {
  const int64_t bits = keys.get<int64_t>(key, "a whole number");
  if (bits < least || bits > 32)
    bad_input("{}: {} = {} is not a bit-width: expected {} to 8, or 32", where, key, bits, least);
  return static_cast<int>(bits);
}

std::vector<std::string> kind_names() {
  std::vector<std::string> out;
  for (const LayerKind kind : layer_kinds) out.emplace_back(name_of(kind));
  return out;
}

void read_entry(Table& table, const toml::node& node, const std::string& where) {
  if (!node.is_table()) bad_input("{}: not a table", where);
  Keys keys(*node.as_table(), where);
  const auto op = keys.get<std::string>("op", "text");
  const auto kind = std::ranges::find(layer_kinds, op, [](LayerKind k) { return std::string_view(name_of(k)); });
  if (kind == layer_kinds.end())
    bad_input("{}: unknown op '{}': expected {}", where, op, fmt::join(kind_names(), ", "));
  const int input_bits = bits_of(keys, "input-bits", 2, where), weight_bits = bits_of(keys, "weight-bits", 1, where);
  const double per_mac = keys.number("per-mac");
  keys.refuse_others();
  if (!table.per_mac.emplace(std::tuple(*kind, input_bits, weight_bits), per_mac).second) {
    bad_input("{}: duplicate cost for {} with {}-bit inputs and {}-bit weights", where, op, input_bits, weight_bits);
  }
}

}  // namespace

Model look_up(Table table, std::string help) {
  return sum_over_layers(table.name, table.unit, std::move(help),
                         [table](const Layer& layer) { return of_layer(table, layer); });
}

Table read_table(const std::string& path) {
  const std::string content = io::read_file(path);
  toml::table toml;
  try {
    toml = toml::parse(content, path);
  } catch (const toml::parse_error& e) {
    bad_input("{}:{}: invalid TOML at column {}", path, e.source().begin.line, e.source().begin.column);
  }
  Keys keys(toml, path);
  Table table{.name = path, .unit = keys.get<std::string>("unit", "text"), .per_mac = {}};
  keys.allow("tile");
  keys.allow("cost");
  keys.refuse_others();
  if (toml.contains("tile")) table.tile = keys.get<int64_t>("tile", "a whole number");
  if (table.tile < 1) bad_input("{}: invalid tile = {}: expected 1 or more channels", path, table.tile);
  const toml::array* entries = toml["cost"].as_array();
  if (entries == nullptr || entries->empty()) bad_input("{}: no [[cost]] entries: expected at least one", path);
  for (const toml::node& node : *entries) read_entry(table, node, fmt::format("{}:{}", path, node.source().begin.line));
  return table;
}

}  // namespace mixgrad::cost
