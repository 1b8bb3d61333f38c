// SPDX-License-Identifier: Apache-2.0
// Header length (u64), JSON header, values; everything little-endian and row-major.
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <src/internal/json.h>
#include <src/internal/names.h>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>

namespace mixgrad::io {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

constexpr uint64_t length_bytes = 8;
constexpr uint64_t max_header_bytes = 100'000'000;  // the format's own limit
constexpr const char* metadata_key = "__metadata__";

/// A name as a JSON string, for messages.
std::string in_quotes(const std::string& name) { return json_text(json(name)); }

/// The header's top-level names in the file's order, and the first duplicate key of any object (a JSON library would
/// silently keep the last).
struct Keys {
  std::vector<std::string> top;
  std::optional<std::string> duplicate;
  std::vector<std::set<std::string>> open;

  void visit(json::parse_event_t event, const json& parsed) {
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end) open.pop_back();
    if (event == json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (open.size() == 1) top.push_back(key);
      if (!open.back().insert(key).second && !duplicate) duplicate = key;
    }
  }
};

/// A tensor's position in the data after the header.
struct Entry {
  std::string name;
  Shape shape;
  uint64_t begin = 0, end = 0;
};

class Reader {
 public:
  Reader(const std::string& path, std::string file) : path_(path), file_(std::move(file)) {}

  Safetensors read() {
    const json header = parse_header();
    Safetensors content;
    content.path = path_;
    std::vector<Entry> entries;
    for (const std::string& name : names_) {
      if (name == metadata_key)
        content.metadata = parse_metadata(header[name]);
      else
        entries.push_back(parse_entry(name, header[name]));
    }
    check_layout(entries);
    for (const Entry& entry : entries) content.tensors.emplace_back(entry.name, values(entry));
    return content;
  }

 private:
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    bad_input("{}: {}", path_, fmt::format(format, std::forward<Args>(args)...));
  }

  json parse_header() {
    if (file_.size() < length_bytes) fail("{} bytes is too short for a safetensors file", file_.size());
    uint64_t length = 0;
    std::memcpy(&length, file_.data(), length_bytes);
    if (length > max_header_bytes)
      fail("not a safetensors file: header of {} bytes, over the limit of {}", length, max_header_bytes);
    if (length > file_.size() - length_bytes)
      fail("truncated: header of {} bytes, but only {} bytes follow", length, file_.size() - length_bytes);
    const char* text = file_.data() + length_bytes;
    if (length == 0 || *text != '{') fail("not a safetensors file: the header is not a JSON object");
    data_ = std::string_view(file_).substr(length_bytes + length);
    try {
      Keys keys;
      json header = json::parse(text, text + length, [&](int, json::parse_event_t event, json& parsed) {
        keys.visit(event, parsed);
        return true;
      });
      if (keys.duplicate) fail("the header has {} twice", in_quotes(*keys.duplicate));
      names_ = std::move(keys.top);
      return header;
    } catch (const json::parse_error& error) {
      fail("the header is not valid JSON (offset {})", length_bytes + error.byte);
    } catch (const json::out_of_range&) {
      fail("the header contains a number that is out of range");
    }
  }

  std::map<std::string, std::string> parse_metadata(const json& object) const {
    if (!object.is_object()) fail("{} is not an object", metadata_key);
    std::map<std::string, std::string> metadata;
    for (const auto& [key, value] : object.items()) {
      if (!value.is_string()) fail("{}: the value of {} is not a string", metadata_key, in_quotes(key));
      metadata[key] = value.get<std::string>();
    }
    return metadata;
  }

  Entry parse_entry(const std::string& name, const json& object) const {
    const std::string quoted_name = in_quotes(name);
    const auto field = [&](const char* key) -> const json& {
      if (!object.is_object() || !object.contains(key)) fail("tensor {} has no {}", quoted_name, key);
      return object[key];
    };
    const json& dtype = field("dtype");
    if (!dtype.is_string()) fail("tensor {}: dtype is not a string", quoted_name);
    if (dtype != "F32") fail("tensor {} has dtype {}: only F32 is supported", quoted_name, in_quotes(dtype));
    const auto [shape, bytes] = parse_shape(quoted_name, field("shape"));
    const json& offsets = field("data_offsets");
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned())
      fail("tensor {}: data_offsets is not [begin, end]", quoted_name);
    const Entry entry{name, shape, offsets[0].get<uint64_t>(), offsets[1].get<uint64_t>()};
    if (entry.begin > entry.end)
      fail("tensor {}: data_offsets [{}, {}] end before they begin", quoted_name, entry.begin, entry.end);
    if (entry.end > data_.size())
      fail("tensor {}: its values end at {}, but the file has {} bytes of values (truncated?)", quoted_name, entry.end,
           data_.size());
    if (entry.end - entry.begin != bytes)
      fail("tensor {}: shape {} needs {} bytes, but data_offsets span {}", quoted_name, shape.str(), bytes,
           entry.end - entry.begin);
    return entry;
  }

  /// The shape and its size in bytes.
  std::pair<Shape, uint64_t> parse_shape(const std::string& quoted_name, const json& array) const {
    if (!array.is_array()) fail("tensor {}: shape is not an array", quoted_name);
    if (array.size() > Shape::max_rank)
      fail("tensor {} has {} dimensions: at most {} are supported", quoted_name, array.size(), Shape::max_rank);
    std::vector<int64_t> dims;
    int64_t bytes = sizeof(float);
    int64_t bound = bytes;  // zeros count as ones, so that no partial product can overflow later
    for (const json& dim : array) {
      int64_t d = 0;
      if (!dim.is_number_unsigned() || __builtin_add_overflow(dim.get<uint64_t>(), 0, &d) ||
          __builtin_mul_overflow(bound, std::max<int64_t>(d, 1), &bound))
        fail("tensor {}: invalid shape: expected an array of sizes within 64 bits", quoted_name);
      dims.push_back(d);
      bytes *= d;
    }
    return {Shape(dims), static_cast<uint64_t>(bytes)};
  }

  /// Sorts by offset; the tensors must cover the data without gaps.
  void check_layout(std::vector<Entry>& entries) const {
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    uint64_t covered = 0;
    for (const Entry& entry : entries) {
      if (entry.begin < covered) fail("tensor {} overlaps the one before it", in_quotes(entry.name));
      if (entry.begin > covered) fail("gap of {} bytes before tensor {}", entry.begin - covered, in_quotes(entry.name));
      covered = entry.end;
    }
    if (covered != data_.size()) fail("{} bytes follow the last tensor", data_.size() - covered);
  }

  Tensor values(const Entry& entry) const {
    std::vector<float> row_major((entry.end - entry.begin) / sizeof(float));
    if (row_major.empty()) return Tensor::empty(entry.shape);  // its other dimensions may be huge
    std::memcpy(row_major.data(), data_.data() + entry.begin, entry.end - entry.begin);
    return Tensor::from(entry.shape, row_major);
  }

  std::string path_;
  std::string file_;
  std::string_view data_;
  std::vector<std::string> names_;
};

