// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/nn.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <span>

namespace mixgrad::nn {
namespace {

std::vector<std::string> names_missing(const io::Safetensors& file, const std::vector<NamedTensor>& state) {
  std::vector<std::string> names;
  for (const NamedTensor& t : state) {
    if (!file.contains(t.name)) names.push_back(t.name);
  }
  return names;
}

/// PyTorch's counter of batches in a batch norm, which is not used here.
bool ignored(const std::string& name) { return name.ends_with("num_batches_tracked"); }

std::vector<std::string> names_unknown(const io::Safetensors& file, const std::vector<NamedTensor>& state) {
  std::vector<std::string> names;
  for (const auto& item : file.tensors) {
    const bool known = std::ranges::any_of(state, [&](const NamedTensor& t) { return t.name == item.first; });
    if (!known && !ignored(item.first)) names.push_back(item.first);
  }
  return names;
}

void check_values(const io::Safetensors& file, const std::string& name) {
  file.check_finite(name);
  const bool variance = name.ends_with("running_var");
  const std::span<const float> values = file.at(name).data();
  const auto negative = std::ranges::find_if(values, [](float v) { return v < 0; });
  if (variance && negative != values.end()) {
    bad_input("{}: '{}' contains {} at index {}: a variance can't be negative", file.path, name, *negative,
              negative - values.begin());
  }
}

}  // namespace

std::vector<NamedTensor> state_of(const Module& net) {
  std::vector<NamedTensor> state = net.named_parameters();
  std::ranges::copy(net.named_buffers(), std::back_inserter(state));
  return state;
}

io::Safetensors to_safetensors(const Module& net) {
  io::Safetensors content;
  for (const NamedTensor& t : state_of(net)) content.tensors.emplace_back(t.name, t.tensor);
  return content;
}

void save_state(const Module& net, const std::string& path) { io::write_safetensors(path, to_safetensors(net)); }

void load_state(Module& net, const std::string& path) {
  const io::Safetensors file = io::read_safetensors(path);
  const std::vector<NamedTensor> state = state_of(net);
  const auto missing = names_missing(file, state), unknown = names_unknown(file, state);
  if (!missing.empty() || !unknown.empty()) {
    bad_input("{}: not this network's weights: missing [{}], unknown [{}]", path, fmt::join(missing, ", "),
              fmt::join(unknown, ", "));
  }
  for (const NamedTensor& t : state) {
    const Shape& found = file.at(t.name).shape();
    if (found != t.tensor.shape()) {
      bad_input("{}: '{}' has shape {}, but the network expects {}", path, t.name, found.str(), t.tensor.shape().str());
    }
    check_values(file, t.name);
  }
  for (const NamedTensor& t : state) std::ranges::copy(file.at(t.name).data(), t.tensor.data().begin());
}

}  // namespace mixgrad::nn
