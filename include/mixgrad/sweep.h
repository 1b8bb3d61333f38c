// SPDX-License-Identifier: Apache-2.0
// A sweep: one float network and many searches from it, each in its own process and folder.
#pragma once

#include <mixgrad/communicator.h>
#include <mixgrad/run.h>

#include <optional>
#include <string>
#include <vector>

namespace mixgrad::sweep {

/// What varies between points. Targets and strengths may be empty; every other axis needs at least one value.
struct Axes {
  std::vector<Method> methods;
  std::vector<MixPrecType> schemes;
  std::vector<std::string> targets;  ///< as RunConfig::target; "30%" means size=30%, and + replaces the comma
  std::vector<double> strengths;     ///< for dnas points without a target
  std::vector<uint64_t> seeds;
};

struct Point {
  std::string name;  ///< of its folder: "dnas-per-channel-size=30%-seed1"
  RunConfig config;
};

/// The product of the axes, applied to `base`, whose regularizer and refine only apply to points without a target. dnas
/// is combined with every strength and every target; the other methods need a target. uniform and sensitivity choose
/// per layer, so they only take the first scheme. Throws bad_input if an axis yields no point or two points are equal.
std::vector<Point> points(const RunConfig& base, const Axes& axes);

struct Options {
  std::string out;         ///< folder of the sweep
  int jobs = 1;            ///< concurrent points per process
  int threads = 0;         ///< shared by all jobs of a process; 0: one per core
  bool overwrite = false;  ///< rerun points that are finished or ran with other settings
};

/// A finished point, read from its summary. Values that the run does not report are unset.
struct Row {
  Point point;
  train::Metric metric = {};  ///< of the run's task
  std::optional<double> strength = {}, float_metric = {}, final_metric = {}, final_loss = {};
  std::optional<double> size_bits = {}, size_share = {}, macs_share = {};  ///< shares of uniform 8-bit
  bool pareto = false;  ///< not dominated: no point is better and no larger, or as good and smaller
};

/// Mean, sample standard deviation (n - 1) and range of some values.
struct Spread {
  double mean, deviation, smallest, largest;
};
/// Needs at least one value.
Spread spread(const std::vector<double>& values);

/// Finished points that differ only in their seed. A statistic is unset unless all points report the value.
struct Group {
  std::string name;          ///< of its points, without the seed
  std::vector<size_t> rows;  ///< indices of its points
  std::optional<Spread> metric = {}, loss = {}, size_share = {};
};
/// In the order of each group's first row.
std::vector<Group> groups(const std::vector<Row>& rows);

/// Progress callbacks, called on rank 0.
class Listener {
 public:
  virtual ~Listener() = default;
  /// Training of a float network starts.
  virtual void on_warm_up(const std::string& /*log*/) {}
  virtual void on_finished(const Row&, size_t /*done*/, size_t /*points*/) {}
  virtual void on_failed(const Point&, const std::string& /*complaint*/, size_t /*done*/, size_t /*points*/) {}
};

struct Result {
  std::vector<Row> rows;            ///< in the order of the points; only on rank 0
  std::vector<std::string> failed;  ///< names of failed points
};

/// Runs the unfinished points, each as a process `mixgrad search`, so that one that fails or crashes does not affect
/// the others. Idle processes take the next point, and out/sweep.csv is updated after every point. Throws bad_input
/// before anything runs if a point is impossible or its folder holds a run with other settings; failed_run if training
/// the float network fails, or if a signal (SIGINT, SIGTERM) ended the running points.
Result run(const std::vector<Point>& points, const Options& options, const Communicator& communicator,
           Listener& listener);

/// Sets `pareto` of each row.
void mark_front(std::vector<Row>& rows);
/// The content of sweep.csv, of sweep --json, and a table of at most 100 columns. If points differ only in their seed,
/// all three also give the mean and spread of each such group.
std::string csv(const std::vector<Row>& rows);
std::string json(const std::vector<Row>& rows);
std::string table(const std::vector<Row>& rows);

}  // namespace mixgrad::sweep
