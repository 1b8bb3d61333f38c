// SPDX-License-Identifier: Apache-2.0
// Random numbers, memory, sets, tensors and tapes: the foundation of everything else.
#include <src/internal/disjoint_sets.h>
#include <src/internal/memory.h>
#include "../refusal.h"

#include <mixgrad/ops.h>
#include <mixgrad/rng.h>
#include <mixgrad/tape.h>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

using namespace mixgrad;
using mixgrad::test::refusal;

TEST_CASE("core: random numbers match an independent xoshiro256++, by seed, purpose and index") {
  struct Case {
    uint64_t seed;
    const char* purpose;
    uint64_t index;
    std::array<uint64_t, 2> expected;
  };
  for (const Case& c :
       std::vector<Case>{{0, "", 0, {0x11ea5d71ab27f4bf, 0xcc84b97bd65164de}},
                         {1, "shuffle", 0, {0xe06ccb5d1137bce2, 0xb1acd733daea33bf}},
                         {1, "shuffle", 1, {0xd931389c57a0fce4, 0xb2c21dd0ad36319d}},
                         {std::numeric_limits<uint64_t>::max(), "init", 7, {0x2319f548f44b9d46, 0x166d93e59136f842}}}) {
    CAPTURE(c.purpose);
    Rng rng(c.seed, c.purpose, c.index);
    for (const uint64_t expected : c.expected) CHECK(rng.next() == expected);
  }
}

TEST_CASE("core: random numbers have the mean, spread and range of their distribution") {
  Rng rng(5, "moments");
  struct Case {
    const char* name;
    std::function<double()> draw;
    double mean, variance, low, high;
  };
  constexpr int count = 40000;
  for (const Case& c : std::vector<Case>{{"uniform", [&] { return rng.uniform(); }, 0.5, 1.0 / 12, 0, 1},
                                         {"uniform(-3, 5)", [&] { return rng.uniform(-3, 5); }, 1, 64.0 / 12, -3, 5},
                                         {"below 7", [&] { return static_cast<double>(rng.below(7)); }, 3, 4, 0, 7},
                                         {"normal", [&] { return rng.normal(); }, 0, 1, -7, 7}}) {
    CAPTURE(c.name);
    double sum = 0, squares = 0;
    bool inside = true;
    for (int i = 0; i < count; ++i) {
      const double v = c.draw();
      inside = inside && v >= c.low && v < c.high;
      sum += v;
      squares += (v - c.mean) * (v - c.mean);
    }
    CHECK(inside);
    CHECK(std::abs(sum / count - c.mean) < 5 * std::sqrt(c.variance / count));
    CHECK(squares / count == doctest::Approx(c.variance).epsilon(0.05));
  }
}

TEST_CASE("core: memory is aligned, is reused by the thread that allocated it, and respects an allowance") {
  const std::byte* first = nullptr;
  for (const int64_t bytes : {0, 1, 64, 1000003}) {
    CAPTURE(bytes);
    const auto block = allocate(bytes);
    CHECK(reinterpret_cast<uintptr_t>(block.get()) % 64 == 0);
    first = block.get();
  }
  CHECK(allocate(1000003).get() == first);
  const MemoryAllowance outer(1000);
  {
    const MemoryAllowance inner(100);
    allocate(60);
    CHECK(refusal([] { allocate(60); }).find("a tensor needs 60 bytes, but 40 are left") != std::string::npos);
    allocate(40);
  }
  allocate(1000);
  CHECK(refusal([] { allocate(1); }).find("but 0 are left") != std::string::npos);
}

TEST_CASE("core: united sets are one set") {
  DisjointSets sets(6);
  sets.unite(0, 3);
  sets.unite(4, 3);
  sets.unite(0, 4);  // already united
  sets.unite(1, 5);
  const std::array<int, 6> expected = {0, 1, 2, 0, 0, 1}, sizes = {3, 2, 1, 3, 3, 2};
  for (int a = 0; a < 6; ++a) {
    for (int b = 0; b < 6; ++b)
      CHECK((sets.find(a) == sets.find(b)) == (expected[static_cast<size_t>(a)] == expected[static_cast<size_t>(b)]));
    CHECK(sets.size_of_set(a) == static_cast<size_t>(sizes[static_cast<size_t>(a)]));
  }
}

