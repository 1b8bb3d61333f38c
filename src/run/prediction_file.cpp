// SPDX-License-Identifier: Apache-2.0
// Outputs of a network in files: NumPy, CSV, or lines of JSON.
#include <mixgrad/error.h>
#include <mixgrad/predict.h>

#include <src/internal/json.h>
#include <src/internal/file_writer.h>
#include <src/internal/text.h>

#include <fmt/ranges.h>

#include <bit>
#include <cctype>
#include <filesystem>
#include <functional>
#include <set>

namespace mixgrad {
namespace {

using nlohmann::ordered_json;

/// Version 1.0 of the format; the values begin at a multiple of 64 bytes.
std::string npy_header(int64_t images, const Shape& output) {
  const char order = std::endian::native == std::endian::little ? '<' : '>';
  std::string header = fmt::format("{{'descr': '{}f4', 'fortran_order': False, 'shape': ({}, {}{}), }}", order, images,
                                   fmt::join(output.dims(), ", "), output.rank() == 0 ? "" : ",");
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string out = "\x93NUMPY\x01";
  out += '\0';
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  return out + header;
}

bool has_labels(const Prediction& p) { return p.images.known() == data::Known::labels; }

std::string label(const Prediction& p, int64_t image) {
  return p.images.class_names[static_cast<size_t>(p.images.labels[static_cast<size_t>(image)])];
}

/// The column of value `k` of one of several outputs.
std::string column_name(const PredictedPart& part, int64_t k) {
  return part.shape.size() == 1 ? part.name : fmt::format("{}.{}", part.name, k);
}

std::string csv_header(const Prediction& p, int64_t top) {
  std::string out = has_labels(p) ? "image,label" : "image";
  for (int64_t k = 1; k <= top; ++k) out += fmt::format(",top{0},value{0}", k);
  for (const PredictedPart& part : p.parts) {
    for (int64_t k = 0; top == 0 && k < part.shape.size(); ++k)
      out += ',' + report::csv_field(p.parts.size() == 1 ? p.class_name(k) : column_name(part, k));
  }
  return out + '\n';
}

std::string csv_line(const Prediction& p, int64_t image, std::span<const float> row, int64_t top) {
  std::string out = report::csv_field(p.image_name(image));
  if (has_labels(p)) out += ',' + report::csv_field(label(p, image));
  if (top > 0) {
    for (const int64_t c : largest(row, top))
      out += fmt::format(",{},{}", report::csv_field(p.class_name(c)), row[static_cast<size_t>(c)]);
  } else {
    for (const float v : row) out += fmt::format(",{}", v);
  }
  return out + '\n';
}

/// Values in row-major order as nested lists; NaN and infinity are written as null.
ordered_json nested(std::span<const float> values, std::span<const int64_t> dims) {
  ordered_json out = ordered_json::array();
  if (dims.size() <= 1) {
    for (const float v : values) out.push_back(v);
    return out;
  }
  const size_t part = values.size() / static_cast<size_t>(dims[0]);
  for (size_t at = 0; at < values.size(); at += part) out.push_back(nested(values.subspan(at, part), dims.subspan(1)));
  return out;
}

/// Of several outputs: by name.
ordered_json nested_outputs(const Prediction& p, std::span<const float> values) {
  if (p.parts.size() == 1) return nested(values, p.output.dims());
  ordered_json out;
  size_t at = 0;
  for (const PredictedPart& part : p.parts) {
    const auto size = static_cast<size_t>(part.shape.size());
    out[part.name] = nested(values.subspan(at, size), part.shape.dims());
    at += size;
  }
  return out;
}

bool is_list(const Prediction& p) { return p.output.size() == p.output[0]; }

/// The file of an array of outputs: y.npy for the first, y.NAME.npy for others.
std::string array_file(const std::string& path, const Prediction& p, size_t part) {
  if (part == 0) return path;
  std::string name = p.parts[part].name;
  const auto fits = [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-'; };
  std::ranges::replace_if(name, std::not_fn(fits), '_');
  return std::filesystem::path(path).replace_extension(name + ".npy");
}

}  // namespace

struct PredictionFile::Impl {
  const Prediction& prediction;
  std::string kind;  // the file's extension
  int64_t top;
  std::vector<std::unique_ptr<io::FileWriter>> writers = {};  // of arrays: one for each output

  /// Appends rows [images, values], in row-major order.
  void add_arrays(std::span<const float> rows) const {
    size_t at = 0;
    for (size_t k = 0; at < rows.size(); k = (k + 1) % writers.size()) {
      const auto size = static_cast<size_t>(prediction.parts[k].shape.size());
      writers[k]->add({reinterpret_cast<const char*>(rows.data() + at), size * sizeof(float)});
      at += size;
    }
  }
};

PredictionFile::PredictionFile(const std::string& path, const Prediction& p, int64_t top) {
  const std::string kind = std::filesystem::path(path).extension();
  if (kind != ".npy" && kind != ".csv" && kind != ".jsonl")
    bad_input("out: {}: unknown format: expected a file .npy, .csv or .jsonl", path);
  if (kind == ".csv" && !is_list(p))
    bad_input("out: {}: {} returns {}, which lines of CSV can't hold: expected .npy or .jsonl", path, p.network,
              p.output.str());
  impl_ = std::unique_ptr<Impl>(new Impl{p, kind, top});
  std::set<std::string> files;
  for (size_t k = 0; k < (kind == ".npy" ? p.parts.size() : 1); ++k) {
    const std::string file = array_file(path, p, k);
    if (!files.insert(file).second)
      bad_input("out: {}: two outputs of {} would be in the file {}: expected .jsonl", path, p.network, file);
    impl_->writers.push_back(std::make_unique<io::FileWriter>(file));
    if (kind == ".npy") impl_->writers[k]->add(npy_header(p.images.size(), p.parts[k].shape));
  }
  if (kind == ".csv") impl_->writers[0]->add(csv_header(p, top));
}

PredictionFile::~PredictionFile() = default;

void PredictionFile::add(int64_t first, const Tensor& outputs) {
  const Impl& i = *impl_;
  const std::vector<float> values = outputs.to_vector();
  if (i.kind == ".npy") return i.add_arrays(values);
  std::string lines;
  for (int64_t n = 0; n < outputs.dim(0); ++n) {
    if (i.kind == ".csv") {
      const auto width = static_cast<size_t>(i.prediction.output.size());
      lines +=
          csv_line(i.prediction, first + n, std::span(values).subspan(static_cast<size_t>(n) * width, width), i.top);
    } else {
      lines += prediction_line(i.prediction, first + n, outputs.rows(n, 1), i.top) + '\n';
    }
  }
  i.writers[0]->add(lines);
}

void PredictionFile::finish() {
  for (const auto& writer : impl_->writers) writer->finish();
}

std::string prediction_line(const Prediction& p, int64_t image, const Tensor& output, int64_t top) {
  const std::vector<float> values = output.to_vector();
  ordered_json line = {{"image", p.image_name(image)}};
  if (has_labels(p)) line["label"] = label(p, image);
  line["outputs"] = nested_outputs(p, values);
  for (const int64_t c : largest(values, top))
    line["top"].push_back({{"class", p.class_name(c)}, {"value", values[static_cast<size_t>(c)]}});
  return json_text(line);
}

}  // namespace mixgrad
