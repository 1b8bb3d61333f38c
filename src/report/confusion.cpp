// SPDX-License-Identifier: Apache-2.0
// Per-class figures and a confusion matrix as text.
#include <mixgrad/report.h>

#include <src/internal/text.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace mixgrad::report {
namespace {

constexpr int64_t most_columns = 12;  // of the matrix, within 100 columns of text

std::string share(double value) { return std::isnan(value) ? "-" : fmt::format("{:.4f}", value); }

/// The class that images of `truth` are most often taken for by mistake, and how often.
std::string taken_for(const train::Confusion& c, int64_t truth) {
  int64_t most = -1;
  for (int64_t chosen = 0; chosen < c.classes(); ++chosen) {
    if (chosen != truth && c.count(truth, chosen) > 0 && (most < 0 || c.count(truth, chosen) > c.count(truth, most)))
      most = chosen;
  }
  return most < 0 ? "-" : fmt::format("{} ({})", shortened(c.name(most)), c.count(truth, most));
}

std::string per_class(const train::Confusion& c, size_t width) {
  std::string out = fmt::format("{:<{}} {:>12} {:>12} {:>9}{}  most often taken for\n", "class", width,
                                c.of_positions() ? "pixels" : "images", "correct", "accuracy",
                                c.of_positions() ? fmt::format(" {:>7}", "IoU") : "");
  for (int64_t i = 0; i < c.classes(); ++i) {
    out += fmt::format("{:<{}} {:>12} {:>12} {:>9}{}  {}\n", shortened(c.name(i)), width,
                       grouped(static_cast<double>(c.truths(i))), grouped(static_cast<double>(c.correct(i))),
                       share(c.accuracy(i)), c.of_positions() ? fmt::format(" {:>7}", share(c.overlap(i))) : "",
                       taken_for(c, i));
  }
  return out;
}

/// Rows are true classes, columns those chosen, both in the order of the classes.
std::string matrix(const train::Confusion& c, size_t width) {
  size_t cell = 5;
  for (int64_t i = 0; i < c.classes(); ++i) cell = std::max(cell, std::to_string(c.truths(i)).size());
  std::string out = fmt::format("\n{:<{}}", "true \\ chosen", width);
  for (int64_t i = 0; i < c.classes(); ++i) out += fmt::format(" {:>{}}", shortened(c.name(i), cell), cell);
  for (int64_t truth = 0; truth < c.classes(); ++truth) {
    out += fmt::format("\n{:<{}}", shortened(c.name(truth)), width);
    for (int64_t i = 0; i < c.classes(); ++i) {
      const int64_t count = c.count(truth, i);
      out += fmt::format(" {:>{}}", count == 0 ? "." : std::to_string(count), cell);
    }
  }
  return out + "\n";
}

}  // namespace

std::string table(const train::Confusion& confusion) {
  size_t width = 13;
  for (int64_t i = 0; i < confusion.classes(); ++i) width = std::max(width, shortened(confusion.name(i)).size());
  return per_class(confusion, width) + (confusion.classes() <= most_columns ? matrix(confusion, width) : "") +
         fmt::format("\naccuracy {} on {} {}\n", share(confusion.accuracy()),
                     grouped(static_cast<double>(confusion.total())), confusion.of_positions() ? "pixels" : "images");
}

}  // namespace mixgrad::report
