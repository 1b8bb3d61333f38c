// SPDX-License-Identifier: Apache-2.0
// Clips for values of every kind: of any scale, sparse, with outliers, of known range.
#include "../../src/search/clip_rule.h"
#include "../refusal.h"

#include <doctest/doctest.h>
#include <mixgrad/run.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace mixgrad;

namespace {

/// [images, 64, 1, 1] of `value`(i).
template <typename Value>
Tensor features(int64_t images, const Value& value) {
  Tensor x = Tensor::empty({images, 64, 1, 1});
  for (int64_t i = 0; i < x.size(); ++i) x.data()[static_cast<size_t>(i)] = static_cast<float>(value(i));
  return x;
}

struct Calibrated {
  ActivationSlot input;
  std::vector<std::string> notes;
};

/// What calibration on `x` makes of the input's quantizer, in a network that adds features up.
Calibrated calibrated(const Tensor& x, const std::string& rule, std::vector<int> bits = {8},
                      std::optional<ValueRange> range = {}) {
  nn::Conv2d sum({.in_channels = 64, .out_channels = 2, .kernel = {1, 1}});
  std::ranges::fill(sum.weight.data(), 1.0F);
  Calibrated out;
  const MixPrec net(sum, {.input_shape = {64, 1, 1},
                          .input_precisions = std::move(bits),
                          .calibration = {x},
                          .clips = parse_clip_rule(rule),
                          .input_range = range,
                          .on_note = [&](const std::string& text) { out.notes.push_back(text); }});
  out.input = *net.graph().nodes[0].output_slot;
  return out;
}

Sizes sizes_of(const Tensor& x, bool with_negative = true) {
  Histogram histogram;
  histogram.add(x.data());
  return histogram.sizes(with_negative);
}

/// Mean squared error of x at candidate p, by the definitions in SPEC §3.
double error_of(const Tensor& x, int bits, bool is_signed, double clip) {
  const double levels = (1 << (is_signed ? bits - 1 : bits)) - 1, step = clip / levels;
  double total = 0;
  for (const float v : x.data()) {
    const double coded = std::nearbyint(std::clamp(static_cast<double>(v), is_signed ? -clip : 0, clip) / step) * step;
    total += (v - coded) * (v - coded);
  }
  return total / static_cast<double>(x.size());
}

}  // namespace

TEST_CASE("calibration: what is asked for is max, mse, or a percentile above 50") {
  CHECK(parse_clip_rule("max").percentile == 100);
  CHECK(parse_clip_rule("percentile=99.99").percentile == 99.99);
  CHECK_FALSE(parse_clip_rule("mse").percentile);
  for (const char* text : {"", "min", "percentile", "percentile=", "percentile=50", "percentile=101", "percentile=nan",
                           "percentile=99x", "MAX"}) {
    CAPTURE(text);
    const std::string said = test::refusal([&] { parse_clip_rule(text); });
    CHECK(said.ends_with("expected max, mse or percentile=N with N above 50, up to 100"));
  }
  RunConfig config;
  config.calibration = "mean";
  CHECK(test::refusal([&] { config.validate(); }).starts_with("calibration: 'mean' is not possible"));
}

TEST_CASE("calibration: sizes of any scale are told apart, zeros are not counted") {
  const Tensor x = Tensor::from({7}, std::vector{0.0F, 1e-30F, -1e-30F, 0.5F, 0.502F, -0.0F, 3e30F});
  const Sizes all = sizes_of(x), positive = sizes_of(x, false);
  CHECK(all.counts == std::vector<int64_t>{2, 1, 1, 1});
  CHECK(positive.counts == std::vector<int64_t>{1, 1, 1, 1});
  CHECK(all.values.back() == 3e30F);
  const std::vector<float> expected = {1e-30F, 0.5F, 0.502F};
  for (const size_t i : {0U, 1U, 2U}) CHECK(all.values[i] == doctest::Approx(expected[i]).epsilon(5e-4));
  CHECK(sizes_of(Tensor::zeros({4})).values.empty());
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    CHECK(test::refusal([&] { sizes_of(Tensor::full({2}, bad)); }).find("not finite") != std::string::npos);
  }
}

