// SPDX-License-Identifier: Apache-2.0
// Windows of pools: how many there are, and what they divide by.
#include "../refusal.h"
#include "../shell.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>

using namespace mixgrad;

namespace {

/// 1 to 5 in a row.
Tensor row() { return Tensor::from({1, 1, 1, 5}, std::vector<float>{1, 2, 3, 4, 5}); }

using Values = std::vector<float>;

}  // namespace

TEST_CASE("pool: positions outside the image are absent; an average divides by what it counts") {
  Pool2dAttrs a{.kernel = {1, 2}, .stride = {1, 2}, .ceil = true};
  CHECK(max_pool2d(row(), a).to_vector() == Values{2, 4, 5});
  CHECK(avg_pool2d(row(), a).to_vector() == Values{1.5F, 3.5F, 5});  // beyond the image nothing counts
  a.padding = {0, 1, 0, 1};
  CHECK(avg_pool2d(row(), a).to_vector() == Values{0.5F, 2.5F, 4.5F});  // no fourth window: it would begin outside
  a.kernel[1] = 3;
  CHECK(avg_pool2d(row(), a).to_vector() == Values{1, 3, 3});
  a.count_padding = false;
  CHECK(avg_pool2d(row(), a).to_vector() == Values{1.5F, 3, 4.5F});
  a.padding = {0, 2, 0, 0};
  CHECK(max_pool2d(row(), a).to_vector() == Values{1, 3, 5});
  CHECK(avg_pool2d_codes(row(), a).to_vector() == Values{1, 2, 4});
}

TEST_CASE("pool: without ceil the windows end in the padded image; a kernel must reach into the image") {
  CHECK(max_pool2d(row(), {.kernel = {1, 2}}).to_vector() == Values{2, 4});
  CHECK(max_pool2d(row(), {.kernel = {1, 6}, .stride = {1, 2}, .ceil = true}).to_vector() == Values{5});
  const auto refused = [](const Pool2dAttrs& a) { return test::refusal([&] { max_pool2d(row(), a); }); };
  CHECK(refused({.kernel = {1, 6}}).starts_with("[max_pool2d] a window of 1x6"));
  CHECK(refused({.kernel = {1, 2}, .padding = {0, 0, 0, 2}}).find("padding 0 0 0 2") != std::string::npos);
  CHECK(refused({.kernel = {1, 7}, .stride = {1, 2}, .ceil = true}).find("does not fit") != std::string::npos);
}

TEST_CASE("pool: a graph's file keeps the attributes; two numbers of padding stand for both sides") {
  for (const Pool2dAttrs& a :
       {Pool2dAttrs{.kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1, 1, 1}},
        Pool2dAttrs{.kernel = {3, 2}, .padding = {1, 0, 2, 1}, .ceil = true, .count_padding = false}}) {
    nn::AvgPool2d pool(a);
    const io::Safetensors file = to_safetensors(trace(pool, {2, 6, 6}));
    CHECK(graph_from(file).nodes[1].as<op::AvgPool2d>()->attrs == a);
    const bool even = file.metadata.at("mixgrad").find(R"("padding":[1,1],)") != std::string::npos;
    CHECK(even == (a.padding == std::array<int64_t, 4>{1, 1, 1, 1}));
  }
}
