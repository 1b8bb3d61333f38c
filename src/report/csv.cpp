// SPDX-License-Identifier: Apache-2.0
// Tables read back (RFC 4180).
#include "page_data.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <string_view>

namespace mixgrad::report {
namespace {

/// The lines with fields, and where each begins.
std::vector<CsvTable::Row> rows_of(std::string_view text) {
  std::vector<CsvTable::Row> out;
  CsvTable::Row row{.line = 1, .fields = {""}};
  int line = 1;
  bool quoted = false;
  const auto end_row = [&] {
    if (row.fields.size() > 1 || !row.fields[0].empty()) out.push_back(row);
    row = {.line = line, .fields = {""}};
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view two = text.substr(i, 2);
    if (text[i] == '\n') ++line;
    if (quoted && two == "\"\"")
      row.fields.back() += text[i++];
    else if (text[i] == '"')
      quoted = !quoted;
    else if (!quoted && text[i] == ',')
      row.fields.emplace_back();
    else if (!quoted && text[i] == '\n')
      end_row();
    else if (quoted || two != "\r\n")
      row.fields.back() += text[i];
  }
  end_row();
  return out;
}

}  // namespace

CsvTable read_csv(const std::filesystem::path& file) {
  CsvTable out{.columns = {}, .rows = rows_of(io::read_file(file))};
  if (out.rows.empty()) return out;
  out.columns = std::move(out.rows.front().fields);
  out.rows.erase(out.rows.begin());
  for (const CsvTable::Row& row : out.rows) {
    if (row.fields.size() != out.columns.size())
      bad_input("{}:{}: corrupt: expected {} fields, as in the first line", file.string(), row.line,
                out.columns.size());
  }
  return out;
}

}  // namespace mixgrad::report
