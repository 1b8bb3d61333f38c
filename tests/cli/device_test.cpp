// SPDX-License-Identifier: Apache-2.0
// From a network found to a device, and from an ONNX file to a network found, through the binary.
#include "../models/onnx_net.h"
#include "../shell.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

using namespace mixgrad;
using nlohmann::json;

namespace {

const std::string mixgrad_binary = std::string("'") + MIXGRAD_BINARY + "' ";
const std::string untrained = " --warmup-epochs 0 --search-epochs 0 --finetune-epochs 0 --threads 2 --quiet --data glyphs ";

/// What a command prints; the test fails unless it exits with `exit_code`.
std::string run(const test::Folder& place, const std::string& arguments, int exit_code = 0) {
  place.run(fmt::format("{}{}; test $? = {}", mixgrad_binary, arguments, exit_code));
  return place.said();
}

}  // namespace

TEST_CASE("cli: a network found is verified, exported as C and ONNX, and timed") {
  const test::Folder place;
  run(place, "search" + untrained + "--weight-bits 2,4,8 --act-bits 4,8 --out run");
  const std::string verified = run(place, "verify run --images 200");
  for (const char* word : {"stack3.add", "100.0000%", "same top-1 on 200 of 200 images", "bytes on a device"}) CHECK(verified.find(word) != std::string::npos);
  const json bytes = json::parse(io::read_file(place.path / "run/summary.json")).at("device_bytes");
  CHECK(verified.find(fmt::format("{} of constants", bytes.at("constants").get<int64_t>())) != std::string::npos);

  CHECK(run(place, "export run --to c --out net --images 3").find("net.c") != std::string::npos);
  if (test::has("gcc")) place.run("gcc -std=c99 net/net.c net/net_test.c -o net_test && ./net_test");
  run(place, "export run --to onnx --out net.onnx");
  CHECK(io::read_file(place.path / "net.onnx").size() > 1000);
  const json times = json::parse(run(place, "bench inference run --images 3 --json"));
  for (const char* key : {"float_ms", "discrete_ms", "integer_ms"}) CHECK(times.at(key).get<double>() > 0);

  CHECK(run(place, "export run --to java --out net", 2).find("expected c or onnx") != std::string::npos);
  CHECK(run(place, "export run --to c", 2).find("--out is missing") != std::string::npos);
  CHECK(run(place, "verify nowhere", 2).find("nowhere: no such folder") != std::string::npos);
  CHECK(run(place, "bench inference run --images 0", 2).find("images: 0") != std::string::npos);
}

TEST_CASE("cli: a network from an ONNX file is searched, trained further, and evaluated") {
  const test::Folder place;
  io::write_file(place.path / "net.onnx", test::plain_onnx_file());
  CHECK(run(place, "search --model net.onnx" + untrained + "--out run --act-bits 4").find("c2") != std::string::npos);
  const json summary = json::parse(io::read_file(place.path / "run/summary.json"));
  CHECK(summary.at("layers").size() == 3);
  CHECK(run(place, "eval run") == fmt::format("{:.4f}\n", summary.at("final_accuracy").get<double>()));
  run(place, "train --model net.onnx --data glyphs --epochs 1 --threads 2 --quiet --out further");
  run(place, "search --model net.onnx --init further/float.safetensors" + untrained + "--out again");

  CHECK(run(place, "search --model nowhere.onnx" + untrained, 2).find("nowhere.onnx") != std::string::npos);
  io::write_file(place.path / "cut.onnx", test::plain_onnx_file().substr(0, 900));
  CHECK(run(place, "search --model cut.onnx" + untrained, 2).find("cut.onnx: damaged") != std::string::npos);
}

TEST_CASE("cli: operators of an ONNX file that can't be searched are told a line a kind") {
  const test::Folder place;
  test::OnnxNet n({3, 8, 8});
  n.node("Tanh", "t", {"x"});
  n.node("Elu", "e", {"t"});
  io::write_file(place.path / "net.onnx", n.bytes("e"));
  const std::string said = run(place, "inspect net.onnx", 2);
  CAPTURE(said);
  CHECK(said.find("2 kinds of operators can't be searched:\n  1 x Elu ('node_e'): ") != std::string::npos);
  CHECK(said.find("\n  1 x Tanh ('node_t'): ") != std::string::npos);
}
