// SPDX-License-Identifier: Apache-2.0
// Folders of images as users have them: several sizes, files that can't be read, arrays with channels first.
#include "../shell.h"
#include "../skip.h"
#include "photos.h"
#include "pictures.h"
#include "workplace.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <vector>

#include <png.h>

using namespace mixgrad;
using namespace mixgrad::test;
namespace fs = std::filesystem;

namespace {

/// Photos of two classes, in several sizes.
struct Photos : Workplace {
  Photos() { write_photos(root / "photos"); }
  Outcome search(const std::string& arguments) const {
    return mixgrad_run(*this,
                       "search --data images:photos --warmup-epochs 1 --search-epochs 1 --finetune-epochs 1 "
                       "--batch-size 6 --threads 2 " +
                           arguments);
  }
};

}  // namespace

TEST_CASE("photos: images of several sizes are resized, to the network's size or another one, also after the run") {
  const Photos place;
  const Outcome found = place.search("--image-size 12x20 --augment enlarge --out run");
  CAPTURE(found.err);
  REQUIRE(found.exit_code == 0);
  CHECK(found.notes.find("40 images have another size: resized to 20×12 pixels, with the middle kept\n") !=
        std::string::npos);
  const nlohmann::json summary = parsed(place.path("run/summary.json"));
  CHECK(summary.at("config").at("image-size") == "12x20");
  CHECK(summary.at("layers")[0].at("macs") == 16 * 27 * 12 * 20);
  CHECK(summary.at("command").get<std::string>().find(" --image-size 12x20 --augment enlarge") != std::string::npos);
  const Outcome again = mixgrad_run(place, "eval run --json");
  CAPTURE(again.err);
  REQUIRE(again.exit_code == 0);
  CHECK(nlohmann::json::parse(again.out).at("accuracy") == summary.at("final_accuracy"));
  CHECK(again.notes.find("resized to 20×12") != std::string::npos);
  io::write_file(place.path("photos/test/light/3.jpg"), "\xff\xd8");
  check_complaint(mixgrad_run(place, "eval run"), 2, "1 of 40 files can't be read: ");
  CHECK(mixgrad_run(place, "eval run --skip-unreadable").exit_code == 0);
  check_complaint(mixgrad_run(place, "predict run --input photos/test"), 2, "1 of 20 files can't be read: ");
  const Outcome predicted = mixgrad_run(place, "predict run --input photos/test --skip-unreadable --out y.csv");
  CAPTURE(predicted.err);
  REQUIRE(predicted.exit_code == 0);
  CHECK(predicted.notes.find("19 images have another size: resized to 20×12 pixels") != std::string::npos);
  const std::string outputs = io::read_file(place.path("y.csv"));
  CHECK(outputs.find("\ndark/0.jpg,") != std::string::npos);
  CHECK(outputs.find("\nlight/3.jpg,") == std::string::npos);
  check_complaint(mixgrad_run(place, "predict run --input photos/train --image-size 32"), 2,
                  "data: images of 'photos/train' are [3, 32, 32], but the network in run takes [3, 12, 20]");
  const Outcome usual = mixgrad_run(place, "inspect tape --images 2 --data images:photos --skip-unreadable");
  CHECK(usual.out.find("2x3x32x32") != std::string::npos);
}

TEST_CASE("photos: files that can't be read are listed, or skipped if asked for") {
  const Photos place;
  io::write_file(place.path("photos/train/dark/x.txt"), "text");
  io::write_file(place.path("photos/test/light/3.jpg"), "\xff\xd8");
  check_complaint(place.search("--out run"), 2, "photos: 2 of 41 files can't be read: photos/train/dark/x.txt: ");
  CHECK_FALSE(fs::exists(place.path("run")));
  const Outcome found = place.search("--skip-unreadable --out run");
  CAPTURE(found.err);
  REQUIRE(found.exit_code == 0);
  CHECK(found.notes.find("2 of 41 files can't be read: ") != std::string::npos);
  CHECK(found.out.find("accuracy on 19 test images") != std::string::npos);
  CHECK(mixgrad_run(place, "eval run").exit_code == 0);  // as the run did
}

TEST_CASE("photos: the settings on reading are refused for other data, and impossible ones for all") {
  const Workplace place;
  const auto refused = [&](const std::string& arguments, const std::string& words) {
    check_complaint(mixgrad_run(place, "search " + arguments), 2, words);
  };
  refused("--image-size 32", "image-size: 'glyphs' is not resized: expected data from images:DIR");
  for (const char* size : {"0", "32x", "x32", "3.5", "32x32x3", "9999", "-4"})
    refused(fmt::format("--data images:photos --image-size={}", size), fmt::format("image-size: '{}': expected", size));
  refused("--layout nchw", "layout: 'glyphs' has no choice of layout");
  refused("--layout chw", "layout: unknown 'chw': expected auto, nchw, nhwc");
  refused("--skip-unreadable", "skip-unreadable: 'glyphs' has no files to skip");
}

TEST_CASE("photos: arrays with channels first") {
  const Workplace place;
  for (const std::string part : {"train", "test"}) {
    std::string x, y;
    for (int i = 0; i < 40 * 49 * 10; ++i) x += static_cast<char>(i * 31 % 256);
    for (int i = 0; i < 40; ++i) y += static_cast<char>(i % 3);
    write_array(place.path("x_" + part + ".npy"), "40, 1, 49, 10", x);
    write_array(place.path("y_" + part + ".npy"), "40", y);
  }
  const std::string search =
      "search --model ds_cnn --data npy:. --warmup-epochs 0 --search-epochs 0 --finetune-epochs 0 --threads 2 ";
  check_complaint(mixgrad_run(place, search), 2, "expected --layout nchw or --layout nhwc");
  const Outcome found = mixgrad_run(place, search + "--layout nchw --out run");
  CAPTURE(found.err);
  REQUIRE(found.exit_code == 0);
  CHECK(parsed(place.path("run/summary.json")).at("layers")[0].at("macs") == 64 * 40 * 25 * 5);
  CHECK(mixgrad_run(place, "eval run").exit_code == 0);
  CHECK(mixgrad_run(place, "predict run --out own.npy").exit_code == 0);
  CHECK(mixgrad_run(place, "predict run --input x_test.npy --layout nchw --out given.npy").exit_code == 0);
  CHECK(io::read_file(place.path("own.npy")) == io::read_file(place.path("given.npy")));
}

TEST_CASE("photos: a terminal shows how many images of a large folder have been read") {
  const Workplace place;
  if (!has_terminals()) return skip("no terminals here: mount devpts on /dev/pts");
  const std::string content = png(std::vector<uint8_t>(3 * 4 * 4, 9), 4, 4, PNG_FORMAT_RGB);
  for (const std::string part : {"train", "test"}) {
    fs::create_directories(place.root / "photos" / part / "one");
    io::write_file(place.path("photos/" + part + "/one/0.png"), content);
    for (int i = 1; i < 500; ++i)
      fs::create_hard_link(place.path("photos/" + part + "/one/0.png"),
                           place.path(fmt::format("photos/{}/one/{}.png", part, i)));
  }
  const std::string train = "train --data images:photos --epochs 0 --threads 2 --out float";
  const Outcome shown = shell_run(place, fmt::format("script -qec \"'{}' {}\" /dev/null", binary(), train));
  CHECK_MESSAGE(shown.out.find("reading images 1000/1000") != std::string::npos, shown.out);
  CHECK(mixgrad_run(place, train + " --overwrite").out.find("reading") == std::string::npos);
}
