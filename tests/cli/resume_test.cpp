// SPDX-License-Identifier: Apache-2.0
// Resuming runs that were killed, failed, or met a corrupt checkpoint or a full disk.
#include "../shell.h"
#include "../skip.h"
#include "workplace.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/rng.h>
#include <mixgrad/state.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>

#include <sys/mount.h>
#include <unistd.h>

namespace fs = std::filesystem;
using namespace mixgrad;

namespace {

/// Images of 640 random bytes as NumPy arrays: a small data set without labels, for the autoencoder.
void write_images(const fs::path& file, int64_t images) {
  std::string header = fmt::format("{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, 640), }}", images);
  header.resize(117, ' ');
  header += '\n';
  std::string content = std::string("\x93NUMPY\x01", 7) + '\0' + static_cast<char>(header.size()) + '\0' + header;
  Rng rng(1, file.filename().string());
  for (int64_t i = 0; i < images * 640; ++i) content += static_cast<char>(rng.below(256));
  io::write_file(file, content);
}

/// A folder with a small data set, and runs in it.
struct Runs {
  Runs() {
    fs::create_directory(place.path / "data");
    write_images(place.path / "data/x_train.npy", 96);
    write_images(place.path / "data/x_test.npy", 16);
  }

  /// Runs a search of 2 + 2 + 1 epochs, which must end with `exit_code`; returns its output.
  std::string search(const std::string& flags, int exit_code = 0) const {
    place.run(fmt::format(
        "'{}' search --model autoencoder --data npy:data --warmup-epochs 2 --search-epochs 2 --finetune-epochs 1 "
        "--batch-size 24 --lr 0.01 --threads 1 --quiet {}; [ $? = {} ]",
        test::binary(), flags, exit_code));
    return place.said();
  }
  fs::path operator/(const std::string& name) const { return place.path / name; }
  bool holds(const std::string& name) const { return fs::exists(place.path / name); }

