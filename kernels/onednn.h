// SPDX-License-Identifier: Apache-2.0
// What the oneDNN kernels share: engine, streams, descriptions of shapes, buffers of a thread.
#pragma once

#include <algorithm>
#include <dnnl.hpp>
#include <initializer_list>
#include <mutex>

#include "conv2d.h"
#include "parallel.h"

namespace mixgrad::kernels::onednn {

const dnnl::engine& engine();
/// Of the calling thread.
const dnnl::stream& stream();

/// The threads that a primitive made now should plan for.
int current_threads();

/// What must hold while primitives are made. Inside a parallel region oneDNN runs with one thread, but plans for
/// omp_get_max_threads(), also in the key of its own cache of primitives: a kernel with a barrier would wait for ever.
/// So that number is set. And one thread plans at a time: oneDNN 2.6 keeps the size of a convolution's last block of
/// channels in a global variable while it plans (jit_brgemm_conv_utils.cpp), so two at once may get wrong kernels.
class Planning {
 public:
  explicit Planning(int threads);
  ~Planning();
  Planning(const Planning&) = delete;
  Planning& operator=(const Planning&) = delete;

 private:
  std::lock_guard<std::mutex> alone_;
  int before_;
};

void run(const dnnl::primitive& primitive, std::initializer_list<dnnl_exec_arg_t> args);

/// Weights OHWI, in groups where there are several.
dnnl::memory::desc weight_desc(const Conv2dSize& s, dnnl::memory::data_type type);

/// Strides, dilations and paddings in oneDNN's words.
struct Geometry {
  explicit Geometry(const Conv2dSize& s);

  dnnl::memory::dims stride, dilation, pad, pad_end;
};

enum class Use { scratchpad, packed, weights, bias, activations };

/// A buffer of this thread, valid until its next request for the same use.
void* buffer(Use use, size_t bytes);

}  // namespace mixgrad::kernels::onednn
