// SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include "note.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

#include <sys/ioctl.h>
#include <unistd.h>

namespace mixgrad::cli {
namespace {

constexpr auto refresh = std::chrono::milliseconds(100);

/// A kind of phase, told by the first word of its name.
struct PhaseKind {
  const char* name;
  int RunConfig::*epochs;
  double seconds;  ///< of an epoch, approximately, relative to the others; for phases that have not started
};

const PhaseKind& kind_of(const std::string& phase) {
  static constexpr std::array<PhaseKind, 4> kinds = {{{"warmup", &RunConfig::warmup_epochs, 1.0},
                                                      {"search", &RunConfig::search_epochs, 0.8},
                                                      {"finetune", &RunConfig::finetune_epochs, 0.7},
                                                      {"segment", &RunConfig::finetune_epochs, 0.8}}};
  return *std::ranges::find(kinds, phase.substr(0, phase.find(' ')), &PhaseKind::name);
}

size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// 618880 → "618.9k"
std::string short_number(double value) {
  constexpr std::array<const char*, 5> suffixes = {"", "k", "M", "G", "T"};
  size_t i = 0;
  for (; value >= 1000 && i + 1 < suffixes.size(); ++i) value /= 1000;
  return fmt::format("{:.4g}{}", value, suffixes[i]);
}

/// The discrete cost and, while α trains, the soft cost's deviation from it and the entropy of θ.
std::string cost_part(const RunConfig& config, const train::EpochReport& e) {
  if (e.phase == "warmup") return "";
  std::string part = fmt::format("  {} {}", cost_to_lower(config), short_number(e.cost_discrete));
  if (e.phase == "search" && config.method == Method::dnas)
    part += fmt::format(" (soft {:+.0f}%)  entropy {:.2f}", 100 * (e.cost_soft / e.cost_discrete - 1), e.entropy);
  return part;
}

/// "  acc 81.3%", or "" if the metric is not a share.
std::string share_part(const train::Metric& metric, const std::string& label, double value, int digits) {
  return metric.is_share ? fmt::format("  {} {:.{}f}%", label, 100 * value, digits) : "";
}

}  // namespace

std::string minutes(double seconds) {
  const auto whole = static_cast<long long>(std::ceil(std::max(seconds, 0.0)));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

Progress::Progress(const RunConfig& config, Show show, std::vector<std::string> phases)
    : config_(config), phases_(std::move(phases)), shows_(show), terminal_(::isatty(STDOUT_FILENO) == 1) {}

Progress::~Progress() {
  if (open_) std::fputc('\n', stdout);
  std::fflush(stdout);
}

void Progress::on_resume(const train::Place& place, const std::string& damage) {
  if (!damage.empty()) fmt::print(stderr, "mixgrad: {}: resuming from the previous checkpoint\n", damage);
  if (shows_ == Show::all) fmt::print("resuming from {}\n", place.str());
}

void Progress::on_read(int64_t done, int64_t images) {
  constexpr int64_t large = 1000;  // smaller folders are read at once
  if (shows_ != Show::all || !terminal_ || images < large || std::ferror(stdout) != 0) return;
  if (done < images && Clock::now() - shown_ < refresh) return;
  rewrite(fmt::format("reading images {}/{}", done, images));
}

void Progress::on_note(const std::string& note) {
  if (std::exchange(open_, false)) std::fputc('\n', stdout);
  std::fflush(stdout);
  if (shows_ != Show::nothing) print_note(note);
}

void Progress::enter(const std::string& phase, double done) {
  if (phase == phase_) return;
  if (open_) std::fputc('\n', stdout);  // keep the last line of a phase
  open_ = false;
  phase_ = phase;
  cost_.clear();
  phase_start_ = Clock::now();
  done_at_start_ = done;
}

double Progress::time_left(const std::string& phase, double done) const {
  const double taken = std::chrono::duration<double>(Clock::now() - phase_start_).count(),
               pace = kind_of(phase).seconds;
  double work = -done * pace;
  for (auto p = std::ranges::find(phases_, phase); p != phases_.end(); ++p)
    work += config_.*kind_of(*p).epochs * kind_of(*p).seconds;
  return taken / std::max(done - done_at_start_, 1e-9) / pace * work;
}

void Progress::rewrite(const std::string& line) {
  fmt::print("\r\x1b[K{}", line.substr(0, terminal_width() - 1));  // a wrapped line could not be rewritten
  std::fflush(stdout);
  open_ = true;
  shown_ = Clock::now();
}

void Progress::on_step(const train::StepReport& s) {
  if (!interrupt_) interrupt_.emplace();
  reached_ = fmt::format("{}, epoch {} of {}", s.phase, s.epoch + 1, s.epochs);
  if (shows_ == Show::all) show(s);
}

bool Progress::stop() const {
  if (Interrupt::signal() == 0) return false;
  if (std::exchange(told_, true)) return true;
  if (std::exchange(open_, false)) std::fputc('\n', stdout);
  std::fflush(stdout);
  fmt::print(stderr, "mixgrad: interrupted in {}: saving the results so far; interrupt again to exit at once\n",
             reached_);
  return true;
}

void Progress::show(const train::StepReport& s) {
  enter(s.phase, s.epoch + static_cast<double>(s.step) / static_cast<double>(s.steps));
  if (!terminal_ || Clock::now() - shown_ < refresh || std::ferror(stdout) != 0) return;
  const double done = s.epoch + static_cast<double>(s.step + 1) / static_cast<double>(s.steps);
  rewrite(fmt::format("{} {}/{}  {} left  loss {:.3f}{}{}", s.phase, s.epoch + 1, s.epochs,
                      minutes(time_left(s.phase, done)), s.loss, share_part(s.metric, s.metric.label, s.value, 0),
                      cost_));
}

void Progress::on_epoch(const train::EpochReport& e) {
  if (shows_ != Show::all || std::ferror(stdout) != 0)
    return;  // a run must not end when the reader of its output exits
  enter(e.phase, e.epoch);
  cost_ = cost_part(config_, e);
  std::string line = fmt::format("{} {}/{}  {} left  loss {:.3f}{}{}", e.phase, e.epoch + 1, e.epochs,
                                 minutes(time_left(e.phase, e.epoch + 1)), e.task_loss,
                                 share_part(e.metric, e.metric.label, e.train_metric, 1),
                                 share_part(e.metric, "val", e.val_metric, 1));
  if (!e.metric.is_share) line += fmt::format("  val loss {:.4f}", e.val_loss);
  line += cost_;
  if (terminal_)
    rewrite(line);
  else
    fmt::print("{}\n", line);
  if (!page_.empty()) {
    if (std::exchange(open_, false)) std::fputc('\n', stdout);
    fmt::print("{} shows the run while it goes on\n", std::exchange(page_, ""));
  }
  std::fflush(stdout);
}

}  // namespace mixgrad::cli
