// SPDX-License-Identifier: Apache-2.0
// Reports: their data of a run, a sweep or a front, and how a real browser shows them.
#include "../../src/run/origin.h"
#include "../networks.h"
#include "../refusal.h"
#include "../shell.h"
#include "../skip.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/report.h>
#include <mixgrad/run_folder.h>

#include <src/internal/text.h>

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

using namespace mixgrad;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// A possible name of a layer in an ONNX file.
const std::string hostile = "</script><img src=x onerror=alert(1)>\"\\";

/// A fake run: resnet8 at random precisions, and epochs of a search that ends there.
struct Run {
  explicit Run(const fs::path& folder, const RunConfig& config = {}, uint64_t seed = 1, int epochs = 3) {
    const models::Model model = test::random_model("resnet8", seed);
    const Graph floating = simplified(*model.net, model.input_shape);
    RunResult result;
    result.network = test::random_export(model, MixPrecType::PER_CHANNEL, {0, 2, 4, 8}, seed);
    result.layers = summarize(result.network, floating);
    rename(result);
    for (const cost::Model& m : {cost::size(), cost::macs(), cost::mpic_energy()}) {
      const auto of_float = cost::if_defined([&] { return cost::discrete(floating, m); });
      result.costs.push_back(
          {m.name, m.unit, cost::discrete(result.network, m), cost::uniform(floating, m, 8), of_float});
    }
    for (const auto& [name, cycles] : cost::by_layer(result.network, cost::mpic_latency()))
      std::ranges::find(result.layers, name, &LayerSummary::name)->costs["mpic-latency"] = cycles;
    const std::string target = config.target.find("table:") == std::string::npos ? config.target : "";
    for (const Target& t : parse_targets(target, floating))
      result.targets.push_back({t.model.name, t.model.unit, t.limit, t.limit});
    const train::Metric accuracy = train::find_task("classify").metric;
    result.floating = {.loss = 30, .measured = 90, .images = 100, .metric = accuracy};
    result.searched = {.loss = 60, .measured = 70, .images = 100, .metric = accuracy};
    result.final = {.loss = 35, .measured = static_cast<double>(80 + seed), .images = 100, .metric = accuracy};
    result.test_images = 100;
    result.floating_confusion = train::Confusion({"cat", hostile});
    result.confusion = result.floating_confusion;
    result.floating_confusion.add({.truth = {0, 0, 1, 1}, .chosen = {0, 0, 1, 0}});
    result.confusion.add({.truth = {0, 0, 1, 1}, .chosen = {0, 1, 0, 1}});
    fs::create_directories(folder);
    io::write_file(folder / "confusion.json", confusion_text(result));
    save(result.network, folder / "model.safetensors");
    io::write_file(folder / "summary.json", summary(config, result));
    io::write_file(folder / "metrics.jsonl", metrics(epochs));
    io::write_file(folder / "history.jsonl", history(epochs));
  }

  /// Gives one layer the hostile name.
  void rename(RunResult& result) {
    for (Node& node : result.network.nodes) node.name = node.name == "fc" ? hostile : node.name;
    for (LayerSummary& layer : result.layers) layer.name = layer.name == "fc" ? hostile : layer.name;
  }

  static std::string metrics(int epochs, const std::vector<const char*>& phases = {"warmup", "search", "finetune"}) {
    std::string lines;
    for (const char* phase : phases) {
      for (int e = 0; e < epochs; ++e) {
        lines += metrics_line({.phase = phase,
                               .epoch = e,
                               .epochs = epochs,
                               .metric = train::find_task("classify").metric,
                               .task_loss = 1.0 / (1 + e),
                               .reg_loss = 0.3,
                               .train_metric = 0.2 * (1 + e),
                               .val_loss = 0.5,
                               .val_metric = 0.2 * e,
                               .cost_soft = 2e5,
                               .cost_discrete = 1e5,
                               .tau = 5.0 - e,
                               .entropy = 1 - 0.3 * e,
                               .seconds = 1}) +
                 "\n";
      }
    }
    return lines;
  }

  static std::string history(int epochs) {
    std::string lines;
    for (int e = 0; e < epochs; ++e) {
      const double first = 0.25 + 0.25 * e, other = 1 - first;
      const json alphas = {{{"name", "conv.alpha_w"},
                            {"nodes", {"conv"}},
                            {"bits", {2, 8}},
                            {"alpha", {{0.5, 1}, {1, 1}}},
                            {"theta", {{first, 0.5}, {other, 0.5}}}},
                           {{"name", "conv.alpha_a"},
                            {"nodes", {"conv"}},
                            {"bits", {4, 8}},
                            {"alpha", {0.5, 1}},
                            {"theta", {other, first}}}};
      lines += json({{"epoch", e}, {"tau", 5.0 - e}, {"alphas", alphas}}).dump() + "\n";
    }
    return lines;
  }
};

