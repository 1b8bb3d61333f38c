// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/nn.h>

#include <src/internal/transposed.h>

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

/// The groups of a transposed convolution whose weight this is; 0: of none.
int64_t groups_if_transposed(const Module& net, const Tensor& t) {
  for (const Module* m : net.modules()) {
    const auto* conv = dynamic_cast<const ConvTranspose2d*>(m);
    if (conv != nullptr && conv->weight.is(t)) return conv->groups();
  }
  return 0;
}

/// The shape of a tensor in a file.
Shape stored_shape(const Tensor& t, int64_t groups) {
  return groups == 0 ? t.shape() : Shape{t.dim(1) * groups, t.dim(0) / groups, t.dim(2), t.dim(3)};
}

}  // namespace

std::vector<NamedTensor> state_of(const Module& net) {
  std::vector<NamedTensor> state = net.named_parameters();
  std::ranges::copy(net.named_buffers(), std::back_inserter(state));
  return state;
}

io::Safetensors to_safetensors(const Module& net) {
  io::Safetensors content;
  for (const NamedTensor& t : state_of(net)) {
    const int64_t groups = groups_if_transposed(net, t.tensor);
    content.tensors.emplace_back(t.name, groups == 0 ? t.tensor : transposed_weights(t.tensor, groups));
  }
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
    const Shape &found = file.at(t.name).shape(),
                expected = stored_shape(t.tensor, groups_if_transposed(net, t.tensor));
    if (found != expected)
      bad_input("{}: '{}' has shape {}, but the network expects {}", path, t.name, found.str(), expected.str());
    check_values(file, t.name);
  }
  for (const NamedTensor& t : state) {
    const int64_t groups = groups_if_transposed(net, t.tensor);
    const Tensor& from = file.at(t.name);
    const Tensor here = groups == 0 ? from : transposed_weights(from, groups);
    std::ranges::copy(here.data(), t.tensor.data().begin());
  }
}

}  // namespace mixgrad::nn
