// SPDX-License-Identifier: Apache-2.0
// Weights from a file: invalid values are refused by tensor and index, and change nothing.
#include "../refusal.h"
#include "../shell.h"

#include <mixgrad/io.h>
#include <mixgrad/models.h>
#include <mixgrad/nn.h>

#include <doctest/doctest.h>

#include <limits>
#include <memory>

using namespace mixgrad;

namespace {

/// The error of load_state for resnet8's weights with one value changed; the network must not change.
std::string refused(const std::string& tensor, size_t index, float value) {
  const test::Folder folder;
  const std::string path = folder.path / "weights.safetensors";
  const models::Model written = models::make("resnet8", 10), read = models::make("resnet8", 10);
  io::Safetensors content = nn::to_safetensors(*written.net);
  content.at(tensor).data()[index] = value;
  io::write_safetensors(path, content);
  const std::string before = io::checksum(nn::to_safetensors(*read.net));
  const std::string message = test::refusal([&] { nn::load_state(*read.net, path); });
  CHECK(io::checksum(nn::to_safetensors(*read.net)) == before);
  CHECK(message.find(path) != std::string::npos);
  return message;
}

bool says(const std::string& message, const std::string& words) { return message.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("state: NaN and infinite weights are refused, naming tensor and index") {
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(says(refused("fc.weight", 7, nan), R"("fc.weight" contains NaN at index 7)"));
  CHECK(says(refused("conv.weight", 0, infinity), R"("conv.weight" contains infinity at index 0)"));
  CHECK(says(refused("bn.running_mean", 3, -infinity), R"("bn.running_mean" contains -infinity at index 3)"));
}

TEST_CASE("state: a negative variance is refused") {
  CHECK(says(refused("bn.running_var", 2, -0.5F), "'bn.running_var' contains -0.5 at index 2"));
}

TEST_CASE("state: the weight of a transposed convolution has PyTorch's order in files") {
  const auto make = [](uint64_t seed) {
    auto net = std::make_unique<nn::Sequential>(std::make_unique<nn::ConvTranspose2d>(
        nn::ConvTranspose2dOptions{.in_channels = 4, .out_channels = 6, .kernel = {3, 2}, .groups = 2}));
    nn::initialize(*net, Rng(seed, "init"));
    return net;
  };
  const auto net = make(1), other = make(2);
  const test::Folder folder;
  const std::string path = folder.path / "weights.safetensors";
  nn::save_state(*net, path);
  const Tensor ours = net->parameters()[0], stored = io::read_safetensors(path).at("0.weight");
  CHECK(ours.shape() == Shape{6, 2, 3, 2});
  CHECK(stored.shape() == Shape{4, 3, 3, 2});
  const std::vector<float> rows = ours.to_vector(), columns = stored.to_vector();
  const auto at = [&](int64_t o, int64_t i, int64_t p) {  // output o of its group, of input i
    return columns[static_cast<size_t>((i * 3 + o % 3) * 6 + p)] == rows[static_cast<size_t>((o * 2 + i % 2) * 6 + p)];
  };
  for (int64_t p = 0; p < 6; ++p) {
    CHECK(at(0, 0, p));
    CHECK(at(2, 1, p));
    CHECK(at(4, 3, p));
  }
  nn::load_state(*other, path);
  CHECK(other->parameters()[0].to_vector() == rows);
  io::Safetensors wrong = nn::to_safetensors(*net);
  wrong.tensors[0].second = ours;
  io::write_safetensors(path, wrong);
  CHECK(says(test::refusal([&] { nn::load_state(*other, path); }),
             "has shape [6, 2, 3, 2], but the network expects [4, 3, 3, 2]"));
}
