// SPDX-License-Identifier: Apache-2.0
// The points of a sweep, and the Pareto front of its results.
#include "../refusal.h"

#include <mixgrad/sweep.h>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace mixgrad;
using mixgrad::test::refusal;
using Names = std::vector<std::string>;

namespace {

Names names_of(const sweep::Axes& axes) {
  Names names;
  for (const sweep::Point& p : sweep::points({}, axes)) names.push_back(p.name);
  return names;
}

sweep::Row row(const std::string& name, std::optional<double> accuracy, std::optional<double> size) {
  sweep::Row out{.point = {.name = name, .config = {}}};
  out.metric = train::find_task("classify").metric;
  out.final_metric = accuracy;
  out.size_bits = size;
  return out;
}

}  // namespace

TEST_CASE("sweep points: dnas takes strengths and targets, the others targets, per-layer methods a single scheme") {
  CHECK(names_of({.methods = {Method::dnas, Method::uniform},
                  .schemes = {MixPrecType::PER_CHANNEL, MixPrecType::PER_LAYER},
                  .targets = {"30%"},
                  .strengths = {1e-6},
                  .seeds = {1, 2}}) == Names{"dnas-per-channel-strength1e-06-seed1",
                                             "dnas-per-channel-strength1e-06-seed2", "dnas-per-channel-size=30%-seed1",
                                             "dnas-per-channel-size=30%-seed2", "dnas-per-layer-strength1e-06-seed1",
                                             "dnas-per-layer-strength1e-06-seed2", "dnas-per-layer-size=30%-seed1",
                                             "dnas-per-layer-size=30%-seed2", "uniform-size=30%-seed1",
                                             "uniform-size=30%-seed2"});
  CHECK(names_of({.methods = {Method::dnas},
                  .schemes = {MixPrecType::PER_LAYER},
                  .targets = {},
                  .strengths = {},
                  .seeds = {0}}) == Names{"dnas-per-layer-seed0"});
  const auto both = sweep::points({}, {.methods = {Method::dnas},
                                       .schemes = {MixPrecType::PER_LAYER},
                                       .targets = {"size=30%+macs=2e+8"},
                                       .strengths = {},
                                       .seeds = {0}});
  REQUIRE(both.size() == 1);
  CHECK(both[0].config.target == "size=30%,macs=2e+8");
}

TEST_CASE("sweep points: invalid axes are refused") {
  const auto said = [](const sweep::Axes& axes) { return refusal([&] { sweep::points({}, axes); }); };
  CHECK(said({.methods = {Method::uniform},
              .schemes = {MixPrecType::PER_LAYER},
              .targets = {},
              .strengths = {},
              .seeds = {0}})
            .find("uniform needs targets") != std::string::npos);
  CHECK(said({.methods = {Method::uniform},
              .schemes = {MixPrecType::PER_LAYER},
              .targets = {"30%"},
              .strengths = {1},
              .seeds = {0}})
            .find("only the methods fisher and dnas") != std::string::npos);
  CHECK(said({.methods = {Method::dnas},
              .schemes = {MixPrecType::PER_LAYER},
              .targets = {},
              .strengths = {},
              .seeds = {1, 1}})
            .find("duplicate point") != std::string::npos);
  CHECK(
      said(
          {.methods = {Method::dnas}, .schemes = {MixPrecType::PER_LAYER}, .targets = {}, .strengths = {}, .seeds = {}})
          .find("no points") != std::string::npos);
}

TEST_CASE("sweep points: regularizer and refine apply to points with strengths; with targets alone they are refused") {
  const RunConfig base{.regularizer = "macs", .refine = true};
  const auto both = sweep::points(base, {.methods = {Method::dnas},
                                         .schemes = {MixPrecType::PER_LAYER},
                                         .targets = {"30%"},
                                         .strengths = {1e-6},
                                         .seeds = {0}});
  REQUIRE(both.size() == 2);
  CHECK(both[0].config.regularizer == "macs");
  CHECK(both[0].config.refine);
  CHECK(both[1].config.regularizer.empty());
  CHECK_FALSE(both[1].config.refine);
  CHECK(refusal([&] {
          sweep::points(base, {.methods = {Method::dnas},
                               .schemes = {MixPrecType::PER_LAYER},
                               .targets = {"30%"},
                               .strengths = {},
                               .seeds = {0}});
        }).starts_with("regularizer: with a target"));
}

