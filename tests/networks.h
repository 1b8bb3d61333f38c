// SPDX-License-Identifier: Apache-2.0
// Networks and data shared by several tests.
#pragma once

#include <mixgrad/mixgrad.h>

#include <memory>

namespace mixgrad::test {

/// resnet8 with random weights, and batch-norm statistics from one training step.
std::unique_ptr<nn::Module> random_resnet8(uint64_t seed);
/// A model of the zoo with random weights, and batch-norm statistics from one training step; the large ones narrow, and
/// for small images.
models::Model random_model(const std::string& name, uint64_t seed);
/// Its exported form at random precisions, those of activations among 2, 4 and 8; `input` replaces the model's own
/// shape.
Graph random_export(const models::Model& model, MixPrecType type, const std::vector<int>& weight_bits, uint64_t seed,
                    const Shape& input = {});
/// An exported network with both pools (uneven, past the image, padding counted and not), grouped and depthwise convs,
/// a separate ReLU and ReLU6, squeeze and excite, every function, joined, cut, shuffled, padded and repeated images,
/// and flattened ones: [3, 16, 16] to 5.
Graph every_op(bool quantize_output, uint64_t seed);
/// Images in [0, 1), without labels.
data::Dataset random_images(int64_t images, const Shape& image_shape, uint64_t seed);
/// Images in [0, 1) with random labels.
data::Batch random_batch(int64_t images, const Shape& image_shape, int64_t classes, uint64_t seed);
/// What the model is trained for: its usual task; on label maps if it returns maps.
const train::Task& task_of(const models::Model& model);
/// Images in [0, 1) with what the model's task reads, at random.
data::Batch random_batch(int64_t images, const models::Model& model, uint64_t seed);
/// Draws every α from N(0, 1), so that precisions interleave, and different clips.
void randomize_architecture(MixPrec& net, uint64_t seed);
/// Whether both have the same bytes.
bool same_bytes(std::span<const float> a, std::span<const float> b);

}  // namespace mixgrad::test