/// `text` as a JSON string.
std::string json_string(const std::string& text, const std::string& path) {
  if (!is_utf8(text)) bad_input("{}: {} is not valid UTF-8", path, in_quotes(text));
  return in_quotes(text);
}

std::string make_header(const std::string& path, const Safetensors& content) {
  std::vector<std::string> items;
  if (!content.metadata.empty()) {
    std::vector<std::string> pairs;
    for (const auto& [key, value] : content.metadata)
      pairs.push_back(json_string(key, path) + ":" + json_string(value, path));
    items.push_back(fmt::format("\"{}\":{{{}}}", metadata_key, fmt::join(pairs, ",")));
  }
  std::set<std::string> seen{metadata_key};
  uint64_t end = 0;
  for (const auto& [name, tensor] : content.tensors) {
    if (!seen.insert(name).second) bad_input("{}: duplicate or reserved tensor name {}", path, in_quotes(name));
    if (!tensor) bad_input("{}: tensor {} is empty", path, in_quotes(name));
    const uint64_t begin = std::exchange(end, end + static_cast<uint64_t>(tensor.size()) * sizeof(float));
    items.push_back(fmt::format("{}:{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                                json_string(name, path), fmt::join(tensor.shape().dims(), ","), begin, end));
  }
  std::string header = fmt::format("{{{}}}", fmt::join(items, ","));
  header.resize((header.size() + 7) / 8 * 8, ' ');  // aligns the values
  if (header.size() > max_header_bytes) bad_input("{}: header over the limit of {} bytes", path, max_header_bytes);
  return header;
}

}  // namespace

const Tensor& Safetensors::at(const std::string& name) const {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return tensor;
  bad_input("{}: no tensor {}", path, in_quotes(name));
}

void Safetensors::check_finite(const std::string& name) const {
  const std::span<const float> values = at(name).data();
  const auto found = std::ranges::find_if(values, [](float v) { return !std::isfinite(v); });
  if (found == values.end()) return;
  const char* what = std::isnan(*found) ? "NaN" : *found > 0 ? "infinity" : "-infinity";
  bad_input("{}: tensor {} contains {} at index {}: expected finite numbers", path, in_quotes(name), what,
            found - values.begin());
}

bool Safetensors::contains(const std::string& name) const {
  return std::any_of(tensors.begin(), tensors.end(), [&](const auto& item) { return item.first == name; });
}

void Safetensors::put(const std::string& prefix, const Safetensors& other) {
  for (const auto& [name, tensor] : other.tensors) tensors.emplace_back(prefix + name, tensor);
  for (const auto& [key, value] : other.metadata) metadata[prefix + key] = value;
}

Safetensors Safetensors::part(const std::string& prefix) const {
  Safetensors out;
  out.path = path;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) out.tensors.emplace_back(name.substr(prefix.size()), tensor);
  }
  for (const auto& [key, value] : metadata) {
    if (key.starts_with(prefix)) out.metadata[key.substr(prefix.size())] = value;
  }
  return out;
}

Safetensors from_bytes(std::string bytes, const std::string& path) { return Reader(path, std::move(bytes)).read(); }

std::string to_bytes(const Safetensors& content, const std::string& path) {
  const std::string header = make_header(path, content);
  const uint64_t length = header.size();
  std::string file(length_bytes, '\0');
  std::memcpy(file.data(), &length, length_bytes);
  file += header;
  for (const auto& [name, tensor] : content.tensors) {
    if (tensor.size() == 0) continue;
    const std::vector<float> values = tensor.to_vector();
    file.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  }
  return file;
}

Safetensors read_safetensors(const std::string& path) { return from_bytes(read_file(path), path); }

void write_safetensors(const std::string& path, const Safetensors& content) {
  write_file(path, to_bytes(content, path));
}

}  // namespace mixgrad::io
