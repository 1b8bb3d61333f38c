// SPDX-License-Identifier: Apache-2.0
// The blocks of MobileNetV2, MobileNetV3 and EfficientNet.
#pragma once

#include "blocks.h"

#include <mixgrad/models.h>

#include <optional>
#include <span>

namespace mixgrad::models {

struct InvertedResidualOptions {
  int64_t in = 0, expanded = 0, out = 0, kernel = 3, stride = 1;
  int64_t squeezed = 0;  ///< channels of its squeeze and excite; 0: none
  Activate activate = relu6;
};

/// Pointwise to `expanded` channels (unless there are as many), depthwise, pointwise without an activation; plus the
/// input if sizes allow (Sandler et al. 2018, arXiv 1801.04381).
class InvertedResidual : public nn::Module {
 public:
  explicit InvertedResidual(const InvertedResidualOptions& options);
  Tensor forward(const Tensor& x) override;

 private:
  std::optional<ConvBlock> expand_;
  ConvBlock depthwise_;
  std::optional<SqueezeExcite> excite_;
  ConvBlock project_;
  bool adds_input_;
};

struct InvertedResidualStage {
  int64_t expansion, out, blocks, stride, kernel;  // the stride of the first block
};

/// A classifier: a 3×3 convolution to `first` channels that halves the image, the blocks of all stages as block1,
/// block2,
/// ... with options.width times their channels, a pointwise convolution to `last` channels, and a linear layer.
std::unique_ptr<nn::Module> inverted_residual_net(std::span<const InvertedResidualStage> stages, int64_t first,
                                                  int64_t last, const ClassifierOptions& options);

}  // namespace mixgrad::models