TEST_CASE("sweep table: the front has the points that are not dominated; a point without a result is not on it") {
  std::vector<sweep::Row> rows = {row("small", 0.7, 100), row("beaten", 0.69, 120), row("large", 0.8, 200),
                                  row("equal", 0.8, 200), row("failed", {}, 50)};
  sweep::mark_front(rows);
  const std::vector<bool> expected = {true, false, true, true, false};
  for (size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(rows[i].point.name);
    CHECK(rows[i].pareto == expected[i]);
  }
}

TEST_CASE("sweep table: of errors the smaller is better, and no column calls them accuracies") {
  std::vector<sweep::Row> rows = {row("good", 0.1, 100), row("bad", 0.2, 100)};
  for (sweep::Row& r : rows) r.metric = train::find_task("reconstruct").metric;
  sweep::mark_front(rows);
  CHECK(rows[0].pareto);
  CHECK_FALSE(rows[1].pareto);
  CHECK(sweep::table(rows).find("   error ") != std::string::npos);
  CHECK(sweep::csv(rows).find(",,,,mean squared error,0.1,100,") != std::string::npos);
  CHECK(sweep::json(rows).find(R"("final_accuracy": null)") != std::string::npos);
}

TEST_CASE("sweep table: a cell with commas or quotes remains one cell") {
  std::vector<sweep::Row> rows = {row("a", 0.5, 10)};
  rows[0].point.config.target = "table:a\"b.toml=1,size=30%";
  const std::string csv = sweep::csv(rows);
  CHECK(csv.find(",\"table:a\"\"b.toml=1,size=30%\",") != std::string::npos);
  CHECK(csv.find(",0.500000,") != std::string::npos);
}

TEST_CASE("sweep table: points that differ only in their seed also give mean and spread; a single seed does not") {
  std::vector<sweep::Row> rows = {row("dnas-seed1", 0.9, 100), row("uniform-seed1", 0.5, 100),
                                  row("dnas-seed2", 0.7, 300), row("dnas-seed3", 0.8, 200)};
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].point.config.seed = i < 2 ? 1 : i;
    rows[i].size_share = 0.25;
  }
  const std::vector<sweep::Group> groups = sweep::groups(rows);
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].name == "dnas");
  CHECK(groups[0].rows == std::vector<size_t>{0, 2, 3});
  REQUIRE(groups[0].metric);
  CHECK(groups[0].metric->mean == doctest::Approx(0.8));
  CHECK(groups[0].metric->deviation == doctest::Approx(0.1));
  CHECK(groups[0].metric->smallest == 0.7);
  CHECK(groups[0].metric->largest == 0.9);
  CHECK_FALSE(groups[0].loss);
  CHECK(groups[1].metric->deviation == 0);

  const std::string table = sweep::table(rows), csv = sweep::csv(rows), json = sweep::json(rows);
  CHECK(table.find("\nover seeds") != std::string::npos);
  CHECK(table.find("\ndnas           3   0.8000    0.1000   0.7000   0.9000    25.0%\n") != std::string::npos);
  CHECK(csv.find(",pareto,seeds,accuracy_mean,accuracy_deviation,") != std::string::npos);
  CHECK(csv.find(",3,0.800000,0.100000,,,0.250000,0.000000\n") != std::string::npos);
  CHECK(json.find("over_seeds") != std::string::npos);

  rows.resize(2);
  CHECK(sweep::table(rows).find("over seeds") == std::string::npos);
  CHECK(sweep::csv(rows).find("seeds") == std::string::npos);
  CHECK(sweep::json(rows).find("over_seeds") == std::string::npos);
}
