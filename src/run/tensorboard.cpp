// SPDX-License-Identifier: Apache-2.0
// Event files as TensorFlow writes them: records that hold protobuf messages. Field numbers are those of its
// event.proto and summary.proto.
#include "tensorboard.h"

#include "metrics.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <fmt/core.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include <unistd.h>

namespace mixgrad {
namespace {

namespace fs = std::filesystem;
using google::protobuf::io::CodedOutputStream;

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

/// A protobuf message.
class Message {
 public:
  Message& put(uint32_t field, int64_t value) {
    return write([&](CodedOutputStream& out) {
      out.WriteTag(field << 3);
      out.WriteVarint64(static_cast<uint64_t>(value));
    });
  }
  Message& put(uint32_t field, double value) {
    return write([&](CodedOutputStream& out) {
      out.WriteTag(field << 3 | 1);
      out.WriteLittleEndian64(std::bit_cast<uint64_t>(value));
    });
  }
  Message& put(uint32_t field, float value) {
    return write([&](CodedOutputStream& out) {
      out.WriteTag(field << 3 | 5);
      out.WriteLittleEndian32(std::bit_cast<uint32_t>(value));
    });
  }
  Message& put(uint32_t field, const std::string& text) {
    return write([&](CodedOutputStream& out) {
      out.WriteTag(field << 3 | 2);
      out.WriteVarint64(text.size());
      out.WriteString(text);
    });
  }
  Message& put(uint32_t field, const Message& message) { return put(field, message.bytes_); }
  Message& put(uint32_t field, const std::vector<double>& values) {
    return write([&](CodedOutputStream& out) {
      out.WriteTag(field << 3 | 2);
      out.WriteVarint64(values.size() * sizeof(double));
      for (const double value : values) out.WriteLittleEndian64(std::bit_cast<uint64_t>(value));
    });
  }
  const std::string& bytes() const { return bytes_; }

 private:
  template <typename F>
  Message& write(const F& f) {
    google::protobuf::io::StringOutputStream stream(&bytes_);
    CodedOutputStream out(&stream);
    f(out);
    return *this;
  }

  std::string bytes_;
};

/// CRC-32C (Castagnoli), masked as records have it.
uint32_t masked_checksum(std::string_view bytes) {
  static constexpr auto table = [] {
    std::array<uint32_t, 256> remainders{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
      uint32_t r = byte;
      for (int bit = 0; bit < 8; ++bit) r = r >> 1 ^ (r & 1 ? 0x82f63b78u : 0);
      remainders[byte] = r;
    }
    return remainders;
  }();
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = crc >> 8 ^ table[(crc ^ static_cast<uint8_t>(c)) & 0xff];
  return std::rotr(~crc, 15) + 0xa282ead8u;
}

/// Length, checksum of the length, event, checksum of the event.
std::string record(const Message& event) {
  const std::string& content = event.bytes();
  std::string out;
  {
    google::protobuf::io::StringOutputStream stream(&out);
    CodedOutputStream coded(&stream);
    std::array<uint8_t, 8> length{};
    CodedOutputStream::WriteLittleEndian64ToArray(content.size(), length.data());
    coded.WriteRaw(length.data(), length.size());
    coded.WriteLittleEndian32(masked_checksum({reinterpret_cast<const char*>(length.data()), length.size()}));
    coded.WriteString(content);
    coded.WriteLittleEndian32(masked_checksum(content));
  }
  return out;
}

Message event(int64_t step) { return Message().put(1, now()).put(2, step); }

/// HistogramProto, with buckets of equal width.
Message histogram(std::span<const float> values) {
  const auto [low, high] = std::ranges::minmax(values);
  constexpr size_t most = 30;
  const double least = static_cast<double>(low), width = (static_cast<double>(high) - least) / most;
  double sum = 0, squares = 0;
  std::vector<double> limits, counts(most);
  for (size_t b = 1; b <= most; ++b) limits.push_back(least + static_cast<double>(b) * width);
  limits.back() = std::nextafter(static_cast<double>(high), HUGE_VAL);
  for (const float value : values) {
    const double v = static_cast<double>(value);
    sum += v;
    squares += v * v;
    ++counts[width > 0 ? std::min(most - 1, static_cast<size_t>((v - least) / width)) : most - 1];
  }
  return Message()
      .put(1, least)
      .put(2, static_cast<double>(high))
      .put(3, static_cast<double>(values.size()))
      .put(4, sum)
      .put(5, squares)
      .put(6, limits)
      .put(7, counts);
}

/// The values of an epoch.
class Summary {
 public:
  void add(const std::string& tag, double value) { put(Message().put(1, tag).put(2, static_cast<float>(value))); }
  /// A histogram of the finite values, or the only one.
  void add(const std::string& tag, std::span<const float> values) {
    std::vector<float> finite;
    std::ranges::copy_if(values, std::back_inserter(finite), [](float v) { return std::isfinite(v); });
    if (finite.size() > 1)
      put(Message().put(1, tag).put(5, histogram(finite)));
    else if (finite.size() == 1)
      add(tag, static_cast<double>(finite[0]));
  }
  const Message& message() const { return message_; }

 private:
  void put(const Message& value) { message_.put(1, value); }

  Message message_;
};

Summary summary_of(const train::EpochReport& epoch) {
  Summary out;
  const nlohmann::ordered_json metrics = metrics_of(epoch);
  for (const auto& [name, value] : metrics.items()) {
    if (value.is_number() && name != "epoch") out.add("metrics/" + name, value.get<double>());
  }
  for (const train::AlphaReport& a : epoch.alphas) {
    if (a.bits.size() == 1) continue;  // nothing to choose
    const auto row = static_cast<size_t>(a.alpha.size() / a.alpha.dim(0));
    for (size_t p = 0; p < a.bits.size(); ++p) {
      const auto tag = [&](const char* of) { return fmt::format("{}/{}/{}-bit", of, a.name, a.bits[p]); };
      out.add(tag("alpha"), a.alpha.data().subspan(p * row, row));
      out.add(tag("theta"), a.theta.data().subspan(p * row, row));
    }
  }
  for (const Parameter& p : epoch.parameters) {
    if (p.role != Role::alpha) out.add("parameters/" + p.name, p.tensor.data());
  }
  return out;
}

}  // namespace

TensorBoard::TensorBoard(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) bad_input("tensorboard: can't make folder {}: {}", folder, error.message());
  io::check_folder(folder);
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  file_ = fs::path(folder) / fmt::format("events.out.tfevents.{:010.0f}.{}.{}", now(), host.data(), ::getpid());
}

void TensorBoard::add(const train::EpochReport& epoch, int64_t step) {
  std::string records;
  if (bytes_ == 0) {
    records += record(event(0).put(3, std::string("brain.Event:2")));
    records += record(event(step).put(7, Message().put(1, int64_t{1})));  // SessionLog START: forget later steps
  }
  records += record(event(step).put(5, summary_of(epoch).message()));
  io::write_at(file_, bytes_, records);
  bytes_ += std::ssize(records);
}

}  // namespace mixgrad
