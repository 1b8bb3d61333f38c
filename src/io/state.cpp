// SPDX-License-Identifier: Apache-2.0
// Tensors are stored unchanged; numbers as text in the metadata, in the shortest form that restores every bit.
#include <mixgrad/error.h>
#include <mixgrad/state.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

namespace mixgrad {
namespace {

void write(io::Safetensors& to, const std::string& name, const Tensor& tensor) {
  to.tensors.emplace_back(name, tensor);
}

template <typename Number>
void write(io::Safetensors& to, const std::string& name, std::span<Number> numbers) {
  to.metadata[name] = fmt::format("{}", fmt::join(numbers, " "));
}

void write(io::Safetensors& to, const std::string& name, const bool* flag) {
  to.metadata[name] = *flag ? "true" : "false";
}

const std::string& text_of(const io::Safetensors& from, const std::string& name) {
  const auto found = from.metadata.find(name);
  if (found == from.metadata.end()) bad_input("{}: '{}' is missing", from.path, name);
  return found->second;
}

void read(const io::Safetensors& from, const std::string& name, const Tensor& tensor) {
  const Tensor& found = from.at(name);
  if (found.shape() != tensor.shape()) {
    bad_input("{}: '{}' has shape {}, expected {}", from.path, name, found.shape().str(), tensor.shape().str());
  }
  std::ranges::copy(found.data(), tensor.data().begin());
}

template <typename Number>
void read(const io::Safetensors& from, const std::string& name, std::span<Number> numbers) {
  const std::string& text = text_of(from, name);
  const char *at = text.data(), *end = at + text.size();
  for (Number& number : numbers) {
    if (at != end && *at == ' ') ++at;
    const auto [behind, error] = std::from_chars(at, end, number);
    if (error != std::errc()) bad_input("{}: '{}' is invalid: expected {} numbers", from.path, name, numbers.size());
    at = behind;
  }
  if (at != end) bad_input("{}: '{}' has too many numbers: expected {}", from.path, name, numbers.size());
}

void read(const io::Safetensors& from, const std::string& name, bool* flag) { *flag = text_of(from, name) == "true"; }

}  // namespace

void State::add(const std::string& name, std::span<const Tensor> tensors) {
  for (size_t i = 0; i < tensors.size(); ++i) add(fmt::format("{}.{}", name, i), tensors[i]);
}

io::Safetensors State::content() const {
  io::Safetensors out;
  for (const auto& item : entries_) {
    std::visit([&](const auto& value) { write(out, item.first, value); }, item.second);
  }
  return out;
}

void State::restore(const io::Safetensors& content) const {
  for (const auto& item : entries_) {
    std::visit([&](const auto& value) { read(content, item.first, value); }, item.second);
  }
}

}  // namespace mixgrad
