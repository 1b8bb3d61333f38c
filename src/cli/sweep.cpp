// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "options.h"

#include <mixgrad/error.h>
#include <mixgrad/report.h>
#include <mixgrad/run_folder.h>
#include <mixgrad/sweep.h>

#include <fmt/ranges.h>

#include <cstdio>
#include <memory>

namespace mixgrad::cli {
namespace {

struct Sweep {
  explicit Sweep(CLI::App& command) : options(command) {}

  void add_options(CLI::App& command);
  void run(const Communicator& communicator);
  void check_axes() const;

  Options options;
  RunConfig config;
  sweep::Axes axes;
  std::vector<std::string> methods, schemes;
  sweep::Options how;
  bool quiet = false, json = false;
};

constexpr const char* axes_names[][2] = {
    {"methods", "method"}, {"schemes", "scheme"}, {"targets", "target"}, {"strengths", "strength"}, {"seeds", "seed"}};

/// The values of an axis: those given, or else that of the setting.
template <typename Enum>
std::vector<Enum> values_of(const std::vector<std::string>& names, Enum otherwise) {
  if (names.empty()) return {otherwise};
  std::vector<Enum> values;
  for (const std::string& name : names) values.push_back(find_by_name<Enum>(name).value());
  return values;
}

class Printer : public sweep::Listener {
 public:
  explicit Printer(bool quiet) : quiet_(quiet) {}

  void on_warm_up(const std::string& log) override { say(fmt::format("float network: training, see {}", log)); }
  void on_finished(const sweep::Row& row, size_t done, size_t points) override {
    const std::string result = fmt::format("{} {:.4f}", row.metric.name, row.final_metric.value_or(0));
    say(fmt::format("[{}/{}] {}: {}, {:.0f} bits", done, points, row.point.name, result, row.size_bits.value_or(0)));
  }
  void on_failed(const sweep::Point& point, const std::string& complaint, size_t done, size_t points) override {
    fmt::print(stderr, "[{}/{}] {} failed: {}\n", done, points, point.name, complaint);
  }

 private:
  void say(const std::string& line) const {
    if (quiet_) return;
    fmt::print("{}\n", line);
    std::fflush(stdout);
  }

  bool quiet_;
};

void Sweep::check_axes() const {
  for (const auto& [axis, flag] : axes_names) {
    if (options.given(axis) && options.given(flag))
      bad_input("{}: can't be combined with --{}: expected only one of them", axis, flag);
  }
  if (how.jobs < 1 || how.jobs > 256) bad_input("jobs: {} is not possible: expected 1 to 256", how.jobs);
}

void Sweep::run(const Communicator& communicator) {
  options.apply();
  check_axes();
  axes.methods = values_of(methods, config.method);
  axes.schemes = values_of(schemes, config.scheme);
  if (axes.targets.empty() && !config.target.empty()) axes.targets = {config.target};
  if (axes.strengths.empty() && config.strength) axes.strengths = {*config.strength};
  if (axes.seeds.empty()) axes.seeds = {config.seed};
  check_threads(how.threads);
  const std::vector<sweep::Point> points = sweep::points(config, axes);
  if (how.out.empty()) how.out = communicator.broadcast(0, dated_folder());

  Printer printer(quiet || json);
  const sweep::Result result = sweep::run(points, how, communicator, printer);
  const std::string page = result.rows.empty() ? "" : report::write_page(how.out);
  if (json) {
    std::fputs(sweep::json(result.rows).c_str(), stdout);
  } else {
    fmt::print("{}{}", quiet ? "" : "\n", sweep::table(result.rows));
    if (!quiet) fmt::print("\nwritten to {}/sweep.csv\n", how.out);
    if (!quiet && !page.empty()) fmt::print("report: {}\n", page);
  }
  if (!result.failed.empty()) {
    failed_run("{} of {} points failed: {}; run the same command to retry them", result.failed.size(), points.size(),
               fmt::join(result.failed, ", "));
  }
}

void Sweep::add_options(CLI::App& command) {
  Options& o = options;
  o.add_presets(config);
  for (const Setting& setting : run_settings()) {
    if (setting.effect != Setting::Effect::speed && setting.in_search) o.add(setting, config);
  }
  o.add("methods", &methods, "searches or baselines; baselines need targets [--method]",
        form_of(run_setting("method").of(config)));
  o.add("schemes", &schemes, "per-layer,per-channel [--scheme]", form_of(run_setting("scheme").of(config)));
  o.add("targets", &axes.targets,
        "one point each: 30%,50% of the uniform 8-bit size, or macs=40%, or both: size=30%+macs=40% [--target]");
  o.add("strengths", &axes.strengths, "one search each, without a target [--strength]");
  o.add("seeds", &axes.seeds, "seeds of search and fine-tuning; the first one also trains the float network [--seed]");
  o.add("jobs", &how.jobs, "number of points to run at a time; they share the threads");
  o.add("threads", &how.threads, "number of threads of all jobs together, 0 for all cores");
  o.add("out", &how.out,
        "folder for the results; points already finished there are not run again [a dated one under runs/]",
        folder_form);
  o.add("overwrite", &how.overwrite, "run all points again, even those finished in --out");
  o.add("quiet", &quiet, "print the final table only");
  o.add("json", &json, "print the results as JSON only");
  o.add_config_file();
  show_examples(command, {"mixgrad sweep --targets 30%,50% --schemes per-layer,per-channel --jobs 2 --out sweep",
                          "mixgrad sweep --target size=40% --seeds 1,2,3"});
}

}  // namespace

void add_sweep(CLI::App& app, const Communicator& communicator) {
  CLI::App* command = app.add_subcommand(
      "sweep",
      "run many searches from one float network in parallel: all methods, schemes, targets, strengths and seeds");
  const auto sweep = std::make_shared<Sweep>(*command);
  sweep->add_options(*command);
  command->callback([sweep, &communicator] { sweep->run(communicator); });
}

}  // namespace mixgrad::cli
