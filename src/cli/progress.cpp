// SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include "note.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>
#include <utility>

#include <sys/ioctl.h>
#include <unistd.h>

namespace mixgrad::cli {
namespace {

constexpr auto refresh = std::chrono::milliseconds(100);

/// Approximate duration of an epoch of each phase, relative to the others; for phases that have not started.
struct Pace {
  const char* phase;
  double seconds;
};
constexpr std::array<Pace, 4> pace = {{{"warmup", 1.0}, {"search", 0.8}, {"finetune", 0.7}, {"front", 0.9}}};

int epochs_of(const RunConfig& config, const std::string& phase) {
  if (phase == "front") return config.search_epochs + config.finetune_epochs;
  return phase == "warmup" ? config.warmup_epochs : phase == "search" ? config.search_epochs : config.finetune_epochs;
}

std::string minutes(double seconds) {
  const auto whole = static_cast<long long>(std::ceil(std::max(seconds, 0.0)));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
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
  const std::string_view phase = e.phase;
  if (phase == "warmup") return "";
  std::string part = fmt::format("  {} {}", cost_to_lower(config), short_number(e.cost_discrete));
  if (phase == "search" && config.method == Method::dnas)
    part += fmt::format(" (soft {:+.0f}%)  entropy {:.2f}", 100 * (e.cost_soft / e.cost_discrete - 1), e.entropy);
  return part;
}

/// "  acc 81.3%", or "" if the metric is not a share.
std::string share_part(const train::Metric& metric, const std::string& label, double value, int digits) {
  return metric.is_share ? fmt::format("  {} {:.{}f}%", label, 100 * value, digits) : "";
}

}  // namespace

Progress::Progress(const RunConfig& config, Show show)
    : config_(config), shows_(show), terminal_(::isatty(STDOUT_FILENO) == 1) {}

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
  const auto current = std::ranges::find(pace, phase, [](const Pace& p) { return std::string(p.phase); });
  const double taken = std::chrono::duration<double>(Clock::now() - phase_start_).count();
  double work = (epochs_of(config_, phase) - done) * current->seconds;
  for (auto later = current + 1; later != pace.end() && later->phase != std::string_view("front"); ++later)
    work += epochs_of(config_, later->phase) * later->seconds;
  return taken / std::max(done - done_at_start_, 1e-9) / current->seconds * work;
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
  if (terminal_) return rewrite(line);
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

}  // namespace mixgrad::cli
