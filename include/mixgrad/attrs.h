// SPDX-License-Identifier: Apache-2.0
// Attributes of operators; those of elementwise functions are in types.h.
#pragma once

#include <mixgrad/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace mixgrad {

struct Conv2dAttrs {
  std::array<int64_t, 2> stride{1, 1};         ///< height, width
  std::array<int64_t, 4> padding{0, 0, 0, 0};  ///< top, left, bottom, right
  std::array<int64_t, 2> dilation{1, 1};
  int64_t groups = 1;
  bool operator==(const Conv2dAttrs&) const = default;
};

struct ConvTranspose2dAttrs {
  std::array<int64_t, 2> stride{1, 1};
  std::array<int64_t, 4> padding{0, 0, 0, 0};   ///< taken off the output's edges; each less than the kernel's span
  std::array<int64_t, 2> output_padding{0, 0};  ///< more rows and columns at the end; less than stride + padding
  std::array<int64_t, 2> dilation{1, 1};
  int64_t groups = 1;
  bool operator==(const ConvTranspose2dAttrs&) const = default;
};

struct Pool2dAttrs {
  std::array<int64_t, 2> kernel{2, 2};
  std::array<int64_t, 2> stride{0, 0};         ///< 0: same as the kernel
  std::array<int64_t, 4> padding{0, 0, 0, 0};  ///< top, left, bottom, right; each less than the kernel's span
  std::array<int64_t, 2> dilation{1, 1};       ///< of max pooling
  bool ceil = false;                           ///< the last window may extend past the padded image
  bool count_padding = true;                   ///< averages include padding as zeros, but nothing past it
  bool operator==(const Pool2dAttrs&) const = default;
};

struct SelectAttrs {
  std::vector<int64_t> channels = {};  ///< of the input, in the order of the output
  bool operator==(const SelectAttrs&) const = default;
};

struct Pad2dAttrs {
  std::array<int64_t, 4> padding{0, 0, 0, 0};  ///< top, left, bottom, right
  bool operator==(const Pad2dAttrs&) const = default;
};

struct Upsample2dAttrs {
  std::array<int64_t, 2> factor{2, 2};  ///< of height, width
  bool operator==(const Upsample2dAttrs&) const = default;
};

struct OutputsAttrs {
  std::vector<std::string> names = {};  ///< one for each input
  bool operator==(const OutputsAttrs&) const = default;
};

struct BatchNormAttrs {
  float eps = 1e-5F;
  float momentum = 0.1F;  ///< weight of the current batch in the running mean and variance
  bool training = false;
  bool operator==(const BatchNormAttrs&) const = default;
};

}  // namespace mixgrad
