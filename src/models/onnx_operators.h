// SPDX-License-Identifier: Apache-2.0
// Import of ONNX operators: one function per family.
#pragma once

#include "onnx_context.h"

#include <string>

namespace mixgrad::models {

using Import = Value (*)(Context&, const onnx_file::Node&);

/// Null if the operator is not supported.
Import import_of(const std::string& op);

// onnx_layers.cpp
Value import_conv(Context& c, const onnx_file::Node& n);
Value import_conv_transpose(Context& c, const onnx_file::Node& n);
Value import_gemm(Context& c, const onnx_file::Node& n);
Value import_matmul(Context& c, const onnx_file::Node& n);

// onnx_elementwise.cpp
Value import_arithmetic(Context& c, const onnx_file::Node& n);
Value import_batch_norm(Context& c, const onnx_file::Node& n);
Value import_relu(Context& c, const onnx_file::Node& n);
Value import_clip(Context& c, const onnx_file::Node& n);
Value import_ending(Context& c, const onnx_file::Node& n);
/// A constant as one value per channel or feature of x, which is flattened if that is necessary.
std::vector<float> along_channels(Context& c, const onnx_file::Node& n, const onnx_file::Constant& constant, Value& x);
/// Whether only changes of shape lie between a node and the network's output.
bool ends_network(const onnx_file::File& file, const onnx_file::Node& n);

// onnx_functions.cpp
/// Replaces the nodes that a function is written out in, in whatever order and with whatever operators, by one node.
void recognize_functions(onnx_file::File& file);
Value import_function(Context& c, const onnx_file::Node& n);
Value import_prelu(Context& c, const onnx_file::Node& n);
Value applied(Context& c, const FunctionAttrs& f, const Value& x);
// onnx_moves.cpp
Value import_concat(Context& c, const onnx_file::Node& n);
Value import_slice(Context& c, const onnx_file::Node& n);
/// Returns the first part; the others become values by their names.
Value import_split(Context& c, const onnx_file::Node& n);
Value import_gather(Context& c, const onnx_file::Node& n);
Value import_resize(Context& c, const onnx_file::Node& n);
/// The channels of an image, shuffled (channel_shuffle).
Value shuffled(Context& c, const Value& x, int64_t groups);
/// Whether axis `i` after N is our channels or features.
bool is_channels(const Layout& l, size_t i);

// onnx_pools.cpp
Value import_pad(Context& c, const onnx_file::Node& n);
Value import_pool(Context& c, const onnx_file::Node& n);
Value import_global_pool(Context& c, const onnx_file::Node& n);
Value import_reduce(Context& c, const onnx_file::Node& n);
/// Checks the sizes of a window.
void check_window(const Context& c, const onnx_file::Node& n, std::initializer_list<int64_t> sizes);
/// The node's attribute pads: {top, left, bottom, right}.
std::array<int64_t, 4> pads_attribute(const Context& c, const onnx_file::Node& n, const Layout& layout);
/// The node's padding, for an input of `size` {height, width} and windows that span `reach` {rows, columns}.
std::array<int64_t, 4> padding_of(const Context& c, const onnx_file::Node& n, const Layout& layout,
                                  std::array<int64_t, 2> size, std::array<int64_t, 2> reach,
                                  std::array<int64_t, 2> stride);

// onnx_shapes.cpp
Value import_same(Context& c, const onnx_file::Node& n);
Value import_cast(Context& c, const onnx_file::Node& n);
Value import_expand(Context& c, const onnx_file::Node& n);
Value import_flatten(Context& c, const onnx_file::Node& n);
Value import_reshape(Context& c, const onnx_file::Node& n);
Value import_squeeze(Context& c, const onnx_file::Node& n);
Value import_unsqueeze(Context& c, const onnx_file::Node& n);
Value import_transpose(Context& c, const onnx_file::Node& n);

// onnx_ends.cpp
/// Declares the file's input as the module's: [N, C, H, W], [N, H, W, C], [N, H, W] for grey images, signals [N, C, L]
/// or [N, L, C] as images of one row, or [N, features] as images of one pixel. Returns the C, H, W of an image.
Shape declare_input(Context& c, const Options& options);
/// The file's output as the module returns it: images as [N, C, H, W], anything else as [N, values] in the file's
/// order.
Value take_result(Context& c);
/// Moves the file's arithmetic before the first layer into `model`, as mean and std.
void take_normalization(const Context& c, Model& model);

/// Throws bad_input that counts the unsupported operators by kind, with advice on each.
void refuse_unsupported(const onnx_file::File& file);

}  // namespace mixgrad::models