TEST_CASE("core: rank-4 tensors are stored channels-last and read row-major; views and rows share, clones do not") {
  std::vector<float> values(12);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const Tensor image = Tensor::from({2, 3, 1, 2}, values), matrix = Tensor::from({4, 3}, values);
  CHECK(image.to_vector() == values);
  CHECK(std::vector<float>(image.data().begin(), image.data().begin() + 6) == std::vector<float>{0, 2, 4, 1, 3, 5});
  CHECK(std::vector<float>(matrix.data().begin(), matrix.data().end()) == values);
  const Tensor rows = matrix.rows(1, 2), view = matrix.view({2, 6}), same = matrix.detach(), copy = matrix.clone();
  CHECK(rows.shape().str() == "[2, 3]");
  matrix.data()[4] = 100;
  CHECK(rows.data()[1] == 100);
  CHECK(view.data()[4] == 100);
  CHECK(same.data()[4] == 100);
  CHECK(copy.data()[4] == 4);
  CHECK_FALSE(same.is(matrix));
}

TEST_CASE("core: invalid operations on tensors and tapes are refused, with the shape") {
  const Tensor t = Tensor::zeros({2, 3});
  const std::vector<float> five(5);
  struct Case {
    const char* says;
    std::function<void()> what;
  };
  for (const Case& c : std::vector<Case>{
           {"5 values given for shape [2, 3]",
            [&] {
              Tensor::from({2, 3}, five);
            }},
           {"5 dimensions given: at most 4",
            [] {
              Shape({1, 2, 3, 4, 5});
            }},
           {"invalid shape [2, -1]",
            [] {
              Tensor::zeros({2, -1});
            }},
           {"the tensor is empty", [] { static_cast<void>(Tensor().shape()); }},
           {"shape [2, 3] has 6 values: expected one", [&] { static_cast<void>(t.item()); }},
           {"5 values given for shape [2, 3]", [&] { t.set_grad(five); }},
           {"rows 1..3 are out of range for shape", [&] { t.rows(1, 2); }},
           {"shape [4] does not hold the 6 values", [&] { t.view({4}); }},
           {"request that type", [&] { static_cast<void>(t.data<bfloat16>()); }},
           {"the loss has shape [2, 3]", [&] { Tape().backward(t); }},
           {"does not depend on any tensor that needs a gradient", [] { Tape().backward(Tensor::scalar(1)); }}}) {
    CAPTURE(c.says);
    const std::string said = refusal(c.what);
    CHECK_MESSAGE(said.find(c.says) != std::string::npos, said);
  }
}

TEST_CASE("core: the innermost tape records, and gradients() changes nothing") {
  const Tensor x = Tensor::scalar(3).requires_grad(), y = Tensor::scalar(2).requires_grad();
  Tape outer;
  const Tensor z = product(x, y);
  {
    const NoTape pause;
    CHECK_FALSE(product(x, y).needs_grad());
    Tape inner;
    inner.backward(product(x, x));
    CHECK(x.grad()[0] == 6);
  }
  CHECK(outer.records().size() == 1);
  const std::array leaves = {x, y, Tensor::zeros({2}).requires_grad()};
  const std::vector<Tensor> found = outer.gradients(z, leaves);
  CHECK(found[0].item() == 2);
  CHECK(found[1].item() == 3);
  CHECK(found[2].to_vector() == std::vector<float>{0, 0});
  CHECK(x.grad()[0] == 6);
  CHECK_FALSE(y.has_grad());
  outer.backward(z);
  CHECK(x.grad()[0] == 6 + 2);  // accumulated
  CHECK(outer.records().empty());
  CHECK(Tape::current() == &outer);
}
