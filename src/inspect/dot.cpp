// SPDX-License-Identifier: Apache-2.0
#include "dot.h"

#include <src/internal/names.h>

#include <cctype>

namespace mixgrad::inspect {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : valid_utf8(text)) {
    if (c == '\n') {
      out += "\\n";
    } else if (std::iscntrl(static_cast<unsigned char>(c)) != 0) {
      out += ' ';
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "\"";
}

std::string digraph(const std::string& body) {
  return "digraph network {\n"
         "  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"Helvetica\", fontsize=10]\n"
         "  edge [fontname=\"Helvetica\", fontsize=9]\n" +
         body + "}\n";
}

}  // namespace mixgrad::inspect
