// SPDX-License-Identifier: Apache-2.0
// The report: a self-contained page, assembled from src/report/html/ when the library is built.
#include <mixgrad/io.h>
#include <mixgrad/report.h>

#include <filesystem>
#include <string_view>

namespace mixgrad::report {
namespace {

constexpr std::string_view page_parts[] = {
#include "page.inc"
};

constexpr std::string_view data_mark = "@DATA@";

/// JSON that is safe in a script element: no name of a layer can end the element.
std::string escaped(const std::string& json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) c == '<' ? out += "\\u003c" : out += c;  // in JSON, < occurs in strings only
  return out;
}

}  // namespace

std::string page(const std::string& data) {
  std::string out;
  for (const std::string_view part : page_parts) out += part;
  return out.replace(out.find(data_mark), data_mark.size(), escaped(data));
}

std::string write_page(const std::string& path) { return write_page_beside(path, {}); }

std::string write_page_beside(const std::string& path, const std::vector<std::string>& beside) {
  const std::filesystem::path file = std::filesystem::path(path) / "report.html";
  io::write_file(file, page(page_data(path, beside)));
  return file;
}

}  // namespace mixgrad::report
