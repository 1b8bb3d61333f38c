// SPDX-License-Identifier: Apache-2.0
// How a sweep uses the folders of its points.
#include "../../src/sweep/folder.h"
#include "../refusal.h"
#include "../shell.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>

using namespace mixgrad;
using mixgrad::test::refusal;
namespace fs = std::filesystem;

namespace {

const std::string summary = R"({"strength": 1e-6, "final_loss": 0.25, "float_metric": 0.5, "final_metric": null,
                                "metric": {"name": "score", "label": "s", "larger_is_better": true, "is_share": false},
                                "cost": {"size": 300, "macs": 50}, "cost_uniform8": {"size": 1200}})";

sweep::Point searched(Method method, const std::string& target) {
  sweep::Point point;
  point.config.method = method;
  point.config.target = target;
  return point;
}

}  // namespace

TEST_CASE("sweep folder: a point is finished once its result exists, from a run with the same settings") {
  const test::Folder folder;
  const fs::path path = folder.path / "point";
  const sweep::SubFolder place(path, "lr = 0.1\nseed = 1\n", "summary.json");
  CHECK_FALSE(place.finished());
  place.prepare(false);
  CHECK(io::read_file(path / "settings.toml") == "lr = 0.1\nseed = 1\n");
  CHECK_FALSE(place.finished());  // only started
  io::write_file(place.file("summary.json"), "{}");
  CHECK(place.finished());
  CHECK(place.log() == (path / "log").string());

  const auto said = [&](const std::string& settings) {
    return refusal([&] { static_cast<void>(sweep::SubFolder(path, settings, "summary.json").finished()); });
  };
  CHECK(said("lr = 0.15\nseed = 1\n").find("has a run with other settings (lr = 0.1, now lr = 0.15)") !=
        std::string::npos);
  CHECK(said("lr = 0.1\n").find("(seed = 1, now nothing)") != std::string::npos);
  CHECK(said("lr = 0.1\nseed = 1\nhard = true\n").find("(nothing, now hard = true)") != std::string::npos);
}

TEST_CASE("sweep folder: a run that is not part of a sweep is kept unless overwritten; unfinished ones are restarted") {
  const test::Folder folder;
  const fs::path path = folder.path / "point";
  const sweep::SubFolder place(path, "seed = 1\n", "summary.json");
  fs::create_directory(path);
  io::write_file(path / "summary.json", "{}");
  CHECK(refusal([&] { static_cast<void>(place.finished()); }).find("holds a run that is not part of a sweep") !=
        std::string::npos);
  place.prepare(true);
  CHECK_FALSE(fs::exists(path / "summary.json"));
  io::write_file(path / "metrics.jsonl", "");
  place.prepare(false);
  CHECK_FALSE(fs::exists(path / "metrics.jsonl"));
  CHECK(fs::exists(path / "settings.toml"));
}

TEST_CASE("sweep folder: a row has the values of the summary, and leaves missing ones unset") {
  const test::Folder folder;
  const std::string file = folder.path / "summary.json";
  io::write_file(file, summary);
  const sweep::Row row = sweep::read_row(searched(Method::dnas, ""), file);
  CHECK(row.strength == 1e-6);
  CHECK(row.metric == train::Metric{.name = "score", .label = "s", .larger_is_better = true, .is_share = false});
  CHECK(row.float_metric == 0.5);
  CHECK_FALSE(row.final_metric);
  CHECK(row.final_loss == 0.25);
  CHECK(row.size_bits == 300.0);
  CHECK(row.size_share == 0.25);
  CHECK_FALSE(row.macs_share);  // no reference
  CHECK_FALSE(sweep::read_row(searched(Method::dnas, "size=30%"), file).strength);
  CHECK_FALSE(sweep::read_row(searched(Method::uniform, "size=30%"), file).strength);
}

TEST_CASE("sweep folder: a summary written before tasks had names tells its metric by its accuracy") {
  const test::Folder folder;
  const std::string file = folder.path / "summary.json", costs = R"("cost": {}, "cost_uniform8": {}})";
  io::write_file(file, R"({"float_accuracy": 0.9, "final_accuracy": 0.8, "float_loss": 1, "final_loss": 2, )" + costs);
  sweep::Row row = sweep::read_row(searched(Method::dnas, ""), file);
  CHECK(row.metric == train::find_task("classify").metric);
  CHECK(row.float_metric == 0.9);
  CHECK(row.final_metric == 0.8);
  io::write_file(file,
                 R"({"float_accuracy": null, "final_accuracy": null, "float_loss": 1, "final_loss": 2, )" + costs);
  row = sweep::read_row(searched(Method::dnas, ""), file);
  CHECK(row.metric == train::find_task("reconstruct").metric);
  CHECK(row.float_metric == 1.0);
  CHECK(row.final_metric == 2.0);
}

TEST_CASE("sweep folder: a corrupt summary is refused by name") {
  const test::Folder folder;
  const std::string file = folder.path / "summary.json";
  for (const char* content : {"", "{", "[1]", R"({"strength": 1})", R"({"cost": {"size": 1}})"}) {
    CAPTURE(content);
    io::write_file(file, content);
    CHECK(refusal([&] { sweep::read_row(searched(Method::dnas, ""), file); }) ==
          file + ": corrupt: expected the summary of a run");
  }
}
