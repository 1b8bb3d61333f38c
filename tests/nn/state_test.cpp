// SPDX-License-Identifier: Apache-2.0
// Weights from a file: invalid values are refused by tensor and index, and change nothing.
#include "../refusal.h"
#include "../shell.h"

#include <mixgrad/io.h>
#include <mixgrad/models.h>
#include <mixgrad/nn.h>

#include <doctest/doctest.h>

#include <limits>

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
