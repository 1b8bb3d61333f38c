// SPDX-License-Identifier: Apache-2.0
// From the network found to a device, and from an ONNX file to the network found, with the real program.
#include "../models/onnx_net.h"
#include "../shell.h"
#include "../skip.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

using namespace mixgrad;
using nlohmann::json;

namespace {

const std::string mixgrad_binary = std::string("'") + MIXGRAD_BINARY + "' ";
const std::string untrained =
    " --warmup-epochs 0 --search-epochs 0 --finetune-epochs 0 --threads 2 --quiet --data glyphs ";
const std::string on_little = untrained + "--data glyphs:100 --model ds_cnn ";

/// The output of a command; the test fails unless it exits with `exit_code`.
std::string run(const test::Folder& place, const std::string& arguments, int exit_code = 0) {
  place.run(fmt::format("{}{}; test $? = {}", mixgrad_binary, arguments, exit_code));
  return place.said();
}

}  // namespace

TEST_CASE("cli: the network found is verified, exported as C and ONNX, and timed") {
  const test::Folder place;
  run(place, "search" + untrained + "--weight-bits 2,4,8 --act-bits 4,8 --out run");
  const std::string verified = run(place, "verify run --images 200");
  for (const char* word : {"stack3.add", "100.0000%", "same top-1 on 200 of 200 images", "bytes on a device"})
    CHECK(verified.find(word) != std::string::npos);
  const json bytes = json::parse(io::read_file(place.path / "run/summary.json")).at("device_bytes");
  CHECK(verified.find(fmt::format("{} of constants", bytes.at("constants").get<int64_t>())) != std::string::npos);

  const std::string arena = "#define NET_ARENA_BYTES ";
  const auto arena_of = [&](const std::string& folder) {
    const std::string header = io::read_file(place.path / folder / "net.h");
    return std::stol(header.substr(header.find(arena) + arena.size()));
  };
  CHECK(run(place, "export run --to c --out net --images 3").find("net.c") != std::string::npos);
  run(place, "search" + on_little + "--act-bits 4 --out narrow");
  run(place, "export narrow --to c --out bytes");
  run(place, "export narrow --to c --out packed --pack-activations");
  CHECK(arena_of("packed") < arena_of("bytes"));
  CHECK(json::parse(run(place, "verify narrow --images 2 --json --pack-activations")).at("device_bytes").at("arena") ==
        arena_of("packed"));
  if (test::has("gcc")) place.run("gcc -std=c99 net/net.c net/net_test.c -o net_test && ./net_test");
  run(place, "export run --to onnx --out net.onnx");
  CHECK(io::read_file(place.path / "net.onnx").size() > 1000);
  if (test::has("arm-none-eabi-gcc") && test::has("qemu-system-arm")) {
    place.run("MIXGRAD=" + mixgrad_binary + "'" MIXGRAD_SOURCE_DIR "/examples/cortex-m/run' run");
    for (const char* word : {"image 4: class ", " instructions\nmemory: ", " static in all"})
      CHECK(place.said().find(word) != std::string::npos);
  }
  const json times = json::parse(run(place, "bench inference run --images 3 --json"));
  for (const char* key : {"float_ms", "discrete_ms", "integer_ms"}) CHECK(times.at(key).get<double>() > 0);

  CHECK(verified.find("C package") != std::string::npos);
  CHECK(run(place, "verify run --images 2 --no-c").find("C package") == std::string::npos);
  CHECK(run(place, "verify run --c-images 0", 2)
            .find("c-images: 0 is not possible: expected at least 1, or --no-c to leave out the C package") !=
        std::string::npos);
  CHECK(run(place, "export run --to java --out net", 2).find("expected c, onnx") != std::string::npos);
  CHECK(run(place, "export run --to c", 2).find("--out is missing") != std::string::npos);
  CHECK(run(place, "export run --to c --out net --prefix Net", 2).find("prefix: 'Net': expected a lower-case name") !=
        std::string::npos);
  CHECK(run(place, "profile run", 2).find("--target is missing: expected cortex-m0plus, ") != std::string::npos);
  CHECK(run(place, "cost-table --target cortex-m4", 2)
            .find("--out is missing: expected a file, such as cortex-m4.toml") != std::string::npos);
  CHECK(run(place, "cost-table --target z80 --out z80.toml", 2).find("unknown 'z80'") != std::string::npos);
  CHECK(run(place, "cost-table --target cortex-m4 --out nowhere/m4.toml", 2).find("nowhere") != std::string::npos);
  CHECK(run(place, "profile run --target z80", 2).find("target: unknown 'z80'") != std::string::npos);
  CHECK(run(place, "profile run --target cortex-m4 --optimization fast", 2).find("'fast': expected 0, 1, 2, 3, s") !=
        std::string::npos);
  CHECK(run(place, "verify nowhere", 2).find("nowhere: no such folder") != std::string::npos);
  CHECK(run(place, "bench inference run --images 0", 2).find("images: 0") != std::string::npos);
  CHECK(run(place, "bench inference run --batch 0", 2).find("batch: 0") != std::string::npos);
  CHECK(run(place, "bench inference run --batch 1000000", 2).find("expected at most the ") != std::string::npos);
}

