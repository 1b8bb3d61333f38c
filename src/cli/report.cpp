// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "options.h"

#include <mixgrad/error.h>
#include <mixgrad/report.h>

#include <cstdio>
#include <memory>
#include <string>

namespace mixgrad::cli {
namespace {

struct Report {
  explicit Report(CLI::App& command) : options(command) {}

  Options options;
  std::string folder;
  bool json = false;
};

void run(Report& report) {
  report.options.apply();
  if (report.folder.empty())
    bad_input("report: no folder given: expected mixgrad report DIR with the folder of a search or a sweep");
  if (report.json)
    std::puts(report::page_data(report.folder).c_str());
  else
    std::printf("report: %s\n", report::write_page(report.folder).c_str());
}

}  // namespace

void add_report(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("report", "write DIR/report.html, a self-contained page with charts of a run or a sweep");
  const auto report = std::make_shared<Report>(*command);
  command->add_option("DIR", report->folder, "folder of a run or a sweep")->type_name("");
  report->options.add("json", &report->json, "print the page's data as JSON instead");
  show_examples(*command, {"mixgrad report RUN", "mixgrad report sweep"});
  command->callback([report] { run(*report); });
}

}  // namespace mixgrad::cli