/// A sweep of four runs, two of which differ only in their seed; the page must find its columns by name.
void make_sweep(const fs::path& folder) {
  const Run channels(folder / "dnas 1", {}, 1), layers(folder / "b", {.scheme = MixPrecType::PER_LAYER}, 2);
  const Run uniform(folder / "c-seed1", {.method = Method::uniform, .target = "size=40%"}, 3),
      other(folder / "c-seed2", {.method = Method::uniform, .target = "size=40%"}, 4);
  io::write_file(folder / "sweep.csv",
                 "note,name,pareto\n\"a, \"\"quoted\"\" one\",dnas 1,1\n,b,0\n,c-seed1,1\n,c-seed2,0\n");
}

/// front.csv of two costs and three layers, two of them with names that take care: fields of its lines, to be
/// corrupted.
std::vector<std::vector<std::string>> front_fields() {
  return {{"cost", "unit", "limit", "found", "share", "metric", "validation", "size", "macs", "bits:conv",
           "bits:" + hostile, "bits:two\nlines"},
          {"size", "bits", "70000", "64000", "0.1", "accuracy", "0.5", "64000", "3e6", "0", "2.25", "8"},
          {"size", "bits", "200000", "192000", "0.3", "accuracy", "0.75", "192000", "6e6", "4", "4", "8"},
          {"size", "bits", "400000", "384000", "0.6", "accuracy", "0.8", "384000", "9e6", "8", "6.5", "32"},
          {"macs", "", "4e6", "4e6", "", "accuracy", "nan", "96000", "4e6", "2", "2", "8"},
          {"macs", "", "8e6", "7.5e6", "", "accuracy", "0.7", "300000", "7.5e6", "7.5", "5", "8"}};
}

void make_front(const fs::path& folder, const std::vector<std::vector<std::string>>& lines = front_fields()) {
  std::string csv;
  for (const std::vector<std::string>& fields : lines) {
    for (size_t i = 0; i < fields.size(); ++i) csv += (i == 0 ? "" : ",") + report::csv_field(fields[i]);
    csv += "\n";
  }
  fs::create_directories(folder);
  io::write_file(folder / "front.csv", csv);
  io::write_file(folder / "metrics.jsonl", Run::metrics(3, {"warmup", "search size", "segment size 1"}));
}

std::string complaint(const std::string& folder, const std::vector<std::string>& beside = {}) {
  return test::refusal([&] { report::page_data(folder, beside); });
}

/// What is said about a front with another field in a line, numbered from 0.
std::string complaint_about(size_t line, size_t field, const std::string& text) {
  const test::Folder folder;
  auto lines = front_fields();
  lines[line][field] = text;
  make_front(folder.path, lines);
  return complaint(folder.path);
}

}  // namespace

