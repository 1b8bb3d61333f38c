// SPDX-License-Identifier: Apache-2.0
// Networks of the MLPerf Tiny benchmark (Banbury et al. 2021).
#pragma once

#include <mixgrad/nn.h>

#include <memory>
#include <string>
#include <vector>

namespace mixgrad::models {

/// Image classification: 3 residual stacks, [N, 3, 32, 32] to [N, classes]; 77,360 weights with 10 classes.
std::unique_ptr<nn::Module> resnet8(int64_t classes = 10);

/// A network of the zoo and the input it is made for.
struct Model {
  std::string name;
  Shape input_shape;  ///< C, H, W
  std::unique_ptr<nn::Module> net;
};

/// The model called `name`; bad_input lists the names when there is none.
Model make(const std::string& name, int64_t classes);
std::vector<std::string> names();

}  // namespace mixgrad::models
