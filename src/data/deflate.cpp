// SPDX-License-Identifier: Apache-2.0
#include "deflate.h"

#include <mixgrad/error.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include <zlib.h>

namespace mixgrad::data {

bool gzipped(std::string_view content) { return content.starts_with("\x1f\x8b"); }

std::string gunzip(const std::string& file, size_t most) {
  const std::unique_ptr<gzFile_s, decltype(&gzclose_r)> gz(gzopen(file.c_str(), "rbe"), &gzclose_r);
  if (!gz) bad_input("can't read {}: {}", file, std::strerror(errno));
  std::string content;
  char part[1 << 16];
  int n = 1;
  while (n > 0 && content.size() < most) {
    n = gzread(gz.get(), part, static_cast<unsigned>(std::min(sizeof part, most - content.size())));
    if (n > 0) content.append(part, static_cast<size_t>(n));
  }
  int code = Z_OK;
  const std::string_view reason = gzerror(gz.get(), &code);  // "FILE: what"
  if (n < 0 || (code != Z_OK && code != Z_STREAM_END))
    bad_input("{}: corrupt gzip data: {}", file, reason.substr(reason.starts_with(file + ": ") ? file.size() + 2 : 0));
  return content;
}

}  // namespace mixgrad::data
