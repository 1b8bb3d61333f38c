// SPDX-License-Identifier: Apache-2.0
#include "../networks.h"

#include <doctest/doctest.h>

#include <map>
#include <set>

using namespace mixgrad;

TEST_CASE("MixPrec: the parameters of a graph come once, each in its role; a clone shares none") {
  const auto model = test::random_resnet8(80);
  const MixPrec net(*model, {.input_shape = {3, 32, 32},
                             .weight_precisions = {0, 2, 8},
                             .w_mixprec_type = MixPrecType::PER_CHANNEL,
                             .calibration = {test::random_batch(8, {3, 32, 32}, 10, 5).x},
                             .input_range = ValueRange{0, 1}});
  const std::vector<Parameter> all = net.graph().parameters(), copies = net.graph().clone().parameters();
  REQUIRE(copies.size() == all.size());
  std::map<Role, size_t> counts;
  std::set<std::string> names;
  std::set<const void*> tensors;
  for (size_t i = 0; i < all.size(); ++i) {
    ++counts[all[i].role];
    names.insert(all[i].name);
    tensors.insert(all[i].tensor.id());
    CHECK(copies[i].name == all[i].name);
    CHECK_FALSE(copies[i].tensor.is(all[i].tensor));
    CHECK(copies[i].tensor.to_vector() == all[i].tensor.to_vector());
    CHECK(copies[i].tensor.needs_grad());
  }
  CHECK(names.size() == all.size());
  CHECK(tensors.size() == all.size());
  const size_t slots = net.graph().weight_slots().size() + net.graph().activation_slots().size();
  CHECK(counts == std::map<Role, size_t>{{Role::weight, 10},
                                         {Role::bias, 10},
                                         {Role::clip, net.graph().activation_slots().size() - 1},  // but the input's
                                         {Role::alpha, slots}});
  CHECK(net.net_parameters().size() + net.nas_parameters().size() == all.size());
}
