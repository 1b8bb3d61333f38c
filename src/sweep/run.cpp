// SPDX-License-Identifier: Apache-2.0
// Scheduling: rank 0 hands out the points, and every process runs its share as child processes.
#include "folder.h"
#include "processes.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/models.h>
#include <mixgrad/settings.h>

#include <algorithm>
#include <deque>

namespace mixgrad::sweep {
namespace {

namespace fs = std::filesystem;

constexpr const char* no_more = "no more";

/// The points of a sweep, ready to be started as processes.
class Work {
 public:
  Work(const std::vector<Point>& points, const Options& options, const Communicator& communicator)
      : options_(options), out_(fs::absolute(options.out).lexically_normal()) {
    threads_ = options.threads > 0 ? options.threads : communicator.cores();
    for (const Point& p : points) points_.push_back({.name = p.name, .config = from_any_folder(p.config)});
    const RunConfig& first = points_[0].config;
    warms_up_ = first.init.empty() && first.from_front.empty() && !make_model(first, 1).trained;
  }

  const std::vector<Point>& points() const { return points_; }
  bool warms_up() const { return warms_up_; }
  const fs::path& path() const { return out_; }

  SubFolder float_place() const { return {out_ / "float", train_toml(points_[0].config), "float.safetensors"}; }
  SubFolder place(size_t i) const { return {out_ / points_[i].name, search_toml(points_[i].config), "summary.json"}; }

  void start_float(Processes& processes) const { start(processes, 0, float_place(), {"train"}, threads_); }
  void start_point(Processes& processes, size_t i) const {
    std::vector<std::string> arguments = {"search"};
    if (warms_up_) arguments.insert(arguments.end(), {"--init", float_place().file("float.safetensors")});
    start(processes, i, place(i), arguments, std::max(1, threads_ / options_.jobs));
  }

 private:
  void start(Processes& processes, size_t id, const SubFolder& place, std::vector<std::string> arguments,
             int threads) const {
    place.prepare(options_.overwrite);
    arguments.insert(arguments.end(), {"--config", place.file("settings.toml"), "--out", place.file(""), "--threads",
                                       std::to_string(threads)});
    processes.start(id, arguments, place.log());
  }

  const Options& options_;
  fs::path out_;
  std::vector<Point> points_;
  int threads_;
  bool warms_up_;
};

/// Throws bad_input for weights that every point would refuse, before the first one starts.
void check_init(const std::string& file) {
  if (file.empty()) return;
  const io::Safetensors weights = io::read_safetensors(file);
  for (const auto& tensor : weights.tensors) weights.check_finite(tensor.first);
}

/// All ranks but 0: runs the points received from rank 0 until there are no more.
void serve(const Work& work, const Communicator& communicator) {
  Processes processes;
  while (!Processes::stopped()) {
    while (const auto message = communicator.poll()) {
      if (message->text == no_more) return;
      work.start_point(processes, std::stoul(message->text));
    }
    while (const auto ended = processes.poll()) communicator.send(0, fmt::format("{} {}", ended->id, ended->complaint));
    Processes::pause();
  }
  failed_run("stopped by a signal");
}

/// Rank 0: hands out points and collects results.
class Coordinator {
 public:
  Coordinator(const Work& work, const Options& options, const Communicator& communicator, Listener& listener)
      : work_(work), options_(options), communicator_(communicator), listener_(listener), rows_(work.points().size()) {
    free_.assign(static_cast<size_t>(communicator.size()), options.jobs);
    for (size_t i = 0; i < rows_.size(); ++i) {
      if (!options.overwrite && work.place(i).finished()) {
        rows_[i] = read_row(work.points()[i], work.place(i).file("summary.json"));
        ++done_;
      } else {
        waiting_.push_back(i);
      }
    }
  }

  Result run() {
    if (!waiting_.empty()) check_waiting();
    make_folder(work_.path());
    write();
    if (!waiting_.empty()) warm_up();
    for (; !waiting_.empty() || underway_ > 0; Processes::pause()) {
      check_stopped();
      hand_out();
      while (const auto ended = processes_.poll()) finish(0, ended->id, ended->complaint);
      while (const auto message = communicator_.poll()) {
        const size_t space = message->text.find(' ');
        finish(message->from, std::stoul(message->text), message->text.substr(space + 1));
      }
    }
    for (int member = 1; member < communicator_.size(); ++member) communicator_.send(member, no_more);
    return {.rows = finished_rows(), .failed = failed_};
  }

 private:
  void check_stopped() const {
    if (!Processes::stopped()) return;
    failed_run("stopped by a signal: {} of {} points are finished; run the same command again for the others",
               done_ - failed_.size(), rows_.size());
  }

  void check_waiting() const {
    std::vector<RunConfig> runs;
    for (size_t i : waiting_) runs.push_back(work_.points()[i].config);
    check_init(runs[0].init);
    check_possible(runs);
  }

  void warm_up() {
    const SubFolder place = work_.float_place();
    if (!work_.warms_up() || (!options_.overwrite && place.finished())) return;
    listener_.on_warm_up(place.log());
    work_.start_float(processes_);
    for (;; Processes::pause()) {
      check_stopped();
      const auto ended = processes_.poll();
      if (!ended) continue;
      if (!ended->complaint.empty()) failed_run("the float network's training failed: {}", ended->complaint);
      return;
    }
  }

  /// Each point goes to the process with the most free slots, which spreads points evenly.
  void hand_out() {
    for (; !waiting_.empty(); waiting_.pop_front(), ++underway_) {
      const auto most = std::ranges::max_element(free_);
      if (*most == 0) return;
      --*most;
      const auto member = static_cast<int>(most - free_.begin());
      if (member == 0) {
        work_.start_point(processes_, waiting_.front());
      } else {
        communicator_.send(member, std::to_string(waiting_.front()));
      }
    }
  }

  void finish(int member, size_t i, const std::string& complaint) {
    ++free_[static_cast<size_t>(member)];
    --underway_;
    ++done_;
    if (complaint.empty()) {
      rows_[i] = read_row(work_.points()[i], work_.place(i).file("summary.json"));
      write();
      return listener_.on_finished(*rows_[i], done_, rows_.size());
    }
    check_stopped();  // Ctrl-C in a terminal also reaches the points: that does not count as their failure
    failed_.push_back(work_.points()[i].name);
    listener_.on_failed(work_.points()[i], complaint, done_, rows_.size());
  }

  std::vector<Row> finished_rows() const {
    std::vector<Row> out;
    for (const auto& row : rows_) {
      if (row) out.push_back(*row);
    }
    mark_front(out);
    return out;
  }

  void write() const { io::write_file(work_.path() / "sweep.csv", csv(finished_rows())); }

  const Work& work_;
  const Options& options_;
  const Communicator& communicator_;
  Listener& listener_;
  Processes processes_;
  std::vector<std::optional<Row>> rows_;
  std::vector<std::string> failed_;
  std::deque<size_t> waiting_;
  std::vector<int> free_;  // slots by rank
  size_t underway_ = 0, done_ = 0;
};

}  // namespace

Result run(const std::vector<Point>& points, const Options& options, const Communicator& communicator,
           Listener& listener) {
  const Work work(points, options, communicator);
  if (communicator.rank() == 0) return Coordinator(work, options, communicator, listener).run();
  serve(work, communicator);
  return {};
}

}  // namespace mixgrad::sweep
