// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"

#include <mixgrad/models.h>

namespace mixgrad::models {

std::unique_ptr<nn::Module> tiny_yolo(const DetectorOptions& o) {
  const Activate leaky = [](const Tensor& x) { return leaky_relu(x, 0.1F); };
  auto net = std::make_unique<Chain>();
  int64_t in = o.channels;
  int number = 0;
  const auto conv = [&](int64_t channels) {  // Redmon and Farhadi 2017; the authors' yolov2-tiny-voc.cfg
    const int64_t out = scaled(channels, o.width);
    net->append<ConvBlock>("conv" + std::to_string(++number), same_conv(in, out, 3), leaky);
    in = out;
  };
  const auto pool = [&](const Pool2dAttrs& attrs) {
    net->append<nn::MaxPool2d>("pool" + std::to_string(number), attrs);
  };
  for (const int64_t channels : {16, 32, 64, 128, 256}) {
    conv(channels);
    pool({.kernel = {2, 2}, .stride = {2, 2}, .ceil = true});
  }
  conv(512);
  pool({.kernel = {2, 2}, .stride = {1, 1}, .padding = {0, 0, 1, 1}});
  conv(1024);
  conv(1024);
  net->append<nn::Conv2d>("conv9", same_conv(in, o.outputs, 1));
  return net;
}

}  // namespace mixgrad::models
