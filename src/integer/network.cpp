// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/integer.h>
#include <mixgrad/ops.h>

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

bool IntegerNode::in_place() const {
  return std::visit([](const auto& o) { return o.in_place; }, op);
}

std::vector<uint8_t> IntegerNetwork::quantize(const Tensor& x) const {
  const ActivationFormat format{.is_signed = input_slot->is_signed};
  const int bits = input_slot->precisions[0];
  const Tensor codes = quantize_activation(x.detach(), input_slot->clip.detach(), bits, format, *input_slot->quantizer);
  std::vector<uint8_t> out;
  for (const float code : codes.data()) out.push_back(static_cast<uint8_t>(static_cast<int>(code)));
  return out;
}

}  // namespace mixgrad
