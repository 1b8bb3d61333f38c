// SPDX-License-Identifier: Apache-2.0
// Packages must compile without warnings and give the engine's bytes: on this machine with gcc and clang, and on
// processors that QEMU emulates.
#include "../networks.h"
#include "../refusal.h"
#include "../shell.h"
#include "../skip.h"
#include "forms.h"

#include <mixgrad/profile.h>
#include <src/deploy/boards.h>

#include <doctest/doctest.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

using namespace mixgrad;
using test::has;

namespace {

const std::string device = std::string(MIXGRAD_SOURCE_DIR) + "/tests/deploy/device/";
const std::string strict = " -std=c99 -Wall -Wextra -Wconversion -Wshadow -pedantic -Werror ";

struct Case {
  std::string name;
  Graph graph;
  data::Dataset images;
  bool packs_activations = false;
};

/// Networks with every op and every kind of channels, some of them with activations that share bytes.
std::vector<Case> cases() {
  std::vector<Case> out;
  const auto add = [&](const std::string& name, const models::Model& model, MixPrecType type,
                       const std::vector<int>& bits, const Shape& input, int64_t images) {
    out.push_back(
        {name, test::random_export(model, type, bits, 50 + out.size(), input), test::random_images(images, input, 9)});
  };
  const models::Model resnet8 = test::random_model("resnet8", 41), mobilenet = test::random_model("mobilenet_v1", 42),
                      ds_cnn = test::random_model("ds_cnn", 43);
  add("resnet8 per channel", resnet8, MixPrecType::PER_CHANNEL, {2, 4, 8}, resnet8.input_shape, 6);
  add("resnet8 pruned", resnet8, MixPrecType::PER_CHANNEL, {0, 2, 3, 8}, resnet8.input_shape, 6);
  add("mobilenet_v1 pruned", mobilenet, MixPrecType::PER_CHANNEL, {0, 2, 4, 8}, {3, 48, 48}, 6);
  add("ds_cnn at 2 bits", ds_cnn, MixPrecType::PER_LAYER, {2}, ds_cnn.input_shape, 6);
  add("autoencoder", test::random_model("autoencoder", 44), MixPrecType::PER_CHANNEL, {2, 4, 8}, {640, 1, 1}, 6);
  for (const bool quantize_output : {false, true})
    out.push_back({"every op", test::every_op(quantize_output, 45), test::random_images(6, {3, 16, 16}, 9)});
  add("ds_cnn pruned", ds_cnn, MixPrecType::PER_CHANNEL, {0, 2, 4, 8}, ds_cnn.input_shape, 300);
  out.push_back({"resnet8 on glyphs", out[0].graph, data::glyphs(1, 0.1, {.train = 100, .test = 300}).test});
  for (const char* name : {"resnet8 pruned", "mobilenet_v1 pruned", "ds_cnn pruned", "every op"}) {
    Case packed = *std::ranges::find(out, name, &Case::name);
    packed.name += ", activations packed";
    packed.packs_activations = true;
    out.push_back(std::move(packed));
  }
  return out;
}

/// The engine's outputs as the package writes them.
std::string expected_bytes(const IntegerNetwork& network, const std::vector<uint8_t>& inputs, int64_t images) {
  const std::vector<int32_t> outputs = IntegerEngine(network, images).run(inputs);
  std::string bytes;
  for (const int32_t v : outputs) {
    if (network.result().raw) {
      bytes.append(reinterpret_cast<const char*>(&v), sizeof v);
    } else {
      bytes += static_cast<char>(v);
    }
  }
  return bytes;
}

const char* c_type(const IntegerNode& n) { return n.raw ? "int32_t" : n.is_signed() ? "int8_t" : "uint8_t"; }

struct Written {
  /// The test program has `in_test` images, from `first` on.
  Written(const Case& c, int64_t in_test, int64_t first = 0) : network(to_integer(c.graph)) {
    network.packs_activations = c.packs_activations;
    CHECK(shares_bytes(network) == c.packs_activations);
    data::Loader loader(c.images, {.batch_size = c.images.size()});
    loader.start(0);
    inputs = network.quantize(loader.batch(0).x);
    const auto at = [&](int64_t image) {
      return inputs.begin() + std::min(image, c.images.size()) * network.nodes[0].shape.size();
    };
    const CPackage package = c_package(network, c.name, {at(first), at(first + in_test)});
    io::write_file(folder.path / "net.h", package.header);
    io::write_file(folder.path / "net.c", package.source);
    io::write_file(folder.path / "net_test.c", package.test);
  }
  test::Folder folder;
  IntegerNetwork network;
  std::vector<uint8_t> inputs;
};

/// Compiles the package, for what follows.
void compile(const Written& package, const std::string& compiler) {
  package.folder.run(compiler + strict + "-c net.c");
}

/// Checks that the test program has the engine's outputs.
void check_test(const Written& package, const std::string& compiler) {
  package.folder.run(compiler + strict + "net.o net_test.c -o test && ./test");
  CHECK(package.folder.said().find("images agree") != std::string::npos);
}

/// Checks that a program gives the engine's outputs for all inputs.
void check_all_images(const Written& package, const std::string& compiler) {
  io::write_file(package.folder.path / "inputs",
                 {reinterpret_cast<const char*>(package.inputs.data()), package.inputs.size()});
  package.folder.run(fmt::format("{}{} -DIN={} -DOUT={} -I. net.o '{}driver.c' -o driver && ./driver <inputs >outputs",
                                 compiler, strict, c_type(package.network.nodes[0]), c_type(package.network.result()),
                                 device));
  const int64_t images = std::ssize(package.inputs) / package.network.nodes[0].shape.size();
  CHECK(io::read_file(package.folder.path / "outputs") == expected_bytes(package.network, package.inputs, images));
}

/// Sets CC in the environment during its lifetime.
class Compiler {
 public:
  explicit Compiler(const std::string& command) {
    if (const char* before = std::getenv("CC")) before_ = before;
    ::setenv("CC", command.c_str(), 1);
  }
  ~Compiler() { before_ ? ::setenv("CC", before_->c_str(), 1) : ::unsetenv("CC"); }
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

