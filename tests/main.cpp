// SPDX-License-Identifier: Apache-2.0
// Prints a last line with the number of test cases that passed, failed and were skipped.
#define DOCTEST_CONFIG_IMPLEMENT
#include "skip.h"

#include <doctest/doctest.h>

#include <fmt/core.h>

namespace {

int passed = 0, failed = 0, skipped = 0;

/// Counts test cases; one that called skip() counts as skipped.
struct Counter : doctest::IReporter {
  explicit Counter(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData&) override { mixgrad::test::skipped_now() = false; }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    const bool ok = stats.failure_flags == 0;
    ++(!ok ? failed : mixgrad::test::skipped_now() ? skipped : passed);
  }
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("counter", 1, Counter);

}  // namespace

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const int status = context.run();
  if (context.shouldExit()) return status;
  fmt::print("{} passed, {} failed, {} skipped\n", passed, failed, skipped);
  return failed > 0 || passed == 0 ? 1 : status;
}
