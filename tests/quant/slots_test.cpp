// SPDX-License-Identifier: Apache-2.0
// Slots: candidates, steps and codes, and the choice by arg max.
#include "../refusal.h"

#include <mixgrad/ops.h>
#include <mixgrad/quant.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <string>
#include <vector>

using namespace mixgrad;
using mixgrad::test::refusal;
using Floats = std::vector<float>;

TEST_CASE("slots: lists of bit-widths are sorted, or refused") {
  struct Case {
    std::vector<int> given;
    int least;
    std::vector<int> sorted;
    std::string refused;
  };
  for (const Case& c : std::vector<Case>{{{8, 2, 4, 2}, 2, {2, 4, 8}, ""},
                                         {{3, 0}, 0, {0, 3}, ""},
                                         {{}, 2, {}, "what: the list of bit-widths is empty"},
                                         {{0, 8}, 2, {}, "what: 0 bits prune channels"},
                                         {{1, 0}, 0, {0, 1}, ""},
                                         {{1}, 2, {}, "what: 1 is not a supported bit-width: expected 2 to 8"},
                                         {{9}, 2, {}, "what: 9 is not a supported bit-width"},
                                         {{-2}, 0, {}, "what: -2 is not a supported bit-width"}}) {
    CAPTURE(c.given);
    if (c.refused.empty())
      CHECK(quant::checked_precisions("what", c.given, c.least) == c.sorted);
    else
      CHECK(refusal([&] { quant::checked_precisions("what", c.given, c.least); }).starts_with(c.refused));
  }
  for (const auto& [bits, stored] : {std::pair{0, 1}, {1, 1}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {8, 8}})
    CHECK(storage_bits(bits) == stored);
}

TEST_CASE("slots: 1 bit needs a grid without a zero") {
  const std::vector<int> bits = {0, 1, 8};
  for (const std::string& name : quant::weight_names()) {
    CAPTURE(name);
    const auto check = [&] { quant::check_grid(*quant::find_weight(name), bits); };
    if (name.ends_with("odd"))
      CHECK_NOTHROW(check());
    else
      CHECK(refusal(check).starts_with(
          fmt::format("weight bits: {} has no codes on both sides of 0 at 1 bit: expected at least 2", name)));
  }
}

TEST_CASE("slots: the step is the clip's share of a code, and codes are the nearest within the range") {
  struct Case {
    const char* quantizer;
    int bits;
    bool is_signed;
    float clip, low, high, step, value, code;
  };
  for (const Case& c : std::vector<Case>{{"pact", 2, false, 6, 0, 3, 2, 2.9F, 1},
                                         {"pact", 2, false, 6, 0, 3, 2, 3.1F, 2},
                                         {"pact", 2, false, 6, 0, 3, 2, 100, 3},
                                         {"pact", 8, true, 254, -127, 127, 2, 7, 4},  // 3.5: to the even code
                                         {"pact", 8, false, 510, 0, 255, 2, 5, 2},    // 2.5: to the even code
                                         {"lsq", 4, true, 3.5F, -7, 7, 0.5F, 1.2F, 2},
                                         {"plinio-pact", 2, false, 2.999F, 0, 3, 1, 2.6F, 3}}) {
    CAPTURE(c.quantizer);
    CAPTURE(c.value);
    const ActivationSlot slot{.precisions = {c.bits},
                              .alpha = {},
                              .clip = Tensor::full({1}, c.clip),
                              .is_signed = c.is_signed,
                              .quantizer = quant::find_activation(c.quantizer)};
    CHECK(slot.fixed());
    CHECK(slot.range().low == c.low);
    CHECK(slot.range().high == c.high);
    CHECK(slot.step() == doctest::Approx(c.step));
    CHECK(slot.code_of(c.value) == c.code);
  }
  CHECK(refusal([] { quant::find_activation("pakt"); }) ==
        "unknown quantizer of activations 'pakt': expected pact, lsq, plinio-pact");
}

TEST_CASE("slots: the arg max goes to more bits where equal, and never prunes all channels") {
  struct Case {
    std::vector<int> precisions;
    int64_t channels;
    Floats alpha;
    std::vector<size_t> best;
  };
  for (const Case& c : std::vector<Case>{{{2, 4, 8}, 1, {1, 3, 2}, {1}},
                                         {{2, 4, 8}, 1, {3, 3, 3}, {2}},
                                         {{2, 8}, 3, {1, 2, 0, 0, 2, 1}, {0, 1, 1}},
                                         {{0, 2, 8}, 2, {5, 0, 1, 1, 2, 3}, {0, 2}},
                                         {{0, 2, 8}, 3, {5, 5, 5, 1, 4, 0, 2, 3, 0}, {0, 1, 0}},  // 4 - 5 is most
                                         {{0}, 2, {1, 1}, {0, 0}}}) {
    CAPTURE(c.alpha);
    const auto count = std::ssize(c.precisions);
    const Tensor alpha = Tensor::from({count, c.channels}, c.alpha);
    CHECK(quant::arg_max(alpha, c.precisions) == c.best);
    const Tensor theta = quant::one_hot(alpha, c.precisions);
    std::vector<int> bits;
    for (const size_t p : c.best) bits.push_back(c.precisions[p]);
    CHECK(theta.to_vector() == quant::one_hot(bits, c.precisions).to_vector());
    Floats expected(c.alpha.size());
    for (size_t i = 0; i < c.best.size(); ++i) expected[c.best[i] * c.best.size() + i] = 1;
    CHECK(theta.to_vector() == expected);
  }
}

TEST_CASE("slots: α begins at its bits' share of the largest; its entropy is that of softmax, in nats") {
  const std::vector<int> bits = {2, 4, 8};
  CHECK(quant::initial_alpha(bits).to_vector() == Floats{0.25F, 0.5F, 1});
  CHECK(quant::initial_alpha(bits, 2).to_vector() == Floats{0.25F, 0.25F, 0.5F, 0.5F, 1, 1});
  CHECK(quant::initial_alpha(bits).needs_grad());
  CHECK(quant::entropy(Tensor::zeros({3}), 1) == doctest::Approx(std::log(3)));
  CHECK(quant::entropy(Tensor::from({2, 2}, Floats{0, 100, 0, 0}), 1) == doctest::Approx(std::log(2) / 2));
  const double p = 1 / (1 + std::exp(-2.0));  // α apart by 1 at temperature 0.5
  CHECK(quant::entropy(Tensor::from({2}, Floats{0, 1}), 0.5) ==
        doctest::Approx(-p * std::log(p) - (1 - p) * std::log(1 - p)));
}