TEST_CASE("calibration: features of any scale, dense or sparse, keep their values") {
  Rng rng(1, "features");
  const auto dense = [&](int64_t) { return rng.uniform(); };
  const auto sparse = [](int64_t i) { return i % 3072 == 5 ? 1.0 : 0.0; };
  for (const char* rule : {"max", "percentile=99.9", "mse"}) {
    for (const double size : {1e-6, 0.01, 1.0, 3e4}) {
      CAPTURE(rule);
      CAPTURE(size);
      const Calibrated some = calibrated(features(100, [&](int64_t i) { return size * dense(i); }), rule);
      CHECK(some.input.clip.item() == doctest::Approx(size).epsilon(0.05));
      const Calibrated few = calibrated(features(480, [&](int64_t i) { return size * sparse(i); }), rule);
      CHECK(few.input.clip.item() == doctest::Approx(size).epsilon(1e-6));
      CHECK_FALSE(few.input.is_signed);
      CHECK(few.notes.empty());
    }
  }
}

TEST_CASE("calibration: binding leaves the clip of small features as it is") {
  nn::Conv2d sum({.in_channels = 64, .out_channels = 2, .kernel = {1, 1}});
  std::ranges::fill(sum.weight.data(), 1e5F);
  const Tensor x = features(20, [](int64_t i) { return 1e-5 * static_cast<double>(i % 97) / 97; });
  const MixPrec net(sum, {.input_shape = {64, 1, 1}, .weight_precisions = {8}, .calibration = {x}});
  const std::vector<float> expected = sum(x).to_vector(), got = net.arch_export().forward(x).to_vector();
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(expected[i]).epsilon(0.02));
}

TEST_CASE("calibration: mse gives each bit-width the clip of least squared error") {
  Rng rng(2, "values");
  const std::vector<int> bits = {2, 3, 4, 8};
  for (const bool is_signed : {false, true}) {
    for (const double power : {1.0, 3.0}) {  // the second has long tails
      const Tensor x = features(60, [&](int64_t) {
        const double v = std::pow(std::abs(rng.normal()), power);
        return is_signed && rng.uniform() < 0.5 ? -v : v;
      });
      const Calibrated found = calibrated(x, "mse", bits);
      CHECK(found.input.is_signed == is_signed);
      const double largest = static_cast<double>(sizes_of(x).values.back());
      for (size_t p = 0; p < bits.size(); ++p) {
        CAPTURE(is_signed);
        CAPTURE(power);
        CAPTURE(bits[p]);
        double least = error_of(x, bits[p], is_signed, largest);
        for (double clip = largest; clip > largest / 300; clip *= 0.99)
          least = std::min(least, error_of(x, bits[p], is_signed, clip));
        CHECK(error_of(x, bits[p], is_signed, static_cast<double>(found.input.clip.data()[p])) <= 1.03 * least);
        if (p > 0) CHECK(found.input.clip.data()[p] >= found.input.clip.data()[p - 1]);
      }
      CHECK(found.input.clip.data()[0] < 0.8F * found.input.clip.data()[3]);
    }
  }
}

TEST_CASE("calibration: only bytes have a known range, and it holds whatever the images show") {
  data::Dataset bytes{
      .name = "bytes", .channels = 2, .height = 1, .width = 1, .pixels = {0, 3, 1, 2}, .labels = {}, .class_names = {}};
  data::Dataset floats = bytes;
  floats.pixels.clear();
  floats.features = {0, 1, 0.5F, 0.2F};
  CHECK_FALSE(floats.known_range());
  CHECK(bytes.known_range()->low == 0);
  CHECK(bytes.known_range()->high == 1);
  bytes.normalization = {.mean = {0.5F, 0.25F}, .std = {0.25F, -0.125F}};
  CHECK(bytes.known_range()->low == -6);
  CHECK(bytes.known_range()->high == 2);

  const Tensor x = features(20, [](int64_t i) { return static_cast<double>(i % 7) / 7; });
  const ActivationSlot known = calibrated(x, "mse", {8}, ValueRange{-6, 2}).input,
                       unknown = calibrated(x, "max", {8}).input,
                       chosen = calibrated(x, "mse", {4, 8}, ValueRange{0, 1}).input;
  CHECK(known.clip.item() == 6);
  CHECK(known.is_signed);
  CHECK_FALSE(known.learn_clip);
  CHECK(unknown.clip.item() == doctest::Approx(6.0 / 7));
  CHECK(unknown.learn_clip);
  CHECK(chosen.clip.to_vector() == std::vector<float>{1, 1});
  CHECK(chosen.learn_clip);
}