TEST_CASE("cli: the C package is built and compared before it is written") {
  if (!test::has("gcc")) return test::skip("no gcc: apt-get install gcc");
  const test::Folder place;
  run(place, "search" + on_little + "--weight-bits 2 --out run");
  const json verified = json::parse(run(place, "verify run --images 2 --c-images 3 --json"));
  CHECK(verified.at("c_package").at("images") == 3);
  CHECK(verified.at("c_package").at("equal") == 3);
  CHECK(json::parse(run(place, "verify run --images 2 --no-c --json")).at("c_package").is_null());
  CHECK(run(place, "export run --to c --out net --images 3").find("compared: built by ") != std::string::npos);

  place.run("CC=no-such-compiler " + mixgrad_binary + "verify run --images 2");
  CHECK(place.said().find("C package: not compared: no C compiler found") != std::string::npos);
  place.run("CC=no-such-compiler " + mixgrad_binary + "export run --to c --out uncompared");
  CHECK(place.said().find("not compared: no C compiler found") != std::string::npos);
  CHECK(std::filesystem::exists(place.path / "uncompared/net.c"));

  io::write_file(place.path / "wrong",
                 "#!/bin/sh\n[ ! -f net.c ] || sed -i 's/x < low ? low/x < low ? high/' net.c\nexec gcc \"$@\"\n");
  place.run("chmod +x wrong; CC=$PWD/wrong " + mixgrad_binary + "verify run --images 2; test $? = 1");
  CHECK(place.said().find("the C package's outputs differ from the integer engine's on ") != std::string::npos);
  place.run("CC=$PWD/wrong " + mixgrad_binary + "export run --to c --out other; test $? = 1");
  CHECK(place.said().find("nothing was written") != std::string::npos);
  CHECK(!std::filesystem::exists(place.path / "other"));
}

TEST_CASE("cli: Ctrl-C while another program runs leaves no temporary files") {
  const test::Folder place;
  run(place, "search" + on_little + "--out run");
  io::write_file(place.path / "slow", "#!/bin/sh\ntouch started\nexec sleep 100\n");
  io::write_file(place.path / "script.sh",
                 "set -m  # otherwise jobs ignore SIGINT\n"
                 "chmod +x slow; mkdir temporary\nTMPDIR=$PWD/temporary CC=$PWD/slow " +
                     mixgrad_binary +
                     "verify run --images 2 >out 2>err &\n"
                     "until [ -n \"$(find temporary -name started)\" ]; do kill -0 $! || break; sleep 0.1; done\n"
                     "code=0; kill -INT -$!; wait $! || code=$?\n"
                     "[ $code = 130 ] && [ -z \"$(ls -A temporary)\" ]\n");
  place.run("timeout 100 bash script.sh");
  CHECK(io::read_file(place.path / "err").find("mixgrad: interrupted\n") != std::string::npos);
}

