// SPDX-License-Identifier: Apache-2.0
// Cost tables as TOML files.
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
  /// A whole number, or an array of some.
  std::vector<int64_t> whole_numbers(const char* key) {
    if (!table_[key].is_array()) return {get<int64_t>(key, "a whole number")};
    known_.insert(key);
    std::vector<int64_t> all;
    for (const toml::node& node : *table_[key].as_array()) {
      if (!node.is_integer()) bad_input("{}: {} has an element that is not a whole number", where_, key);
      all.push_back(node.as_integer()->get());
    }
    if (all.empty()) bad_input("{}: {} is empty", where_, key);
    return all;
  }
  bool has(const char* key) const { return table_.contains(key); }
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

/// A bit-width, or a list of those that cost the same.
std::vector<int> bits_of(Keys& keys, const char* key, int least, const std::string& where) {
  std::vector<int> all;
  for (const int64_t bits : keys.whole_numbers(key)) {
    if (bits < least || bits > 32)
      bad_input("{}: {} = {} is not a bit-width: expected {} to 8, or 32", where, key, bits, least);
    all.push_back(static_cast<int>(bits));
  }
  return all;
}

std::vector<std::string> kind_names() {
  std::vector<std::string> out;
  for (const LayerKind kind : layer_kinds) out.emplace_back(name_of(kind));
  return out;
}

std::vector<std::string> operator_names() {
  std::vector<std::string> out = kind_names();
  for (const Operator& op : op::all()) {
    const std::string name(mixgrad::name_of(op));
    const bool is_layer = std::visit([](const auto& o) { return o.is_layer; }, op);
    if (!is_layer) out.push_back(name);
  }
  return out;
}

/// The key `op` of an entry, one of `names`.
std::string op_of(Keys& keys, const std::vector<std::string>& names, const std::string& where) {
  const auto op = keys.get<std::string>("op", "text");
  if (std::ranges::find(names, op) == names.end())
    bad_input("{}: unknown op '{}': expected {}", where, op, fmt::join(names, ", "));
  return op;
}

void read_cost(Table& table, Keys& keys, const std::string& where) {
  const std::string op = op_of(keys, kind_names(), where);
  const LayerKind kind = *std::ranges::find(layer_kinds, op, name_of);
  const std::vector<int> inputs = bits_of(keys, "input-bits", 2, where),
                         weights = bits_of(keys, "weight-bits", 1, where);
  const double per_mac = keys.number("per-mac");
  keys.refuse_others();
  for (const int input_bits : inputs) {
    for (const int weight_bits : weights) {
      if (!table.per_mac.emplace(std::tuple(kind, input_bits, weight_bits), per_mac).second)
        bad_input("{}: duplicate cost for {} with {}-bit inputs and {}-bit weights", where, op, input_bits,
                  weight_bits);
    }
  }
}

void read_operator(Table& table, Keys& keys, const std::string& where) {
  const std::string op = op_of(keys, operator_names(), where);
  Table::Rates rates;
  const auto read = [&](const char* key, double& rate) {
    if (keys.has(key)) rate = keys.number(key);
  };
  read("per-output", rates.per_output);
  read("per-input", rates.per_input);
  if (std::ranges::find(layer_kinds, op, name_of) != layer_kinds.end()) read("per-row", rates.per_row);
  keys.refuse_others();
  if (!table.operators.emplace(op, rates).second) bad_input("{}: duplicate costs of operator {}", where, op);
}

/// Reads every table of an array.
void read_entries(const toml::array& entries, const std::string& path,
                  const std::function<void(Keys&, const std::string&)>& read) {
  for (const toml::node& node : entries) {
    const std::string where = fmt::format("{}:{}", path, node.source().begin.line);
    if (!node.is_table()) bad_input("{}: not a table", where);
    Keys keys(*node.as_table(), where);
    read(keys, where);
  }
}

}  // namespace

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
  keys.allow("operator");
  keys.refuse_others();
  if (keys.has("tile")) table.tile = keys.get<int64_t>("tile", "a whole number");
  if (table.tile < 1) bad_input("{}: invalid tile = {}: expected 1 or more channels", path, table.tile);
  const toml::array* costs = toml["cost"].as_array();
  if (costs == nullptr || costs->empty()) bad_input("{}: no [[cost]] entries: expected at least one", path);
  read_entries(*costs, path, [&](Keys& k, const std::string& where) { read_cost(table, k, where); });
  if (!keys.has("operator")) return table;
  const toml::array* operators = toml["operator"].as_array();
  if (operators == nullptr) bad_input("{}: operator is not an array of tables: expected [[operator]]", path);
  read_entries(*operators, path, [&](Keys& k, const std::string& where) { read_operator(table, k, where); });
  return table;
}

std::string to_toml(const Table& table, const std::string& comment) {
  std::string out = fmt::format("# {}\nunit = \"{}\"\n", comment, table.unit);
  if (table.tile > 1) out += fmt::format("tile = {}\n", table.tile);
  // Bit-widths with equal costs share an entry.
  std::map<std::tuple<LayerKind, int, double>, std::vector<int>>
      by_weights;  // input bits of each (kind, weight bits, cost)
  for (const auto& [key, cost] : table.per_mac) {
    const auto& [kind, input_bits, weight_bits] = key;
    by_weights[{kind, weight_bits, cost}].push_back(input_bits);
  }
  std::map<std::tuple<LayerKind, std::vector<int>, double>, std::vector<int>> entries;
  for (const auto& [key, input_bits] : by_weights) {
    const auto& [kind, weight_bits, cost] = key;
    entries[{kind, input_bits, cost}].push_back(weight_bits);
  }
  for (const auto& [key, weight_bits] : entries) {
    const auto& [kind, input_bits, cost] = key;
    out += fmt::format("\n[[cost]]\nop = \"{}\"\ninput-bits = [{}]\nweight-bits = [{}]\nper-mac = {:.6g}\n",
                       name_of(kind), fmt::join(input_bits, ", "), fmt::join(weight_bits, ", "), cost);
  }
  for (const auto& [op, rates] : table.operators) {
    out += fmt::format("\n[[operator]]\nop = \"{}\"\n", op);
    const auto line = [&](const char* key, double rate) {
      if (rate != 0) out += fmt::format("{} = {:.6g}\n", key, rate);
    };
    line("per-output", rates.per_output);
    line("per-input", rates.per_input);
    line("per-row", rates.per_row);
  }
  return out;
}

}  // namespace mixgrad::cost