TEST_CASE("calibration: says which tensors saturate, and which use few codes") {
  Rng rng(3, "values");
  const Tensor even = features(50, [&](int64_t) { return rng.uniform(); });
  CHECK(calibrated(even, "percentile=99.9").notes.empty());
  const std::vector<std::string> cut = calibrated(even, "percentile=90").notes;
  REQUIRE(cut.size() == 1);
  CHECK(cut[0].starts_with("'input': 9.9"));

  const Tensor spiky = features(480, [&](int64_t i) { return i % 3072 == 5 ? 1 : 1e-3 * rng.uniform(); });
  const std::vector<std::string> lost = calibrated(spiky, "percentile=99.9").notes;
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].find("and saturate, which cuts off 100% of their energy: ") != std::string::npos);
  CHECK(lost[0].ends_with("--calibration max or mse would keep more"));
  const std::vector<std::string> coarse = calibrated(spiky, "max").notes;
  REQUIRE(coarse.size() == 1);
  CHECK(
      coarse[0].starts_with("'input': the values on the calibration images take 2 of 256 codes at 8 bits and a clip "
                            "of 1: "));
  CHECK(calibrated(spiky, "max", {2}).notes.empty());  // half of its codes

  const Tensor dark = features(50, [&](int64_t) { return std::floor(8 * rng.uniform()) / 255 / 4; });
  CHECK(calibrated(dark, "max", {8}, ValueRange{0, 1}).notes.size() == 1);
  const Tensor binary = features(50, [](int64_t i) { return i % 3 == 0; });
  CHECK(calibrated(binary, "max", {8}).notes.empty());  // nothing is lost
}

TEST_CASE("calibration: what it says reaches a run's result, also of a run that is resumed behind its search") {
  class Kept : public train::Checkpoints {
   public:
    using Checkpoints::Checkpoints;
    io::Safetensors written;

   private:
    void write(io::Safetensors content) override { written = content.part(""); }
  };
  RunConfig config;
  config.data = "glyphs:200";
  config.warmup_epochs = config.search_epochs = 0;
  config.finetune_epochs = 1;
  config.calibration = "percentile=80";
  train::Observer quiet;
  Kept kept;
  const RunResult whole = run_search(config, quiet, &kept);
  const auto saturates = [](const std::string& note) { return note.find("and saturate") != std::string::npos; };
  CHECK(std::ranges::count_if(whole.notes, saturates) > 3);
  Kept again(kept.written);
  REQUIRE(again.finished("search"));
  CHECK(run_search(config, quiet, &again).notes == whole.notes);
}

TEST_CASE("calibration: a Concat of tensors of very different scales is told with their names and clips") {
  struct Joined : nn::Module {
    explicit Joined(float scale) {
      add_module("small", small);
      add_module("large", large);
      add_module("end", end);
      nn::initialize(*this, Rng(1, "init"));
      for (size_t i = 0; i < small.weight.data().size(); ++i) large.weight.data()[i] = scale * small.weight.data()[i];
    }
    Tensor forward(const Tensor& x) override { return end(concat({relu(small(x)), relu(large(x))})); }
    nn::Conv2d small{{.in_channels = 64, .out_channels = 2, .kernel = {1, 1}, .bias = false}},
        large{{.in_channels = 64, .out_channels = 2, .kernel = {1, 1}, .bias = false}},
        end{{.in_channels = 4, .out_channels = 2, .kernel = {1, 1}}};
  };
  const auto notes = [](float scale) {
    Joined net(scale);
    std::vector<std::string> out;
    const MixPrec search(net, {.input_shape = {64, 1, 1},
                               .calibration = {features(30, [](int64_t i) { return 0.01 * double(i * 7919 % 101); })},
                               .on_note = [&](const std::string& text) { out.push_back(text); }});
    std::erase_if(out, [](const std::string& text) { return text.find("joins tensors") == std::string::npos; });
    return out;
  };
  CHECK(notes(7).empty());
  REQUIRE(notes(20).size() == 1);
  CHECK(notes(20)[0].starts_with(
      "'concat' joins tensors that share one quantizer, but by themselves 'small' would have a clip of "));
  CHECK(notes(20)[0].find("and 'large' one of ") != std::string::npos);
}