TEST_CASE("cli: a model's path may contain any characters") {
  if (!test::has("gcc")) return test::skip("no gcc: apt-get install gcc");
  const test::Folder place;
  const std::string folder = "a *_ int x; \"; rm _* <_script> \xff\\";  // everything but a slash
  const std::string file = "*/" + folder + ".onnx";
  std::filesystem::create_directories(place.path / folder / "*");
  io::write_file(place.path / folder / file, test::plain_onnx_file());
  const std::string in = fmt::format("cd {} && ", test::quoted(folder));
  place.run(in + mixgrad_binary + "search" + on_little + "--model " + test::quoted(file) +
            " --search-epochs 1 --out run");
  place.run(in + mixgrad_binary + "search" + on_little + "--model " + test::quoted("../" + folder + "/" + file) +
            " --out again");
  place.run(in + mixgrad_binary + "search" + on_little + "--model " + test::quoted("../" + folder + "/" + file) +
            " --out again --resume");
  place.run(in + mixgrad_binary + "verify again --images 2");
  place.run(in + mixgrad_binary + "export again --to c --out 'net */'");
  const std::string header = io::read_file(place.path / folder / "net */net.h");
  CHECK(header.starts_with("/* a *_ int x; \"; rm _* <_script> ?\\.onnx: an integer network"));
  place.run(in + mixgrad_binary + "export again --to onnx --out net.onnx");
}

TEST_CASE("cli: export to ONNX does not need the run's data") {
  const test::Folder place;
  run(place, "search" + on_little + "--out run");
  std::string summary = io::read_file(place.path / "run/summary.json");
  const std::string glyphs = "\"data\": \"glyphs:100\"";
  io::write_file(place.path / "run/summary.json",
                 summary.replace(summary.find(glyphs), glyphs.size(), "\"data\": \"cifar10:/gone\""));
  run(place, "export run --to onnx --out net.onnx");
  CHECK(io::read_file(place.path / "net.onnx").size() > 1000);
  CHECK(run(place, "export run --to c --out net", 2).find("/gone") != std::string::npos);
  CHECK(run(place, "export nowhere --to onnx --out other.onnx", 2).find("nowhere: no such folder") !=
        std::string::npos);
}

TEST_CASE("cli: networks that end with a convolution and a pool are searched, verified and exported") {
  const test::Folder place;
  test::OnnxNet pooled({3, 32, 32}), image({3, 32, 32});
  for (test::OnnxNet* n : {&pooled, &image}) {
    n->node("Conv", "c1", {"x", n->floats("c1.weight", {8, 3, 3, 3}), n->floats("c1.bias", {8})});
    n->list("strides", {4, 4});
    n->node("Relu", "r1", {"c1"});
    n->node("Conv", "c2", {"r1", n->floats("c2.weight", {10, 8, 1, 1})});
    n->node("GlobalAveragePool", "p", {"c2"});
  }
  pooled.node("Flatten", "f", {"p"});
  io::write_file(place.path / "pooled.onnx", pooled.bytes("f"));
  io::write_file(place.path / "image.onnx", image.bytes("p"));
  for (const std::string name : {"pooled", "image"}) {
    CAPTURE(name);
    run(place, fmt::format("search --model {0}.onnx --search-epochs 1 --finetune-epochs 1 --threads 2 --quiet --data "
                           "glyphs:100 --out {0}",
                           name));
    const json verified = json::parse(run(place, fmt::format("verify {} --json", name)));
    CHECK(verified.at("same_top1") == verified.at("images"));
    run(place, fmt::format("export {0} --to onnx --out {0}.out.onnx", name));
    run(place, fmt::format("export {0} --to c --out {0}.c", name));
  }
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
  CHECK(run(place, "search --model cut.onnx" + untrained, 2).find("cut.onnx: corrupt") != std::string::npos);
}

TEST_CASE("cli: unsupported operators of an ONNX file are listed, one line per kind") {
  const test::Folder place;
  test::OnnxNet n({3, 8, 8});
  n.node("Softsign", "t", {"x"});
  n.node("Celu", "e", {"t"});
  io::write_file(place.path / "net.onnx", n.bytes("e"));
  const std::string said = run(place, "inspect net.onnx", 2);
  CAPTURE(said);
  CHECK(said.find("2 kinds of operators can't be imported:\n  1 x Celu ('node_e'): ") != std::string::npos);
  CHECK(said.find("\n  1 x Softsign ('node_t'): ") != std::string::npos);
}