TEST_CASE("report: a run's data contain its settings, epochs, history and the histograms of all weights") {
  const test::Folder folder;
  const Run run(folder.path / "run", {.data = "cifar10:data",
                                      .weight_bits = {0, 2, 4, 8},
                                      .override_layers = "it's=8",
                                      .strength = 1e-6,
                                      .hard = true});
  const json data = json::parse(report::page_data(folder.path / "run"));
  CHECK(data.at("kind") == "run");
  CHECK(data.at("name") == "run");
  const json& shown = data.at("runs").at(0);
  CHECK(shown.at("summary").at("command") ==
        fmt::format("mixgrad search --data {} --weight-bits 0,2,4,8 --override 'it'\\''s=8' --strength 1e-06 --hard",
                    data::absolute("cifar10:data")));
  CHECK(shown.at("summary").at("config").at("tau-start") == 5.0);
  CHECK(shown.at("summary").at("cost_float").at("size") == 32 * 77'360);
  CHECK(shown.at("summary").at("cost_unit").at("size") == "bits");
  CHECK(shown.at("metrics").size() == 9);
  CHECK(shown.at("confusion").at("of") == "images");
  CHECK(shown.at("confusion").at("found").at("confusion") == json({{1, 1}, {1, 1}}));
  CHECK(shown.at("confusion").at("float").at("classes")[1].at("accuracy") == 0.5);
  CHECK(shown.at("history").at("tau") == json({5.0, 4.0, 3.0}));
  const json& alpha = shown.at("history").at("alphas").at(0);
  CHECK(alpha.at("theta").at(2) == json({{75, 50}, {25, 50}}));
  CHECK(alpha.at("alpha").at(0) == json({0.75, 1.0}));
  CHECK(shown.at("weights").at(5).at("name") == "stack2.shortcut");
  CHECK(shown.at("weights").at(5).at("output") == "stack2.conv2");  // their channels are tied by an Add
  int64_t weights = 0;
  for (const json& layer : shown.at("weights")) {
    for (const json& grid : layer.at("grids")) {
      int64_t counted = 0, coded = 0;
      for (const json& n : grid.at("counts")) counted += n.get<int64_t>();
      for (const json& n : grid.at("at_level")) coded += n.get<int64_t>();
      CHECK(counted == grid.at("weights"));
      CHECK(coded == grid.at("weights"));
      CHECK(std::ssize(grid.at("at_level")) == 1 << grid.at("bits").get<int>());
      CHECK(grid.at("error").get<double>() > 0);
      CHECK(grid.at("error").get<double>() < (grid.at("bits") == 8 ? 0.02 : 1));
      weights += counted;
    }
  }
  int64_t summed = 0;
  for (const json& layer : shown.at("summary").at("layers")) summed += layer.at("weights").get<int64_t>();
  CHECK(weights == summed);
  const json& memory = shown.at("memory");
  const IntegerNetwork network = to_integer(load_graph(folder.path / "run" / "model.safetensors"));
  CHECK(memory.at("bytes") == plan_arena(network).bytes);
  CHECK(memory.at("nodes").size() == network.nodes.size());
  CHECK(memory.at("blocks").size() > 9);
}

TEST_CASE("report: every flag of search is a setting of a run, with the same name") {
  const test::Folder folder;
  folder.run(fmt::format("'{}' search --help", MIXGRAD_BINARY));
  const Run run(folder.path / "run");
  const json settings = json::parse(io::read_file(folder.path / "run/summary.json")).at("config");
  std::set<std::string> flags;
  const std::string help = folder.said();
  for (size_t at = help.find("\n  --"); at != std::string::npos; at = help.find("\n  --", at + 1)) {
    flags.insert(help.substr(at + 5, help.find_first_of(" \n", at + 5) - at - 5));
  }
  for (const char* other : {"checkpoint-minutes", "config", "data-parallel", "dry-run", "effort", "json", "out",
                            "overwrite", "quiet", "resume", "tensorboard"})
    CHECK(flags.erase(other) == 1);
  CHECK(flags.size() == settings.size());
  for (const std::string& flag : flags) CHECK_MESSAGE(settings.contains(flag), flag);
}

TEST_CASE("report: the page contains no text of a run as markup and makes no requests") {
  const test::Folder folder;
  const Run run(folder.path / "run");
  const std::string page = io::read_file(report::write_page(folder.path / "run"));
  CHECK(page.find(hostile.substr(0, 20)) == std::string::npos);
  CHECK(page.find("\\u003c/script>") != std::string::npos);
  CHECK(page.find("@DATA@") == std::string::npos);
  for (const char* elsewhere : {" src=\"", "<link rel=\"stylesheet\"", "@import", "sourceMappingURL"}) {
    CHECK(page.find(elsewhere) == std::string::npos);
  }
}

TEST_CASE("report: a sweep's data contain a run per point; corrupt files are named") {
  const test::Folder folder;
  make_sweep(folder.path / "sweep");
  const json data = json::parse(report::page_data(folder.path / "sweep/"));
  CHECK(data.at("kind") == "sweep");
  CHECK(data.at("name") == "sweep");
  REQUIRE(data.at("runs").size() == 4);
  CHECK(data.at("runs").at(0).at("name") == "dnas 1");
  CHECK(data.at("runs").at(2).at("summary").at("method") == "uniform");

  CHECK(complaint(folder.path / "nothing").find("no such folder") != std::string::npos);
  CHECK(complaint(folder.path).find("expected a folder with a finished run (summary.json) or a sweep (sweep.csv)") !=
        std::string::npos);
  io::write_file(folder.path / "sweep/b/history.jsonl", "{\"tau\": 1}\n");
  CHECK(complaint(folder.path / "sweep").find("b/history.jsonl:1: corrupt") != std::string::npos);
  io::write_file(folder.path / "sweep/dnas 1/confusion.json", "{}");
  CHECK(complaint(folder.path / "sweep").find("dnas 1/confusion.json: corrupt") != std::string::npos);
  io::write_file(folder.path / "sweep/dnas 1/summary.json", "{}");
  CHECK(complaint(folder.path / "sweep").find("dnas 1/summary.json: corrupt") != std::string::npos);
  io::write_file(folder.path / "sweep/sweep.csv", "name,pareto\nb\n");
  CHECK(complaint(folder.path / "sweep").find("sweep.csv:2: corrupt") != std::string::npos);
}

TEST_CASE("report: a front's data contain its points, its training and the runs beside it") {
  const test::Folder folder;
  make_front(folder.path / "front");
  make_sweep(folder.path / "sweep");
  const Run picked(folder.path / "picked", {.target = "size=40%", .from_front = folder.path / "sweep/../front"}),
      other(folder.path / "other", {.target = "size=40%", .from_front = folder.path / "elsewhere"});
  const json data = json::parse(report::page_data(
      folder.path / "front/", {folder.path / "picked", folder.path / "sweep/", folder.path / "other"}));
  CHECK(data.at("kind") == "front");
  CHECK(data.at("name") == "front");
  CHECK(data.at("metric") ==
        json({{"name", "accuracy"}, {"label", "acc"}, {"larger_is_better", true}, {"is_share", true}}));
  CHECK(data.at("costs") == json({{{"name", "size"}, {"unit", "bits"}, {"uniform8", 640000}},
                                  {{"name", "macs"}, {"unit", ""}, {"uniform8", nullptr}}}));
  CHECK(data.at("layers") == json({"conv", hostile, "two\nlines"}));
  REQUIRE(data.at("points").size() == 5);
  CHECK(
      data.at("points").at(0) ==
      json({{"cost", "size"}, {"limit", 70000}, {"validation", 0.5}, {"costs", {64000, 3e6}}, {"bits", {0, 2.25, 8}}}));
  CHECK(data.at("points").at(3).at("validation").is_null());
  CHECK(data.at("settings").is_null());
  CHECK(data.at("metrics").size() == 9);
  std::vector<std::string> names;
  for (const json& run : data.at("beside")) {
    names.push_back(run.at("name"));
    CHECK(run.at("picked") == (run.at("name") == "picked"));
    CHECK(run.at("summary").at("final_metric").is_number());
  }
  CHECK(names ==
        std::vector<std::string>{"picked", "sweep/dnas 1", "sweep/b", "sweep/c-seed1", "sweep/c-seed2", "other"});
  const std::string page = io::read_file(report::write_page_beside(folder.path / "front", {folder.path / "picked"}));
  CHECK(page.find(hostile.substr(0, 20)) == std::string::npos);
}

TEST_CASE("report: a corrupt front is refused by file and line, and only a front takes other folders") {
  const auto says = [](const std::string& said, const std::string& part) {
    CHECK_MESSAGE(said.find(part) != std::string::npos, said);
    CHECK_MESSAGE(said.find('\n') == std::string::npos, said);
  };
  says(complaint_about(0, 6, "test"), "front.csv:1: corrupt: expected the columns cost,unit,");
  says(complaint_about(0, 10, "conv"), "front.csv:1: corrupt: expected the columns cost,unit,");
  says(complaint_about(0, 7, "bits:size"), "front.csv:1: corrupt: expected the columns cost,unit,");
  // the first line of the file ends within a name, so the points begin in its third
  says(complaint_about(2, 0, "flash"), "front.csv:4: corrupt: cost 'flash': expected a cost with a column");
  says(complaint_about(2, 5, "beauty"), "front.csv:4: corrupt: metric 'beauty': expected the metric of a task");
  says(complaint_about(2, 5, "mean squared error"), "front.csv:4: corrupt: metric 'mean squared error': expected");
  says(complaint_about(1, 8, "3e6x"), "front.csv:3: corrupt: macs '3e6x': expected a number");
  says(complaint_about(1, 7, "inf"), "front.csv:3: corrupt: size 'inf': expected a number that is 0 or more");
  says(complaint_about(5, 2, ""), "front.csv:7: corrupt: limit '': expected a number");
  says(complaint_about(5, 11, "33"), "front.csv:7: corrupt: bits:two lines '33': expected 0 to 32 bits");
  says(complaint_about(5, 11, "8\",9"), "front.csv:7: corrupt: bits:two lines");

  const test::Folder folder;
  const Run run(folder.path / "run");
  make_front(folder.path / "front", {front_fields()[0]});
  says(complaint(folder.path / "front"), "front.csv: has no points: expected at least one");
  make_front(folder.path / "front", {front_fields()[0], {"size", "bits", "7"}});
  says(complaint(folder.path / "front"), "front.csv:3: corrupt: expected 12 fields");
  auto errors = front_fields();
  for (size_t i = 1; i < errors.size(); ++i) errors[i][5] = "mean squared error";
  make_front(folder.path / "front", errors);
  says(complaint(folder.path / "front", {folder.path / "run"}), "run: its metric is the accuracy, that of the front");
  says(complaint(folder.path / "front", {folder.path / "front"}), "expected a folder with a finished run");
  says(complaint(folder.path / "front", {folder.path / "none"}), "none: no such folder");
  says(complaint(folder.path / "run", {folder.path / "run"}), "run: is not a front: expected no folders");
}

TEST_CASE("report: while a run goes on, its page shows the epochs so far; a run that fails leaves none behind") {
  const test::Folder folder;
  const RunConfig config{
      .data = "glyphs:100", .warmup_epochs = 2, .search_epochs = 1, .finetune_epochs = 1, .batch_size = 45};
  /// The number of epochs on the page, by phase; may end the run.
  struct Reader : train::Observer {
    fs::path page;
    const char* failing_phase = "";
    std::vector<std::pair<std::string, size_t>> shown;
    void on_epoch(const train::EpochReport& e) override {
      const std::string text = io::read_file(page);
      const size_t begin = text.find("id=\"data\">") + 10;
      const json data = json::parse(text.substr(begin, text.find("</script>", begin) - begin));
      shown.emplace_back(e.phase, data.at("kind") == "running" ? data.at("metrics").size() : 0);
      if (e.phase == failing_phase) failed_run("on purpose");
    }
  };
  Reader reader;
  reader.page = folder.path / "a/report.html";
  {
    RunFolder place(folder.path / "a", {});
    run_in_folder(config, place, reader, nullptr, report::write_page);
  }
  CHECK(reader.shown ==
        std::vector<std::pair<std::string, size_t>>{{"warmup", 1}, {"warmup", 2}, {"search", 3}, {"finetune", 4}});
  const std::string finished = io::read_file(reader.page);
  CHECK(finished.find("\"kind\":\"run\"") != std::string::npos);

  {  // one that is being overwritten keeps its page until then
    Reader other;
    other.page = reader.page;
    other.failing_phase = "warmup";
    RunFolder place(folder.path / "a", {.overwrite = true});
    CHECK_THROWS_AS(run_in_folder(config, place, other, nullptr, report::write_page), Error);
    CHECK(other.shown == std::vector<std::pair<std::string, size_t>>{{"warmup", 0}});
  }
  CHECK(io::read_file(reader.page) == finished);
  Reader failing;
  failing.page = folder.path / "b/report.html";
  failing.failing_phase = "warmup";
  {
    RunFolder place(folder.path / "b", {});
    CHECK_THROWS_AS(run_in_folder(config, place, failing, nullptr, report::write_page), Error);
    CHECK(fs::exists(failing.page));
  }
  CHECK_FALSE(fs::exists(folder.path / "b"));

  fs::create_directory(folder.path / "c");  // a page of something else stays
  failing.page = folder.path / "c/report.html";
  io::write_file(failing.page, "<script id=\"data\">{\"kind\": \"other\"}</script>");
  {
    RunFolder place(folder.path / "c", {});
    CHECK_THROWS_AS(run_in_folder(config, place, failing, nullptr, report::write_page), Error);
  }
  CHECK(io::read_file(failing.page).find("other") != std::string::npos);
}

TEST_CASE("report: in a browser, every chart is drawn, reacts to the pointer, and fits desktop and phone screens") {
  const std::string tools = std::string(MIXGRAD_SOURCE_DIR) + "/tests/report";
  if (!test::has("chromium") || !test::has("node") || !fs::exists(tools + "/node_modules/puppeteer-core") ||
      !fs::exists(tools + "/node_modules/axe-core")) {
    return test::skip("no browser: apt-get install chromium nodejs npm, then npm ci --ignore-scripts in tests/report");
  }
  const test::Folder folder;
  const Run run(folder.path / "run", {.target = "macs=40%"}),
      brief(folder.path / "brief", {.regularizer = "mpic-energy"}, 1, 1);
  make_sweep(folder.path / "sweep");
  const Run picked(folder.path / "picked", {.target = "size=40%", .from_front = folder.path / "front"});
  make_front(folder.path / "front");
  const Run unfinished(folder.path / "running");
  fs::remove(folder.path / "running/summary.json");
  for (const char* name : {"run", "brief", "sweep", "running"}) report::write_page(folder.path / name);
  report::write_page_beside(folder.path / "front", {folder.path / "picked", folder.path / "sweep"});
  for (const char* name : {"run", "brief", "sweep", "front", "running"})
    folder.run(fmt::format("node '{}/check.js' \"$(command -v chromium)\" {}/report.html", tools, name));
}
