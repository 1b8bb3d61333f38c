// SPDX-License-Identifier: Apache-2.0
// A sweep: one float network, and many searches from it, each a process of its own with a folder of its own.
#pragma once

#include <mixgrad/communicator.h>
#include <mixgrad/run.h>

#include <optional>
#include <string>
#include <vector>

namespace mixgrad::sweep {

/// What varies between the points. Targets and strengths may be empty, the others hold one value at least.
struct Axes {
  std::vector<Method> methods;
  std::vector<MixPrecType> schemes;
  std::vector<std::string> targets;  ///< as RunConfig::target; "30%" means size=30%, and + stands for the comma
  std::vector<double> strengths;     ///< of dnas, in points without a target
  std::vector<uint64_t> seeds;
};

struct Point {
  std::string name;  ///< of its folder: "dnas-per-channel-size=30%-seed1"
  RunConfig config;
};

/// The product of the axes on top of `base`, whose regularizer and refine are for points without a target. dnas takes
/// every strength and every target; the other methods, which need one, the targets. uniform and sensitivity choose for
/// whole layers, so they take the first scheme only. Throws bad_input where an axis has no point, or two are the same.
std::vector<Point> points(const RunConfig& base, const Axes& axes);

struct Options {
  std::string out;         ///< folder of the sweep
  int jobs = 1;            ///< points at a time, in each process
  int threads = 0;         ///< of all jobs of a member together; 0: its cores
  bool overwrite = false;  ///< run again what is finished or was run with other settings
};

/// A finished point, from its summary. Nothing where the run has no such number.
struct Row {
  Point point;
  train::Metric metric = {};  ///< of the run's task
  std::optional<double> strength = {}, float_metric = {}, final_metric = {}, final_loss = {};
  std::optional<double> size_bits = {}, size_share = {}, macs_share = {};  ///< shares of uniform 8-bit
  bool pareto = false;  ///< no other point is as good and smaller, or better and as small
};

/// Mean of some values, their standard deviation (of a sample: over n - 1), and the ends of their range.
struct Spread {
  double mean, deviation, smallest, largest;
};
/// Of one value at least.
Spread spread(const std::vector<double>& values);

/// Finished points that differ in their seed alone. Nothing where not all have such a number.
struct Group {
  std::string name;          ///< of its points, without the seed
  std::vector<size_t> rows;  ///< where its points are
  std::optional<Spread> metric = {}, loss = {}, size_share = {};
};
/// In the order of their first rows.
std::vector<Group> groups(const std::vector<Row>& rows);

/// Told of what happens, on rank 0.
class Listener {
 public:
  virtual ~Listener() = default;
  /// A float network is about to be trained.
  virtual void on_warm_up(const std::string& /*log*/) {}
  virtual void on_finished(const Row&, size_t /*done*/, size_t /*points*/) {}
  virtual void on_failed(const Point&, const std::string& /*complaint*/, size_t /*done*/, size_t /*points*/) {}
};

struct Result {
  std::vector<Row> rows;            ///< in the order of the points; empty for members but rank 0
  std::vector<std::string> failed;  ///< names
};

/// Runs the points that are not finished, each as a process `mixgrad search`: a point that fails, or crashes, leaves
/// the others alone. out/sweep.csv is up to date after every point; the processes take points as they become
/// free. Throws bad_input where a point is impossible or its folder holds a run with other settings, before anything
/// runs; failed_run where the float network's training fails, or a signal (SIGINT, SIGTERM) ended the points under way.
Result run(const std::vector<Point>& points, const Options& options, const Communicator& communicator,
           Listener& listener);

/// Sets `pareto` of each.
void mark_front(std::vector<Row>& rows);
/// The content of sweep.csv, of sweep --json, and a table of at most 100 columns. Where points differ in their seed
/// alone, all three tell the mean and the spread of each group of them too.
std::string csv(const std::vector<Row>& rows);
std::string json(const std::vector<Row>& rows);
std::string table(const std::vector<Row>& rows);

}  // namespace mixgrad::sweep