 private:
  std::optional<std::string> before_;
};

/// Builds a program for a board in `folder` and runs it; returns whether its tools are installed.
bool run_on(const Board& board, const std::string& flags, const test::Folder& folder) {
  if (!has(board.tools + "gcc") || !has(board.run.substr(0, board.run.find(' ')))) {
    test::skip("no tools for " + board.name + ": apt-get install " + board.packages);
    return false;
  }
  for (const auto& [name, text] : board.files) io::write_file(folder.path / name, text);
  folder.run(fmt::format("{}gcc {} {} net.c net_test.c {} -o program && timeout 300 {}", board.tools, board.flags,
                         flags, board.linking, board.run));
  return true;
}

CPackage small_package() {
  const IntegerNetwork network = to_integer(test::every_op(false, 45));
  return c_package(network, "every op", first_codes(network, test::random_images(3, {3, 16, 16}, 9), 3));
}

}  // namespace

TEST_CASE("C package: compiles without warnings and gives the engine's bytes") {
  if (!has("gcc")) return test::skip("no gcc: apt-get install gcc");
  std::vector<std::string> compilers = {"gcc -O3 -march=native", "gcc -O1 -march=native -fsanitize=address,undefined"};
  if (has("clang-14")) compilers.push_back("clang-14 -O2");
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const Written package(c, 20);
    for (const std::string& compiler : compilers) {
      compile(package, compiler);
      check_test(package, compiler);
      check_all_images(package, compiler);
    }
  }
}

TEST_CASE("C package: networks of the zoo give the engine's bytes on 1000 images" * doctest::skip()) {
  for (const std::vector<int>& bits : {std::vector{2, 3, 4, 5, 6, 7, 8}, {0, 2, 4, 8}}) {
    for (const test::FormCase& c : test::zoo_cases(bits, 1000)) {
      for (const bool packs : {false, true}) {
        CAPTURE(c.name);
        CAPTURE(packs);
        const Written package({c.name, c.graph, c.images, packs}, 1);
        compile(package, "gcc -O3 -march=native");
        check_all_images(package, "gcc -O3 -march=native");
      }
    }
  }
}

