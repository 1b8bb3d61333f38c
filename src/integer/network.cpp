// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/integer.h>
#include <mixgrad/ops.h>

#include <algorithm>
#include <iterator>

namespace mixgrad {

const integer::Layer* IntegerNode::layer() const {
  return std::visit(
      []<typename Op>(const Op& o) -> const integer::Layer* {
        if constexpr (std::is_base_of_v<integer::Layer, Op>) {
          return &o;
        } else {
          return nullptr;
        }
      },
      op);
}

std::string_view IntegerNode::op_name() const {
  return std::visit([](const auto& o) -> std::string_view { return o.name(); }, op);
}

op::Channels IntegerNode::channel_rule() const {
  return std::visit([](const auto& o) { return o.channels(); }, op);
}

op::Overlap IntegerNode::overlap() const {
  return std::visit([](const auto& o) { return o.overlap; }, op);
}

bool IntegerNetwork::returns(int i) const {
  return std::ranges::find(outputs, i, &IntegerOutput::node) != outputs.end();
}

int64_t IntegerNetwork::output_size() const {
  int64_t size = 0;
  for (const IntegerOutput& o : outputs) size += node_of(o).shape.size();
  return size;
}

Tensor IntegerNetwork::real_outputs(std::span<const int32_t> codes, int64_t images) const {
  std::vector<int64_t> dims = {images};
  if (outputs.size() == 1)
    std::ranges::copy(outputs[0].shape.dims(), std::back_inserter(dims));
  else
    dims.push_back(output_size());
  std::vector<float> rows;
  rows.reserve(codes.size());
  for (auto at = codes.begin(); at != codes.end();) {
    for (const IntegerOutput& o : outputs) {
      const IntegerNode& node = node_of(o);
      const auto channels = static_cast<size_t>(node.channels()), size = static_cast<size_t>(node.shape.size());
      const size_t first = rows.size(), positions = size / channels;
      rows.resize(first + size);
      for (size_t k = 0; k < size; ++k, ++at) {
        const auto c = static_cast<size_t>(node.channel_of[k % channels]);
        rows[first + c * positions + k / channels] = node.step * static_cast<float>(*at);
      }
    }
  }
  return Tensor::from(Shape(dims), rows);
}

std::vector<uint8_t> IntegerNetwork::quantize(const Tensor& x) const {
  const ActivationFormat format{.is_signed = input_slot->is_signed};
  const int bits = input_slot->precisions[0];
  const Tensor codes = quantize_activation(x.detach(), input_slot->clip.detach(), bits, format, *input_slot->quantizer);
  std::vector<uint8_t> out(codes.data().size());
  std::ranges::transform(codes.data(), out.begin(),
                         [](float code) { return static_cast<uint8_t>(static_cast<int>(code)); });
  return out;
}

}  // namespace mixgrad
