// SPDX-License-Identifier: Apache-2.0
#include "../golden.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <doctest/doctest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

using namespace mixgrad;
namespace fs = std::filesystem;

namespace {

/// A temporary folder, removed at the end.
struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "mixgrad-io-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
  int64_t files() const { return std::distance(fs::directory_iterator(path), fs::directory_iterator()); }
};

/// "bad_input: message" or "failed_run: message" of the error that `body` throws; "" if it throws none.
template <typename Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return std::string(error.kind() == Error::Kind::bad_input ? "bad_input: " : "failed_run: ") + error.what();
  }
  return "";
}

std::string safetensors_bytes(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

/// The error in reading a file with these bytes, without the path.
std::string complaint(const std::string& bytes) {
  const Folder folder;
  const std::string path = folder / "t.safetensors";
  io::write_file(path, bytes);
  std::string message = error_of([&] { io::read_safetensors(path); });
  const std::string start = "bad_input: " + path + ": ";
  CHECK(message.find('\n') == std::string::npos);
  return message.starts_with(start) ? message.substr(start.size()) : message;
}

std::string entry(const std::string& name, const std::string& shape, uint64_t begin, uint64_t end) {
  return "\"" + name + "\":{\"dtype\":\"F32\",\"shape\":" + shape + ",\"data_offsets\":[" + std::to_string(begin) +
         "," + std::to_string(end) + "]}";
}

/// The error of `write` when no file may grow beyond 4096 bytes.
template <typename Write>
std::string error_on_a_full_disk(const Write& write) {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 4096, .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string error = error_of(write);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  return error;
}

}  // namespace

TEST_CASE("io: a written file has its content, whether it existed before or not, and leaves no temporary file") {
  const Folder folder;
  const std::string path = folder / "a.bin", content("x\0y\n", 4);
  io::write_file(path, "something longer than what follows");
  io::write_file(path, content);
  CHECK(io::read_file(path) == content);
  io::write_file(path, "");
  CHECK(io::read_file(path).empty());
  CHECK(folder.files() == 1);
  const std::string large(3'000'001, 'q');
  io::write_file(path, large);
  CHECK(io::read_file(path) == large);
}

TEST_CASE("io: a link remains a link, and the longest possible name can be written") {
  const Folder folder;
  io::write_file(folder / "real", "old");
  fs::create_symlink("real", folder / "link");
  io::write_file(folder / "link", "new");
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(io::read_file(folder / "real") == "new");
  io::write_file(folder / std::string(255, 'n'), "long");
  CHECK(io::read_file(folder / std::string(255, 'n')) == "long");
  CHECK(folder.files() == 3);
}

TEST_CASE("io: a file name without a folder is written to the working folder") {
  const Folder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path);
  io::write_file("here", "1");
  fs::current_path(before);
  CHECK(io::read_file(folder / "here") == "1");
}

TEST_CASE("io: a failed write names the path and the reason, and leaves nothing behind") {
  const Folder folder;
  const std::string lost = folder / "none/a", taken = folder / "taken";
  CHECK(error_of([&] { io::write_file(lost, "1"); }) ==
        "failed_run: can't write " + lost + ": No such file or directory");
  fs::create_directory(taken);
  CHECK(error_of([&] { io::write_file(taken, "1"); }) == "failed_run: can't write " + taken + ": Is a directory");
  if (fs::exists("/dev/full")) {
    CHECK(error_of([&] { io::write_file("/dev/full", "1"); }) ==
          "failed_run: can't write /dev/full: No space left on device: free some space");
    CHECK(fs::is_character_file("/dev/full"));
  }
  CHECK(folder.files() == 1);
}