TEST_CASE("C package: scales of layers may be extreme, and differ between channels by 32 powers of two") {
  if (!has("gcc")) return test::skip("no gcc: apt-get install gcc");
  IntegerNetwork network = to_integer(test::every_op(true, 45));
  bool first = true;
  for (IntegerNode& node : network.nodes) {
    if (!node.is_layer()) continue;
    integer::Layer& layer = *node.layer();
    std::ranges::fill(layer.weights, int8_t{1});  // sums so small that they could be doubled many times
    std::fill(layer.weights.begin() + layer.weights_per_channel() / 4, layer.weights.end(), int8_t{0});
    layer.bias.clear();
    layer.ratios.front() = {1 << 30, 30};
    layer.ratios[1] = {1 << 30, 44};
    layer.ratios.back() = {1 << 30, 12};
    if (!std::exchange(first, false)) continue;
    std::ranges::fill(layer.weights, int8_t{0});
    std::ranges::fill(layer.ratios, FixedPoint{1 << 30, 0});
  }
  const test::Folder folder;
  write_c_package(c_package(network, "scales", first_codes(network, test::random_images(5, {3, 16, 16}, 9), 5)),
                  folder.path);
  folder.run("gcc -O1 -fsanitize=undefined -fno-sanitize-recover" + strict + "net.c net_test.c -o test && ./test");
  CHECK(folder.said().find("images agree") != std::string::npos);
}

TEST_CASE("C package: the header states the memory that the compiler allocates") {
  if (!has("gcc") || !has("size")) return test::skip("no gcc and size: apt-get install gcc binutils");
  const Written package(cases()[0], 1);
  package.folder.run("gcc -std=c99 -Os -fno-pic -c net.c -o net.o && size -A net.o");
  const auto section = [said = package.folder.said()](const char* name) {
    const size_t at = said.find(name);
    return at == std::string::npos ? 0L : std::atol(said.c_str() + at + std::strlen(name));
  };
  const DeviceBytes bytes = device_bytes(package.network);
  CHECK(section(".bss") >= bytes.arena);
  CHECK(section(".bss") < bytes.arena + 64);
  const auto layers = std::ranges::count_if(package.network.nodes, &IntegerNode::is_layer);
  const auto adds = std::ranges::count(package.network.nodes, "add", &IntegerNode::op_name);
  CHECK(section(".rodata") >= bytes.constants() - 5 * adds);     // an Add's numbers are in the code
  CHECK(section(".rodata") < bytes.constants() + 200 * layers);  // 64-bit addresses, and gaps between arrays
  CHECK(section(".text") < 6000);
}

TEST_CASE("C package: the same bytes on Cortex-M0+, M3, M4, M7, M55 and 32-bit RISC-V") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const Written package(c, 6);
    for (const Board& board : boards()) {
      if (board.unit != "instructions") continue;  // the host: see above
      CAPTURE(board.name);
      if (run_on(board, "-O2" + strict, package.folder))
        CHECK(package.folder.said().find("images agree") != std::string::npos);
    }
  }
}

namespace {

/// The images of a test program that fit beside the network into the least memory for code of any board.
int64_t images_that_fit(const IntegerNetwork& network) {
  constexpr int64_t room = 440 << 10;
  const int64_t image = network.nodes[0].shape.size() + 4 * network.output_size();
  return std::clamp<int64_t>((room - device_bytes(network).constants()) / image, 1, 20);
}

}  // namespace

TEST_CASE("C package: networks of the zoo give the engine's bytes on every board" * doctest::skip()) {
  for (const Board& board : boards()) {
    if (board.unit != "instructions") continue;
    for (const test::FormCase& c : test::zoo_cases({0, 2, 3, 4, 5, 6, 7, 8}, 20)) {
      CAPTURE(board.name);
      CAPTURE(c.name);
      const int64_t fit = images_that_fit(c.network);
      for (int64_t first = 0; first < 20; first += fit) {
        CAPTURE(first);
        const Written package({c.name, c.graph, c.images, true}, fit, first);
        if (!run_on(board, "-O2" + strict, package.folder)) break;
        CHECK(package.folder.said().find("images agree") != std::string::npos);
      }
    }
  }
}

