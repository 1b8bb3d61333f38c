// SPDX-License-Identifier: Apache-2.0
// What the oneDNN kernels share: engine, streams, shape descriptors, per-thread buffers.
#pragma once

#include <algorithm>
#include <dnnl.hpp>
#include <initializer_list>
#include <mutex>

#include "conv2d.h"
#include "parallel.h"

namespace mixgrad::kernels::onednn {

const dnnl::engine& engine();
/// The stream of the calling thread.
const dnnl::stream& stream();

/// The number of threads that a primitive created now should use.
int current_threads();

/// Must be alive while primitives are created. Inside a parallel region oneDNN runs on one thread, but plans for
/// omp_get_max_threads(), also in the key of its primitive cache, so a kernel with a barrier would wait forever.
/// Planning therefore sets that number. It also lets only one thread plan at a time: oneDNN 2.6 keeps the size of a
/// convolution's last channel block in a global variable (jit_brgemm_conv_utils.cpp), so two threads could get wrong
/// kernels.
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

/// Weights OHWI, with a group dimension if there are several groups.
dnnl::memory::desc weight_desc(const Conv2dSize& s, dnnl::memory::data_type type);

/// Strides, dilations and paddings in oneDNN's form.
struct Geometry {
  explicit Geometry(const Conv2dSize& s);

  dnnl::memory::dims stride, dilation, pad, pad_end;
};

enum class Use { scratchpad, packed, weights, bias, activations };

/// A buffer of this thread, valid until the thread next requests one for the same use.
void* buffer(Use use, size_t bytes);

}  // namespace mixgrad::kernels::onednn