  test::Folder place;
};

bool says(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

/// Flips one byte of a file's values, which leaves it well-formed; the second call flips it back.
void damage(const fs::path& file) {
  std::string content = io::read_file(file);
  content[content.size() - 5] ^= 1;
  io::write_file(file, content);
}

/// A separate file system of a limited number of bytes.
class SmallDisk {
 public:
  SmallDisk(fs::path where, int64_t bytes) : where_(std::move(where)) {
    fs::create_directory(where_);
    mounted_ = ::mount("none", where_.c_str(), "tmpfs", 0, fmt::format("size={}", bytes).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(where_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  explicit operator bool() const { return mounted_; }
  void grow(int64_t bytes) const {
    REQUIRE(::mount("none", where_.c_str(), "tmpfs", MS_REMOUNT, fmt::format("size={}", bytes).c_str()) == 0);
  }

 private:
  fs::path where_;
  bool mounted_;
};

}  // namespace

TEST_CASE("state: every bit is restored, and mismatches are named") {
  double numbers[] = {-std::numeric_limits<double>::infinity(), 0.1, 5e-324};
  uint64_t words[] = {0, ~uint64_t{0}};
  int64_t count = -3;
  bool flag = true;
  const Tensor t = Tensor::from({2, 1, 1, 2}, std::vector{1.0F, -0.0F, 1e-45F, 3e38F});
  State state;
  state.add("numbers", numbers);
  state.add("words", words);
  state.add("count", count);
  state.add("flag", flag);
  state.add("t", t);
  io::Safetensors content = state.content();
  const std::vector<float> values = t.to_vector();
  content.tensors[0].second = t.clone();
  for (double& n : numbers) n = 7;
  words[1] = 7;
  count = 7;
  flag = false;
  t.data()[3] = 7;
  state.restore(content);
  CHECK(numbers[0] == -std::numeric_limits<double>::infinity());
  CHECK(numbers[1] == 0.1);
  CHECK(numbers[2] == 5e-324);
  CHECK(words[1] == ~uint64_t{0});
  CHECK(count == -3);
  CHECK(flag);
  CHECK(t.to_vector() == values);

  content.metadata["words"] = "1 2 3";
  CHECK_THROWS_WITH_AS(state.restore(content), "safetensors: 'words' has too many numbers: expected 2", Error);
  content.metadata["words"] = "1";
  CHECK_THROWS_WITH_AS(state.restore(content), "safetensors: 'words' is invalid: expected 2 numbers", Error);
  content.metadata.erase("words");
  CHECK_THROWS_WITH_AS(state.restore(content), "safetensors: 'words' is missing", Error);
  content = state.content();
  content.tensors[0].second = Tensor::zeros({3});
  CHECK_THROWS_WITH_AS(state.restore(content), "safetensors: 't' has shape [3], expected [2, 1, 1, 2]", Error);
}

TEST_CASE("resume: runs killed at random moments end with the same bytes as an undisturbed one") {
  if (!test::has("python3")) return test::skip("resume under kills: apt-get install python3");
  const test::Folder place;
  place.run(fmt::format("'{}/tests/torture/kill_resume.py' '{}' --kills 5 --cases gumbel", MIXGRAD_SOURCE_DIR,
                        test::binary()));
  CHECK(says(place.said(), "5 kills survived"));
}

TEST_CASE("resume: starts a run if there is none, reports a finished one, and refuses contradictory options") {
  const Runs runs;
  runs.search("--resume --out run");
  CHECK(runs.holds("run/summary.json"));
  CHECK_FALSE(runs.holds("run/checkpoint.safetensors"));
  const std::string network = io::read_file(runs / "run/model.safetensors");
  CHECK(runs.search("--resume --out run") == "run holds a finished run: nothing left to do\n");
  CHECK(io::read_file(runs / "run/model.safetensors") == network);
  CHECK(says(runs.search("--resume", 2), "--out is missing"));
  CHECK(says(runs.search("--resume --overwrite --out run", 2), "only one of them"));
  CHECK(says(runs.search("--checkpoint-minutes -1 --out other", 2), "checkpoint-minutes: -1"));
  CHECK(says(runs.search("--resume --target size=1% --out other", 2), "smallest that these candidates reach"));
  CHECK_FALSE(runs.holds("other"));
}

TEST_CASE(
    "resume: a failed run keeps its checkpoint and the previous one, to be resumed with the original settings only") {
  const Runs runs;
  const std::string failing = "--method dnas --strength 1e38 --out run";
  const std::string failed = runs.search(failing, 1);
  CHECK(says(failed, "search, epoch 1, step 1: op scale: infinity at element 0"));
  CHECK(says(failed, "expected smaller weights, or a smaller strength; its folder keeps"));
  CHECK(says(failed, "its folder keeps a checkpoint (warmup, epoch 2 done): fix the cause and continue with --resume"));
  CHECK_FALSE(runs.holds("run/summary.json"));

  CHECK(says(runs.search(failing, 2), "continue it with --resume or replace it with --overwrite"));
  CHECK(says(runs.search("--strength 1 --seed 2 --resume --out run", 2),
             "seed is '2' now, but was '0'; strength is '1.0' now, but was '1e+38'"));
  CHECK(says(runs.search(failing + " --resume --threads 2", 1), "a checkpoint (warmup, epoch 2 done)"));

  damage(runs / "data/x_train.npy");
  CHECK(says(runs.search(failing + " --resume", 2), "resume: data has changed since the run started"));
  damage(runs / "data/x_train.npy");  // restored
  damage(runs / "run/metrics.jsonl");
  CHECK(says(runs.search(failing + " --resume", 2), "metrics.jsonl has changed since the checkpoint"));
  damage(runs / "run/metrics.jsonl");

  damage(runs / "run/checkpoint.safetensors");
  const std::string before = runs.search(failing + " --resume", 1);
  CHECK(says(before,
             "checkpoint.safetensors: the checksum does not match the content: resuming from the previous checkpoint"));
  CHECK(says(before, "search, epoch 1, step 1: op scale: infinity"));
  for (const char* name : {"run/checkpoint.safetensors", "run/checkpoint.previous.safetensors"})
    fs::resize_file(runs / name, 1000);
  CHECK(says(runs.search(failing + " --resume", 2), "start again with --overwrite"));
  CHECK(runs.holds("run/checkpoint.safetensors"));

  runs.search("--overwrite --out run");
  CHECK(runs.holds("run/summary.json"));
  CHECK_FALSE(runs.holds("run/checkpoint.safetensors"));
  CHECK_FALSE(runs.holds("run/checkpoint.previous.safetensors"));
}

TEST_CASE("resume: a run that overwrites another can be resumed while the old one is still there") {
  const Runs runs;
  runs.search("--out run");
  const auto holds_lines = [&](const std::string& name, int64_t lines) {
    const std::string content = io::read_file(runs / name);
    return std::count(content.begin(), content.end(), '\n') == lines;
  };
  const std::string summary = io::read_file(runs / "run/summary.json"),
                    history = io::read_file(runs / "run/history.jsonl");
  for (const char* how : {"--overwrite", "--resume"}) {
    runs.search(fmt::format("--method dnas --strength 1e38 --out run {}", how), 1);
    CHECK(io::read_file(runs / "run/summary.json") == summary);
    CHECK(io::read_file(runs / "run/history.jsonl") == history);
    CHECK(holds_lines("run/metrics.jsonl", 5));
    CHECK(holds_lines("run/metrics.next.jsonl", 2));
  }
  runs.search("--search-epochs 1 --overwrite --out run");
  CHECK(holds_lines("run/metrics.jsonl", 4));
  CHECK(holds_lines("run/history.jsonl", 1));
  CHECK_FALSE(runs.holds("run/metrics.next.jsonl"));
  CHECK_FALSE(runs.holds("run/history.next.jsonl"));
}

TEST_CASE("resume: a full disk leaves the checkpoint intact, and once there is space, the run can be resumed") {
  const Runs runs;
  const SmallDisk disk(runs / "disk", 8 << 20);
  if (!disk) return test::skip("resume on a full disk: mounting a small file system needs root");
  runs.search("--out undisturbed");
  const std::string full = runs.search("--out disk/run", 1);
  CHECK(says(full, "No space left on device: free some space; its folder keeps a checkpoint ("));
  CHECK_FALSE(runs.holds("disk/run/summary.json"));
  CHECK(says(runs.search("--resume --out disk/run", 1), "No space left on device"));
  disk.grow(64 << 20);
  runs.search("--resume --out disk/run");
  CHECK(io::read_file(runs / "disk/run/model.safetensors") == io::read_file(runs / "undisturbed/model.safetensors"));
}
