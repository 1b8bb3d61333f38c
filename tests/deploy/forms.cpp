// SPDX-License-Identifier: Apache-2.0
#include "forms.h"

#include "../networks.h"
#include "../random_graph.h"
#include "../shell.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <sstream>

namespace mixgrad::test {
namespace {

Tensor all_of(const data::Dataset& images) {
  data::Loader loader(images, {.batch_size = images.size()});
  loader.start(0);
  return loader.batch(0).x;
}

Tensor before(const Normalization& n, const Tensor& x) {
  Tensor out = x.clone();
  const size_t channels = n.mean.size();
  for (size_t i = 0; channels > 0 && i < out.data().size(); ++i)
    out.data()[i] = out.data()[i] * n.std[i % channels] + n.mean[i % channels];
  return out;
}

/// Writes package `number` so that several can be linked together.
void write_package(const Folder& folder, const IntegerNetwork& network, const FormCase& c, size_t number) {
  const std::filesystem::path own = folder.path / std::to_string(number);
  std::filesystem::create_directory(own);
  const CPackage package = c_package(network, c.name, network.quantize(c.x));
  io::write_file(own / "net.h", package.header);
  io::write_file(own / "net.c", package.source);
  io::write_file(own / "net_test.c", package.test);
  io::write_file(
      folder.path / fmt::format("net_{}.c", number),
      fmt::format(
          "#define net_run net_run_{0}\n#define main main_{0}\n#include \"{0}/net.c\"\n#include \"{0}/net_test.c\"\n"
          "const float steps_{0}[2] = {{NET_INPUT_SCALE, NET_OUTPUT{1}_SCALE}};\n",
          number, network.outputs.size() > 1 ? "0" : ""));
}

}  // namespace

FormCase::FormCase(std::string case_name, Graph discrete, data::Dataset data)
    : name(std::move(case_name)),
      graph(std::move(discrete)),
      images(std::move(data)),
      x(all_of(images)),
      as_read(before(graph.normalization, x)) {
  INFO(about());
  REQUIRE_NOTHROW(network = to_integer(graph));
}

std::string FormCase::about() const { return name + "\n" + structure(graph); }

void check_engine(const FormCase& c) {
  INFO(c.about());
  for (const auto kernels : {IntegerEngine::Kernels::fastest, IntegerEngine::Kernels::reference}) {
    const Agreement agreement = compare(c.graph, c.network, c.images, c.images.size(), kernels);
    for (const TensorAgreement& t : agreement.tensors) {
      CAPTURE(t.name);
      CHECK(t.equal == t.codes);
    }
    CHECK(!agreement.result_broken);
  }
}

void check_c(const std::vector<FormCase>& cases, const std::string& flags) {
  const Folder folder;
  std::string declared, called;
  std::vector<const FormCase*> of_package;
  for (const FormCase& c : cases) {
    IntegerNetwork network = c.network;
    write_package(folder, network, c, of_package.size());
    of_package.push_back(&c);
    network.packs_activations = true;
    if (!shares_bytes(network)) continue;
    write_package(folder, network, c, of_package.size());
    of_package.push_back(&c);
  }
  for (size_t i = 0; i < of_package.size(); ++i) {
    declared += fmt::format("int main_{}(void);\n", i);
    called += fmt::format("  printf(\"{0} \");\n  bad += main_{0}();\n", i);
  }
  io::write_file(folder.path / "all.c",
                 fmt::format("#include <stdio.h>\n{}int main(void) {{\n  int bad = 0;\n{}  return bad < 0;\n}}\n",
                             declared, called));
  const std::string gcc = "gcc " + flags + " -std=c99 -Wall -Wextra -Wconversion -pedantic -Werror ";
  folder.run("printf '%s\\0' *.c | xargs -0 -n 1 -P $(nproc) " + gcc + "-c && " + gcc + "*.o -o all && ./all");
  std::istringstream lines(folder.said());
  std::map<size_t, std::string> said;
  for (std::string line; std::getline(lines, line);) said[std::stoull(line)] = line.substr(line.find(' ') + 1);
  for (size_t i = 0; i < of_package.size(); ++i) {
    INFO(of_package[i]->about());
    CHECK(said[i] == fmt::format("{0} of {0} images agree", of_package[i]->images.size()));
  }
}

std::vector<FormCase> zoo_cases(const std::vector<int>& weight_bits, int64_t images) {
  std::vector<FormCase> out;
  uint64_t seed = 70;
  for (const std::string& name : models::names()) {
    const models::Model model = random_model(name, ++seed);
    out.emplace_back(name, random_export(model, MixPrecType::PER_CHANNEL, weight_bits, seed),
                     random_images(images, model.input_shape, seed));
  }
  return out;
}

FormCase random_case(uint64_t seed) {
  RandomNetwork random = random_network(seed, images_of_random_networks);
  return {fmt::format("seed {}", seed), std::move(random.graph), std::move(random.images)};
}

void for_each_batch(uint64_t count, const std::function<void(const std::vector<FormCase>&)>& check) {
  constexpr uint64_t at_once = 50;
  const train::Threads one(1);  // networks this small are not worth waking others for
  for (uint64_t first = 1; first <= count; first += at_once) {
    std::vector<FormCase> batch;
    for (uint64_t seed = first; seed < first + std::min(at_once, count + 1 - first); ++seed)
      batch.push_back(random_case(seed));
    check(batch);
  }
}

}  // namespace mixgrad::test
