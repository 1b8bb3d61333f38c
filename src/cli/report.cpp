// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "options.h"

#include <mixgrad/error.h>
#include <mixgrad/report.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace mixgrad::cli {
namespace {

struct Report {
  explicit Report(CLI::App& command) : options(command) {}

  Options options;
  std::string folder;
  std::vector<std::string> beside;
  bool json = false;
};

void run(Report& report) {
  report.options.apply();
  if (report.folder.empty())
    bad_input("report: no folder given: expected mixgrad report DIR with the folder of a search, a sweep or a front");
  if (report.json)
    std::puts(report::page_data(report.folder, report.beside).c_str());
  else
    std::printf("report: %s\n", report::write_page_beside(report.folder, report.beside).c_str());
}

}  // namespace

void add_report(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("report", "write DIR/report.html, a self-contained page with charts of a run, sweep or front");
  const auto report = std::make_shared<Report>(*command);
  command->add_option("DIR", report->folder, "folder of a run, a sweep or a front")->type_name("");
  command->add_option("RUN", report->beside, "folders of runs and sweeps to show beside a front")->type_name("");
  report->options.add("json", &report->json, "print the page's data as JSON instead");
  show_examples(*command, {"mixgrad report RUN", "mixgrad report sweep", "mixgrad report front run sweep"});
  command->callback([report] { run(*report); });
}

}  // namespace mixgrad::cli
