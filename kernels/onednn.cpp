// SPDX-License-Identifier: Apache-2.0
#include "onednn.h"

#include <array>

namespace mixgrad::kernels::onednn {

using dnnl::memory;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

const dnnl::stream& stream() {
  thread_local const dnnl::stream own(engine());
  return own;
}

namespace {
std::mutex planning;
}

#ifdef _OPENMP
int current_threads() { return omp_get_level() > 0 ? 1 : omp_get_max_threads(); }
Planning::Planning(int threads) : alone_(planning), before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
Planning::~Planning() { omp_set_num_threads(before_); }
#else
int current_threads() { return 1; }
Planning::Planning(int) : alone_(planning), before_(1) {}
Planning::~Planning() = default;
#endif

// Calls the C function, which takes an array; the C++ wrapper allocates. It fails only if memory runs out.
void run(const dnnl::primitive& primitive, std::initializer_list<dnnl_exec_arg_t> args) {
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(primitive.get(), stream().get(), static_cast<int>(args.size()), args.begin()),
      "could not run a convolution");
  dnnl::error::wrap_c_api(dnnl_stream_wait(stream().get()), "could not run a convolution");
}

memory::desc weight_desc(const Conv2dSize& s, memory::data_type type) {
  using Dims = memory::dims;
  const int64_t i = s.c_in / s.groups, o = s.c_out / s.groups;
  const Dims dims{s.groups, o, i, s.kh, s.kw}, strides{o * s.kh * s.kw * i, s.kh * s.kw * i, 1, s.kw * i, i};
  if (s.groups > 1) return {dims, type, strides};
  return {Dims(dims.begin() + 1, dims.end()), type, Dims(strides.begin() + 1, strides.end())};
}

namespace {

/// The padding at the end; 0 if no window reaches the last rows.
int64_t end_padding(int64_t in, int64_t out, int64_t k, int64_t stride, int64_t dilation, int64_t pad) {
  return std::max<int64_t>(0, (out - 1) * stride + (k - 1) * dilation + 1 - in - pad);
}

}  // namespace

Geometry::Geometry(const Conv2dSize& s)
    : stride{s.stride_h, s.stride_w},
      dilation{s.dilation_h - 1, s.dilation_w - 1},
      pad{s.pad_top, s.pad_left},
      pad_end{end_padding(s.h, s.oh, s.kh, s.stride_h, s.dilation_h, s.pad_top),
              end_padding(s.w, s.ow, s.kw, s.stride_w, s.dilation_w, s.pad_left)} {}

void* buffer(Use use, size_t bytes) {
  thread_local std::array<memory, 5> buffers;
  memory& m = buffers[static_cast<size_t>(use)];
  if (!m || m.get_desc().get_size() < bytes)
    m = memory({{static_cast<int64_t>(bytes)}, memory::data_type::u8, memory::format_tag::x}, engine());
  return m.get_data_handle();
}

}  // namespace mixgrad::kernels::onednn