TEST_CASE("C package: the same bytes on Cortex-M4 at other levels of optimization") {
  const Board& board = *std::ranges::find(boards(), "cortex-m4", &Board::name);
  const Written package(cases()[0], 20);
  for (const std::string level : {"-O0", "-Os", "-O3"}) {
    CAPTURE(level);
    if (!run_on(board, level + strict, package.folder)) return;
    CHECK(package.folder.said().find("images agree") != std::string::npos);
  }
}

TEST_CASE("profile: instructions of an inference, in all and by operator, and memory") {
  if (!has("arm-none-eabi-gcc") || !has("qemu-system-arm"))
    return test::skip("no Arm: apt-get install " + boards()[0].packages);
  // Of random networks: their sums need doubling, and neighbouring channels rarely have equal bits, so that two of them
  // take more instructions than the networks of README, found by searches.
  const struct {
    const char *model, *target;
    std::vector<int> bits;
    MixPrecType type;
    double most;  ///< million instructions
  } bounds[] = {{"resnet8", "cortex-m4", {8}, MixPrecType::PER_LAYER, 16},
                {"resnet8", "cortex-m4", {4}, MixPrecType::PER_LAYER, 17.5},
                {"resnet8", "cortex-m4", {2}, MixPrecType::PER_LAYER, 17.5},
                {"resnet8", "cortex-m4", {2, 4, 8}, MixPrecType::PER_CHANNEL, 18.5},
                {"resnet8", "cortex-m55", {8}, MixPrecType::PER_LAYER, 4.6},
                {"resnet8", "cortex-m55", {2, 4, 8}, MixPrecType::PER_CHANNEL, 6},
                {"ds_cnn", "cortex-m4", {8}, MixPrecType::PER_LAYER, 5.2},
                {"ds_cnn", "cortex-m7", {8}, MixPrecType::PER_LAYER, 5.3}};
  for (const auto& b : bounds) {
    CAPTURE(b.model);
    CAPTURE(b.target);
    CAPTURE(fmt::format("{}", fmt::join(b.bits, ", ")));
    const models::Model model = test::random_model(b.model, 41);
    const IntegerNetwork network = to_integer(test::random_export(model, b.type, b.bits, 51, model.input_shape));
    const Profile p = profile(network, b.target);
    int64_t sum = 0, macs = 0;
    for (const Profile::Operator& o : p.operators) sum += o.time, macs += o.macs;
    CHECK(sum <= p.time);
    CHECK(static_cast<double>(sum) > 0.99 * static_cast<double>(p.time));
    CHECK(macs == p.macs());
    CHECK(p.time >= macs / 4);
    CHECK(static_cast<double>(p.time) <= b.most * 1e6);
    CHECK(p.ram_bytes >= plan_arena(network).bytes);
    CHECK(p.constant_bytes >= device_bytes(network).constants() - 100);
    CHECK(p.code_bytes < 6000);
    CHECK(p.stack_bytes > 100);
    CHECK(p.stack_bytes < 2000);
  }
  CHECK(test::refusal([&] {
          profile(to_integer(test::every_op(false, 45)), "z80");
        }).find("'z80': expected cortex-m0plus, ") != std::string::npos);
}

TEST_CASE("profile: on this machine, by its clock") {
  if (!has("gcc")) return test::skip("no gcc: apt-get install gcc");
  const models::Model model = test::random_model("ds_cnn", 41);
  const Profile p = profile(to_integer(test::random_export(model, MixPrecType::PER_LAYER, {8}, 51)), "host");
  CHECK((p.unit == "cycles" || p.unit == "nanoseconds"));
  CHECK(p.operators.size() == 11);
  for (const Profile::Operator& o : p.operators) CHECK(o.time > 0);
  CHECK(p.time > p.macs() / 64);
}

