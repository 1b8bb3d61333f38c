// SPDX-License-Identifier: Apache-2.0
#include <dnnl.hpp>

#include "conv2d_int8.h"
#include "cpu.h"
#include "onednn.h"

namespace mixgrad::kernels {
namespace {

using dnnl::memory;

class Packed : public PackedConv2dInt8 {
 public:
  Packed(const Conv2dSize& s, bool x_signed, std::span<const int8_t> w) {
    const onednn::Planning planning(1);
    const auto type = x_signed ? memory::data_type::s8 : memory::data_type::u8;
    const memory::desc plain = onednn::weight_desc(s, memory::data_type::s8);
    const onednn::Geometry g(s);
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::convolution_forward::primitive_desc chosen(
        {dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
         memory::desc({s.n, s.c_in, s.h, s.w}, type, memory::format_tag::nhwc),
         memory::desc(plain.dims(), memory::data_type::s8, memory::format_tag::any),
         memory::desc({s.n, s.c_out, s.oh, s.ow}, memory::data_type::s32, memory::format_tag::nhwc), g.stride,
         g.dilation, g.pad, g.pad_end},
        attr, onednn::engine());
    conv_ = dnnl::convolution_forward(chosen);
    x_ = chosen.src_desc();
    acc_ = chosen.dst_desc();
    scratchpad_ = chosen.scratchpad_desc();
    weights_ = memory(chosen.weights_desc(), onednn::engine());
    const memory from(plain, onednn::engine(), const_cast<int8_t*>(w.data()));
    onednn::run(dnnl::reorder(from, weights_), {{DNNL_ARG_FROM, from.get()}, {DNNL_ARG_TO, weights_.get()}});
  }

  void operator()(std::span<const uint8_t> x, std::span<int32_t> acc) const override {
    const memory src(x_, onednn::engine(), const_cast<uint8_t*>(x.data())), dst(acc_, onednn::engine(), acc.data());
    const memory scratchpad(scratchpad_, onednn::engine(),
                            onednn::buffer(onednn::Use::scratchpad, scratchpad_.get_size()));
    onednn::run(conv_, {{DNNL_ARG_SRC, src.get()},
                        {DNNL_ARG_WEIGHTS, weights_.get()},
                        {DNNL_ARG_DST, dst.get()},
                        {DNNL_ARG_SCRATCHPAD, scratchpad.get()}});
  }

 private:
  dnnl::convolution_forward conv_;
  memory::desc x_, acc_, scratchpad_;
  memory weights_;
};

}  // namespace

std::unique_ptr<const PackedConv2dInt8> PackedConv2dInt8::make(const Conv2dSize& s, bool x_signed,
                                                               std::span<const int8_t> w) {
  // oneDNN 2.6.3 gives wrong sums of signed codes for some grouped shapes (8 outputs of 2, 4 or 8 groups).
  const bool grouped = s.groups > 1 && !(s.groups == s.c_in && s.groups == s.c_out);
  if (!int8_is_fast() || (x_signed && grouped)) return nullptr;
  try {
    return std::make_unique<const Packed>(s, x_signed, w);
  } catch (const dnnl::error&) {
    return nullptr;
  }
}

}  // namespace mixgrad::kernels
