// SPDX-License-Identifier: Apache-2.0
#include "../refusal.h"

#include <mixgrad/data.h>
#include <mixgrad/normalization.h>

#include <doctest/doctest.h>

using namespace mixgrad;
using mixgrad::test::refusal;

TEST_CASE("normalization: text and numbers convert both ways without loss") {
  CHECK(parse_normalization("", 3).empty());
  CHECK(parse_normalization("0.5/0.25", 2) == Normalization{.mean = {0.5F, 0.5F}, .std = {0.25F, 0.25F}});
  CHECK(parse_normalization("0.1,0.2/3", 2) == Normalization{.mean = {0.1F, 0.2F}, .std = {3, 3}});
  CHECK(parse_normalization("imagenet", 3).mean == std::vector{0.485F, 0.456F, 0.406F});
  CHECK(parse_normalization("cifar10", 3).std == std::vector{0.247F, 0.2435F, 0.2616F});
  for (const char* text : {"0.1,0.2,-0.3/3,4,1e-7", "0.5/0.25"}) {
    const Normalization n = parse_normalization(text, 3);
    CHECK(parse_normalization(to_string(n), 3) == n);
  }
}

TEST_CASE("normalization: invalid text is refused") {
  for (const char* text : {"0.5", "/", "0.5/", "/0.5", "0.5/0", "a/b", "0.5/0.25x", "0.5,/0.25", "1,2/1", "1/1,2",
                           "nan/1", "inf/1", "1/2/3", "Imagenet"}) {
    CAPTURE(text);
    CHECK(refusal([&] { parse_normalization(text, 3); }).find("expected MEAN/STD") != std::string::npos);
  }
  CHECK(refusal([] { parse_normalization("imagnet", 3); }).ends_with("; did you mean imagenet?"));
  CHECK(refusal([] { parse_normalization("imagenet", 1); }).find("images of 3 channels") != std::string::npos);
}

TEST_CASE("normalization: a range of pixels is one, too") {
  CHECK(parse_input_scale("", 3).empty());
  CHECK(parse_input_scale("0..1", 1) == Normalization{.mean = {0}, .std = {1}});
  CHECK(parse_input_scale("-1..1", 2) == Normalization{.mean = {0.5F, 0.5F}, .std = {0.5F, 0.5F}});
  const ValueRange range = range_of_bytes(parse_input_scale("-128..127", 3));
  CHECK(range.low == doctest::Approx(-128));
  CHECK(range.high == doctest::Approx(127));
  for (const char* text : {"1", "..", "0..", "..1", "1..0", "1..1", "a..b", "0..1..2", "0,1..2", "nan..1", "0..inf"}) {
    CAPTURE(text);
    CHECK(refusal([&] { parse_input_scale(text, 3); }).find("expected LOW..HIGH") != std::string::npos);
  }
  // (255 v - 127.5) / 127.5 is v from -1 to 1
  const Normalization both = composed(parse_input_scale("0..255", 1), parse_normalization("127.5/127.5", 1));
  CHECK(both.mean[0] == doctest::Approx(0.5));
  CHECK(both.std[0] == doctest::Approx(0.5));
}

TEST_CASE("normalization: two are composed into one") {
  const Normalization first{.mean = {0.5F}, .std = {0.25F}}, second{.mean = {2}, .std = {-4}};
  const Normalization both = composed(first, second);
  for (const double v : {0.0, 0.3, 1.0}) {
    const double stepwise = ((v - 0.5) / 0.25 - 2) / -4;
    CHECK((v - static_cast<double>(both.mean[0])) / static_cast<double>(both.std[0]) == doctest::Approx(stepwise));
  }
  CHECK(composed({}, second) == second);
  CHECK(composed(first, {}) == first);
}

TEST_CASE("normalization: a loader applies it per channel to bytes and floats, after the zeros of a crop") {
  data::Dataset bytes{.name = "bytes",
                      .channels = 2,
                      .height = 1,
                      .width = 2,
                      .pixels = {0, 255, 51, 102},
                      .labels = {},
                      .class_names = {}};
  bytes.normalization = {.mean = {0.5F, 0}, .std = {0.5F, 0.1F}};
  const data::Batch batch = data::Loader(bytes, {.batch_size = 1}).batch(0);
  CHECK(batch.x.to_vector() == std::vector<float>{-1, -0.6F, 10, 4});  // [1, 2, 1, 2], in channel order

  data::Dataset floats{.name = "floats",
                       .channels = 1,
                       .height = 2,
                       .width = 2,
                       .pixels = {},
                       .labels = {},
                       .class_names = {},
                       .features = {4, 4, 4, 4}};
  floats.normalization = {.mean = {2}, .std = {2}};
  const data::Batch cropped = data::Loader(floats, {.batch_size = 1, .augmentation = {.crop = 1}, .seed = 3}).batch(0);
  for (const float v : cropped.x.to_vector()) CHECK((v == 1 || v == -1));

  floats.normalization = {.mean = {2, 3}, .std = {1, 1}};
  CHECK(refusal([&] { data::Loader(floats, {}); }).find("has 2 numbers: expected one per channel, 1") !=
        std::string::npos);
}