TEST_CASE("cost table: those in tables/ predict what whole networks take within 10%, and are made by the command") {
  if (!has("arm-none-eabi-gcc") || !has("qemu-system-arm"))
    return test::skip("no Arm: apt-get install " + boards()[0].packages);
  const auto table = [](const std::string& target) {
    return cost::find(fmt::format("table:{}/tables/{}.toml", MIXGRAD_SOURCE_DIR, target));
  };
  for (const std::string target : {"cortex-m4", "cortex-m7", "cortex-m55"}) {
    for (const std::string name : {"resnet8", "ds_cnn"}) {
      for (const std::vector<int>& bits : {std::vector{8}, {2, 4, 8}}) {
        CAPTURE(target);
        CAPTURE(name);
        CAPTURE(bits.size());
        const models::Model model = test::random_model(name, 41);
        const Graph graph = test::random_export(model, MixPrecType::PER_CHANNEL, bits, 51);
        const double measured = static_cast<double>(profile(to_integer(graph), target).time);
        CHECK(cost::discrete(graph, table(target)) == doctest::Approx(measured).epsilon(0.1));
      }
    }
  }
  const CostTable made = measure_costs("cortex-m4");
  CHECK(made.predicted == doctest::Approx(made.measured).epsilon(0.1));
  const Graph graph = test::every_op(true, 45);
  CHECK(cost::discrete(graph, cost::look_up(made.table, "")) ==
        doctest::Approx(cost::discrete(graph, table("cortex-m4"))).epsilon(0.01));
}

TEST_CASE("C package: it is C++ as well, and networks with different prefixes link into one program") {
  if (!has("g++")) return test::skip("no g++: apt-get install g++");
  const test::Folder folder;
  const IntegerNetwork network = to_integer(test::every_op(false, 45));
  const std::vector<uint8_t> codes = first_codes(network, test::random_images(3, {3, 16, 16}, 9), 3);
  for (const std::string prefix : {"kws_1", "wake"}) {
    const CPackage package = c_package(network, "every op", codes, prefix);
    write_c_package(package, folder.path);
    CHECK((package.header + package.source + package.test).find("NET_") == std::string::npos);
  }
  io::write_file(folder.path / "both.c",
                 "#include \"kws_1.h\"\n#include \"wake.h\"\n"
                 "int main(void) { return KWS_1_INPUT_SIZE == WAKE_INPUT_SIZE && kws_1_run != wake_run ? 0 : 1; }\n");
  const std::string warnings = " -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -pedantic -Werror ";
  for (const std::string compiler : {"gcc -std=c99", "g++ -x c++ -std=c++11"}) {
    folder.run(compiler + warnings + "kws_1.c wake.c both.c -o both && ./both");
    folder.run(compiler + warnings + "-mavx2 -c wake.c -o wake.o");
    folder.run(compiler + warnings + "kws_1.c kws_1_test.c -o test && ./test");
  }
  folder.run("gcc -c -DWAKE_SECTION='__attribute__((section(\".external\")))' wake.c -o wake.o && size -A wake.o");
  CHECK(folder.said().find(".external") != std::string::npos);
  for (const std::string prefix : {"", "Net", "1net", "net-1", "net run", "nét"})
    CHECK(test::refusal([&] { c_package(network, "", codes, prefix); }).find("prefix: '" + prefix + "'") == 0);
}

TEST_CASE("C package: the same bytes on RISC-V") {
  if (!has("riscv64-linux-gnu-gcc") || !has("qemu-riscv64"))
    return test::skip("no RISC-V: apt-get install gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user");
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const Written package(c, 20);
    package.folder.run("riscv64-linux-gnu-gcc -O2 -static" + strict + "net.c net_test.c -o test && qemu-riscv64 test");
    CHECK(package.folder.said().find("images agree") != std::string::npos);
  }
}