TEST_CASE("io: a write that fails half-way leaves the old file and no temporary file") {
  const Folder folder;
  const std::string path = folder / "a", large(100'000, 'q');
  io::write_file(path, "old");
  CHECK(error_on_a_full_disk([&] { io::write_file(path, large); }) ==
        "failed_run: can't write " + path + ": File too large");
  CHECK(io::read_file(path) == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("io: write_at appends at its offset completely, or not at all") {
  const Folder folder;
  const std::string path = folder / "a", large(100'000, 'q');
  io::write_at(path, 0, "one\ntwo\n");
  io::write_at(path, 4, "2\n");
  io::write_at(path, 6, "3\n");
  CHECK(io::read_file(path) == "one\n2\n3\n");
  CHECK(error_on_a_full_disk([&] { io::write_at(path, 8, large); }) ==
        "failed_run: can't write " + path + ": File too large");
  CHECK(io::read_file(path) == "one\n2\n3\n");
  CHECK(error_of([&] { io::write_at(path, 9, "4\n"); }) ==
        "failed_run: can't write " + path + ": it has changed: 8 bytes, expected at least 9");
  io::write_at(path, 4, "");
  CHECK(io::read_file(path) == "one\n");
  const std::string lost = folder / "none";
  CHECK(error_of([&] { io::write_at(lost, 1, "x"); }) ==
        "failed_run: can't write " + lost + ": No such file or directory");
  CHECK(folder.files() == 1);
}

TEST_CASE("io: a file that can't be read is bad input, by name") {
  const Folder folder;
  const std::string lost = folder / "none";
  CHECK(error_of([&] { io::read_file(lost); }) == "bad_input: can't read " + lost + ": No such file or directory");
  CHECK(error_of([&] { io::read_file(folder.path.string()); }) ==
        "bad_input: can't read " + folder.path.string() + ": Is a directory");
}

TEST_CASE("safetensors: the bytes follow the format") {
  const Folder folder;
  io::Safetensors content;
  // Logical [1, 2, 1, 2] is stored channels-last in memory; the file is row-major.
  content.tensors.emplace_back("w", Tensor::from({1, 2, 1, 2}, std::vector<float>{1, 2, 3, 4}));
  content.tensors.emplace_back("s", Tensor::scalar(5));
  content.metadata = {{"z", "last"}, {"a", "q\"\n"}};
  const std::string path = folder / "t";
  io::write_safetensors(path, content);
  std::string header = R"({"__metadata__":{"a":"q\"\n","z":"last"},)" + entry("w", "[1,2,1,2]", 0, 16) + "," +
                       entry("s", "[]", 16, 20) + "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::vector<float> values{1, 2, 3, 4, 5};
  CHECK(io::read_file(path) == safetensors_bytes(header, {reinterpret_cast<const char*>(values.data()), 20}));
}

TEST_CASE("safetensors: content is read back exactly") {
  const Folder folder;
  io::Safetensors content;
  content.tensors.emplace_back("rank 0", Tensor::scalar(-0.0F));
  content.tensors.emplace_back(
      "later \xc3\xa9\n\"",
      Tensor::from({2}, std::vector<float>{std::nanf("7"), std::numeric_limits<float>::infinity()}));
  content.tensors.emplace_back("empty b", Tensor::empty({0, 3}));
  content.tensors.emplace_back("empty a", Tensor::empty({0}));
  content.tensors.emplace_back("cube", Tensor::from({2, 1, 2}, std::vector<float>{1, 2, 3, 4}));
  std::vector<float> counting(2 * 3 * 4 * 5);
  for (size_t i = 0; i < counting.size(); ++i) counting[i] = static_cast<float>(i);
  content.tensors.emplace_back("rank 4", Tensor::from({2, 3, 4, 5}, counting));
  content.metadata["case"] = "{}";
  io::write_safetensors(folder / "a", content);
  const io::Safetensors read = io::read_safetensors(folder / "a");
  REQUIRE(read.tensors.size() == content.tensors.size());
  CHECK(read.metadata == content.metadata);
  for (size_t i = 0; i < read.tensors.size(); ++i) {
    CHECK(read.tensors[i].first == content.tensors[i].first);
    CHECK(read.tensors[i].second.shape() == content.tensors[i].second.shape());
  }
  CHECK(read.at("rank 4").to_vector() == counting);
  CHECK(std::signbit(read.at("rank 0").item()));
  io::write_safetensors(folder / "b", read);
  CHECK(io::read_file(folder / "a") == io::read_file(folder / "b"));
  CHECK(read.contains("empty a"));
  CHECK_FALSE(read.contains("nothing"));
  CHECK(error_of([&] { read.at("nothing"); }) == "bad_input: " + (folder / "a") + ": no tensor \"nothing\"");
}

TEST_CASE("safetensors: invalid content is refused before anything is written") {
  const Folder folder;
  const std::string path = folder / "t";
  const auto error = [&](std::vector<std::pair<std::string, Tensor>> tensors) {
    io::Safetensors content;
    content.tensors = std::move(tensors);
    return error_of([&] { io::write_safetensors(path, content); });
  };
  const Tensor one = Tensor::scalar(1);
  CHECK(error({{"a", one}, {"a", one}}) == "bad_input: " + path + ": duplicate or reserved tensor name \"a\"");
  CHECK(error({{"__metadata__", one}}) ==
        "bad_input: " + path + ": duplicate or reserved tensor name \"__metadata__\"");
  CHECK(error({{"a", Tensor()}}) == "bad_input: " + path + ": tensor \"a\" is empty");
  CHECK(error({{"\xff", one}}) == "bad_input: " + path + ": \"\xef\xbf\xbd\" is not valid UTF-8");
  CHECK(folder.files() == 0);
}

TEST_CASE("safetensors: the order of the header does not matter, the order of the values does") {
  const Folder folder;
  const std::vector<float> values{1, 2, 3};
  io::write_file(folder / "t", safetensors_bytes("{" + entry("b", "[2]", 4, 12) + "," + entry("a", "[1]", 0, 4) + "}",
                                                 {reinterpret_cast<const char*>(values.data()), 12}));
  const io::Safetensors read = io::read_safetensors(folder / "t");
  REQUIRE(read.tensors.size() == 2);
  CHECK(read.tensors[0].first == "a");
  CHECK(read.at("b").to_vector() == std::vector<float>{2, 3});
  io::write_file(folder / "none", safetensors_bytes("{}", ""));
  CHECK(io::read_safetensors(folder / "none").tensors.empty());
}

TEST_CASE("safetensors: the error for every malformed file says what is wrong") {
  const std::string four(4, 'x'), eight(8, 'x');
  const auto with = [](const std::string& items, const std::string& data) {
    return complaint(safetensors_bytes("{" + items + "}", data));
  };

  CHECK(complaint("") == "0 bytes is too short for a safetensors file");
  CHECK(complaint("1234567") == "7 bytes is too short for a safetensors file");
  CHECK(complaint(std::string(16, '\xff')) ==
        "not a safetensors file: header of 18446744073709551615 bytes, over the limit of 100000000");
  CHECK(complaint(safetensors_bytes("{}", "").substr(0, 9)) == "truncated: header of 2 bytes, but only 1 bytes follow");
  CHECK(complaint(safetensors_bytes("", four)) == "not a safetensors file: the header is not a JSON object");
  CHECK(complaint(safetensors_bytes("[]", "")) == "not a safetensors file: the header is not a JSON object");
  CHECK(complaint(safetensors_bytes("{\"a\":}", "")) == "the header is not valid JSON (offset 14)");
  CHECK(complaint(safetensors_bytes("{\"\xff\":1}", "")) == "the header is not valid JSON (offset 11)");
  CHECK(complaint(safetensors_bytes("{} x", "")) == "the header is not valid JSON (offset 12)");
  CHECK(complaint(safetensors_bytes(std::string(100000, '{'), "")) == "the header is not valid JSON (offset 10)");
  CHECK(with("\"a\":1e999", "") == "the header contains a number that is out of range");

  CHECK(with("\"a\":1", "") == "tensor \"a\" has no dtype");
  CHECK(with("\"a\":{\"dtype\":7}", "") == "tensor \"a\": dtype is not a string");
  CHECK(with("\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}", four) ==
        "tensor \"a\" has dtype \"F16\": only F32 is supported");
  CHECK(with("\"a\":{\"dtype\":\"F32\"}", "") == "tensor \"a\" has no shape");
  CHECK(with("\"a\\nb\":{\"dtype\":\"F32\",\"shape\":[1]}", "") == "tensor \"a\\nb\" has no data_offsets");
  CHECK(with(entry("a", "{}", 0, 4), four) == "tensor \"a\": shape is not an array");
  CHECK(with(entry("a", "[1,1,1,1,1]", 0, 4), four) == "tensor \"a\" has 5 dimensions: at most 4 are supported");
  const std::string bad_shape = "tensor \"a\": invalid shape: expected an array of sizes within 64 bits";
  for (const char* shape : {"[-1]", "[1.0]", "[\"1\"]", "[4294967296,4294967296]", "[0,4294967296,4294967296]",
                            "[18446744073709551615]", "[4611686018427387904]", "[99999999999999999999]", "[null]"})
    CHECK(with(entry("a", shape, 0, 4), four) == bad_shape);
  CHECK(with("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}", four) ==
        "tensor \"a\": data_offsets is not [begin, end]");
  CHECK(with("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}", four) ==
        "tensor \"a\": data_offsets is not [begin, end]");
  CHECK(with(entry("a", "[1]", 4, 0), four) == "tensor \"a\": data_offsets [4, 0] end before they begin");
  CHECK(with(entry("a", "[2]", 0, 8), four) ==
        "tensor \"a\": its values end at 8, but the file has 4 bytes of values (truncated?)");
  CHECK(with(entry("a", "[1000000000000]", 0, 4000000000000), four) ==
        "tensor \"a\": its values end at 4000000000000, but the file has 4 bytes of values (truncated?)");
  CHECK(with(entry("a", "[2]", 0, 4), four) == "tensor \"a\": shape [2] needs 8 bytes, but data_offsets span 4");
  CHECK(with(entry("a", "[1]", 0, 4) + "," + entry("b", "[1]", 0, 4), four) ==
        "tensor \"b\" overlaps the one before it");
  CHECK(with(entry("a", "[1]", 4, 8), eight) == "gap of 4 bytes before tensor \"a\"");
  CHECK(with(entry("a", "[1]", 0, 4), eight) == "4 bytes follow the last tensor");
  CHECK(with("", four) == "4 bytes follow the last tensor");

  CHECK(with(entry("a", "[1]", 0, 4) + "," + entry("a", "[1]", 4, 8), eight) == "the header has \"a\" twice");
  CHECK(with("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}", four) ==
        "the header has \"shape\" twice");
  CHECK(with("\"__metadata__\":[]", "") == "__metadata__ is not an object");
  CHECK(with("\"__metadata__\":{\"k\":1}", "") == "__metadata__: the value of \"k\" is not a string");
  CHECK(with("\"__metadata__\":{\"k\":\"1\",\"k\":\"1\"}", "") == "the header has \"k\" twice");
}

TEST_CASE("safetensors: an empty tensor with another, huge dimension is read at once") {
  const Folder folder;
  io::write_file(folder / "t", safetensors_bytes("{" + entry("a", "[1000000000000,0,1,1]", 0, 0) + "}", ""));
  const io::Safetensors read = io::read_safetensors(folder / "t");
  CHECK(read.at("a").size() == 0);
  io::write_safetensors(folder / "u", read);
  CHECK(io::read_safetensors(folder / "u").at("a").shape() == Shape({1000000000000, 0, 1, 1}));
}

TEST_CASE("safetensors: every truncated or corrupted file leads to a result or bad input") {
  const Folder folder;
  io::Safetensors content;
  content.tensors.emplace_back("ab", Tensor::from({2, 1}, std::vector<float>{1, 2}));
  content.tensors.emplace_back("c", Tensor::scalar(3));
  content.metadata["k"] = "v";
  io::write_safetensors(folder / "t", content);
  const std::string whole = io::read_file(folder / "t");
  const auto outcome = [&](const std::string& bytes) {
    std::ofstream(folder / "u", std::ios::binary | std::ios::trunc) << bytes;
    return error_of([&] { io::read_safetensors(folder / "u"); });
  };
  for (size_t n = 0; n < whole.size(); ++n)
    CHECK(outcome(whole.substr(0, n)).starts_with("bad_input: " + (folder / "u")));
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {1, 2, 4, 32, 64, 128}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      const std::string message = outcome(changed);
      CHECK_MESSAGE((message.empty() || message.starts_with("bad_input: " + (folder / "u"))), message);
    }
  }
}

TEST_CASE("safetensors: every golden case can be read") {
  int cases = 0;
  for (const auto& file : fs::directory_iterator(test::golden_folder())) {
    if (file.path().extension() != ".safetensors") continue;
    const io::Safetensors read = io::read_safetensors(file.path().string());
    CHECK(read.metadata.contains("case"));
    CHECK_FALSE(read.tensors.empty());
    ++cases;
  }
  CHECK(cases > 0);
}