TEST_CASE("C package: the formula in its header gives the engine's codes for raw input values") {
  if (!test::has("gcc")) return test::skip("no gcc: apt-get install gcc");
  Graph graph = test::every_op(false, 45);
  graph.normalization = {.mean = {0.485F, 0.25F, -1}, .std = {0.5F, 2, 0.25F}};
  const IntegerNetwork network = to_integer(graph);
  const Tensor read = test::random_batch(1, {3, 16, 16}, 2, 4).x, x = read.clone();
  for (size_t i = 0; i < x.data().size(); ++i)
    x.data()[i] = (x.data()[i] - graph.normalization.mean[i % 3]) / graph.normalization.std[i % 3];
  const test::Folder folder;
  io::write_file(folder.path / "net.h", c_package(network, "normalized", {}).header);
  io::write_file(folder.path / "codes.c",
                 fmt::format(R"(#include "net.h"
#include <math.h>
static const float values[] = {{{:.9g}}}, mean[] = NET_INPUT_MEAN, std[] = NET_INPUT_STD;
static const int codes[] = {{{}}};
int main(void) {{
  int i, different = 0;
  for (i = 0; i < NET_INPUT_SIZE; ++i) {{
    const float v = values[i], code = rintf((v - mean[i % 3]) / std[i % 3] / NET_INPUT_SCALE);
    different += (code < 0 ? 0 : code > 255 ? 255 : (int)code) != codes[i];
  }}
  return different;
}}
)",
                             fmt::join(read.data(), ", "), fmt::join(network.quantize(x), ", ")));
  folder.run("gcc -std=c99 -Wall -Wextra -pedantic -Werror codes.c -o codes -lm && ./codes");
  CHECK(c_package(to_integer(test::every_op(false, 45)), "plain", {}).header.find("NET_INPUT_MEAN") ==
        std::string::npos);
}

TEST_CASE("C package: built and run by any compiler") {
  const CPackage package = small_package();
  for (const char* none : {"no-such-compiler", "false", "/dev/null", "/"}) {
    const Compiler compiler(none);
    CAPTURE(none);
    CHECK(!run_c_package(package));
  }
  if (!test::has("gcc")) return test::skip("no gcc: apt-get install gcc");
  const Compiler compiler("gcc -O0");
  const std::optional<CPackageRun> run = run_c_package(package);
  REQUIRE(run);
  CHECK(run->compiler == "gcc");
  CHECK(run->images == 3);
  CHECK(run->equal == 3);
}

TEST_CASE("C package: wrong outputs, failed builds and crashes are detected") {
  if (!test::has("gcc")) return test::skip("no gcc: apt-get install gcc");
  const Compiler compiler("gcc");
  CPackage other = small_package(), broken = small_package(), stops = small_package();
  other.source.replace(other.source.find("x > high ? high"), 15, "x > high ? high - 1");
  REQUIRE(run_c_package(other));
  CHECK(run_c_package(other)->equal < 3);
  broken.source += "int;\n#error a reason\n";
  CHECK(test::refusal([&] { run_c_package(broken); }, Error::Kind::failed_run)
            .find("the C package does not build: gcc: net.c:") == 0);
  stops.test.replace(stops.test.find("int image, i"), 3, "return 3; int");
  CHECK(test::refusal([&] { run_c_package(stops); }, Error::Kind::failed_run) ==
        "the test of the C package, built by gcc, failed with exit code 3");
}

TEST_CASE("C package: written completely or not at all") {
  const CPackage package = small_package();
  const test::Folder folder;
  const auto entries = [](const std::filesystem::path& p) {
    return std::distance(std::filesystem::directory_iterator(p), {});
  };
  write_c_package(package, folder.path / "a/b");
  CHECK(entries(folder.path / "a/b") == 3);
  CHECK(io::read_file(folder.path / "a/b/net.c") == package.source);
  io::write_file(folder.path / "a/b/kept", "");
  write_c_package(package, folder.path / "a/b");
  CHECK(entries(folder.path / "a/b") == 4);

  io::write_file(folder.path / "file", "");
  CHECK(test::refusal([&] { write_c_package(package, folder.path / "file"); }).find("can't create folder") !=
        std::string::npos);
  CHECK(test::refusal([&] { write_c_package(package, folder.path / "file/below"); }).find("can't create folder") !=
        std::string::npos);
  std::filesystem::create_directories(folder.path / "taken/net_test.c");
  CHECK(test::refusal([&] { write_c_package(package, folder.path / "taken"); }).find("net_test.c is a folder") !=
        std::string::npos);
  CHECK(entries(folder.path / "taken") == 1);
}
