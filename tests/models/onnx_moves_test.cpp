// SPDX-License-Identifier: Apache-2.0
// Concat, Slice, Split, Gather, channel shuffles and Resize, in the forms of several opsets.
#include "onnx_forms.h"

#include <fmt/core.h>

using namespace mixgrad;
using namespace mixgrad::test;

namespace {

std::string conv(OnnxNet& n, const std::string& name, const std::string& x, int64_t in, int64_t out) {
  return n.node("Conv", name, {x, n.floats(name + ".weight", {out, in, 1, 1}), n.floats(name + ".bias", {out})});
}

std::string joined(OnnxNet& n, const std::string& name, const std::vector<std::string>& parts, int64_t axis = 1) {
  n.node("Concat", name, parts);
  n.number("axis", axis);
  return name;
}

std::string slice(OnnxNet& n, const std::string& name, const std::string& x, int64_t begin, int64_t end, int64_t axis) {
  return n.node("Slice", name,
                {x, n.integers(name + ".starts", {begin}), n.integers(name + ".ends", {end}),
                 n.integers(name + ".axes", {axis}), n.integers(name + ".steps", {1})});
}

/// From x to `dims`, its channels (at `axis`) swapped with the axis after them, and back to `whole`.
std::string shuffle(OnnxNet& n, const std::string& x, const Dims& dims, size_t axis, const Dims& whole) {
  n.node("Reshape", "split", {x, n.integers("split.shape", dims)});
  Dims perm;
  for (size_t a = 0; a < dims.size(); ++a) perm.push_back(static_cast<int64_t>(a));
  std::swap(perm[axis], perm[axis + 1]);
  return n.node("Reshape", "shuffled", {transpose(n, "swapped", "split", perm), n.integers("whole.shape", whole)});
}

Form resize_form(const std::string& name, int opset, const std::function<void(OnnxNet&)>& resize) {
  return {name,
          {3, 4, 5},
          [=](OnnxNet& n) {
            conv(n, "c", "x", 3, 4);
            resize(n);
            return std::string("r");
          },
          opset};
}

}  // namespace

TEST_CASE("ONNX forms: Concat of images and features, with channels first or last") {
  check_forms({
      {"images",
       {3, 6, 5},
       [](OnnxNet& n) {
         return conv(n, "end", joined(n, "j", {"x", conv(n, "a", "x", 3, 4), conv(n, "b", "x", 3, 1)}, -3), 8, 4);
       }},
      {"images of one channel",
       {1, 6, 5},
       [](OnnxNet& n) {
         return joined(n, "j", {"x", conv(n, "a", "x", 1, 1)});
       }},
      {"images with channels last",
       {6, 5, 3},
       [](OnnxNet& n) {
         const std::string y =
             transpose(n, "back", conv(n, "a", transpose(n, "t", "x", {0, 3, 1, 2}), 3, 4), {0, 2, 3, 1});
         return joined(n, "j", {y, "x"}, 3);
       }},
      {"features and flattened images",
       {6, 5, 3},
       [](OnnxNet& n) {
         n.node("Reshape", "flat", {"x", n.integers("shape", {-1, 90})});
         const std::string d = dense(n, "d", "flat", 90, 7);
         return dense(n, "out", joined(n, "j", {d, "flat", "d"}), 104, 3);
       }},
      {"means of branches",
       {3, 6, 5},
       [](OnnxNet& n) {
         n.node("GlobalAveragePool", "p", {conv(n, "a", "x", 3, 4)});
         n.node("GlobalMaxPool", "m", {"x"});
         n.node("Flatten", "fp", {"p"});
         n.node("Flatten", "fm", {"m"});
         return dense(n, "out", joined(n, "j", {"fp", "fm"}), 7, 3);
       }},
      {"one tensor", {3, 6, 5}, [](OnnxNet& n) { return conv(n, "c", joined(n, "j", {"x"}), 3, 2); }},
  });
  CHECK(form_refusal({3, 6, 5}, [](OnnxNet& n) {
          return joined(n, "j", {"x", conv(n, "a", "x", 3, 3)}, 2);
        }).find("Concat 'node_j': axis 2 of [N, 3, 6, 5] is not the channels") != std::string::npos);
  CHECK(form_refusal({3, 6, 5}, [](OnnxNet& n) {
          return joined(n, "j", {"x", n.floats("k", {1, 1, 6, 5})});
        }).find("its input 'k' is a constant") != std::string::npos);
  CHECK(form_refusal({3, 6, 5}, [](OnnxNet& n) {
          n.node("MaxPool", "m", {"x"});
          n.list("kernel_shape", {2, 2});
          return joined(n, "j", {"x", "m"});
        }).find("it joins [N, 3, 6, 5] and [N, 3, 5, 4]: they may differ in their channels only") != std::string::npos);
  CHECK(form_refusal({3, 6, 5}, [](OnnxNet& n) {
          return joined(n, "j", {"x", "x"}, 0);
        }).find("its axis is N") != std::string::npos);
}

TEST_CASE("ONNX forms: Slice, Split and Gather of channels") {
  const auto split = [](OnnxNet& n, const std::string& x, int outputs) {
    n.node("Split", "s0", {x});
    for (int k = 1; k < outputs; ++k)
      n.graph().mutable_node(n.graph().node_size() - 1)->add_output(fmt::format("s{}", k));
    n.number("axis", 1);
  };
  std::vector<Form> forms = {
      {"a slice",
       {3, 6, 5},
       [](OnnxNet& n) { return conv(n, "end", slice(n, "s", conv(n, "a", "x", 3, 8), 2, -1, 1), 5, 4); }},
      {"a slice by attributes, and one of everything",
       {3, 6, 5},
       [](OnnxNet& n) {
         n.node("Slice", "s", {conv(n, "a", "x", 3, 8)});
         n.list("starts", {0, 3}).list("ends", {9223372036854775807, 9223372036854775807});
         n.node("Slice", "all", {"s"});
         n.list("starts", {0, 0}).list("ends", {6, 5}).list("axes", {2, 3});
         return std::string("all");
       },
       9},
      {"a slice of [N, H, W, C]", {6, 5, 3}, [](OnnxNet& n) { return slice(n, "s", "x", 1, 3, 3); }},
      {"a slice of flattened images",
       {6, 5, 3},
       [](OnnxNet& n) {
         n.node("Reshape", "flat", {"x", n.integers("shape", {-1, 90})});
         return dense(n, "out", slice(n, "s", "flat", 10, 57, 1), 47, 3);
       }},
      {"a slice of features",
       {3, 6, 5},
       [](OnnxNet& n) {
         n.node("Flatten", "f", {"x"});
         return slice(n, "s", dense(n, "d", "f", 90, 7), 1, 4, -1);
       }},
      {"picked channels", {3, 6, 5}, [](OnnxNet& n) {
         n.node("Gather", "g", {conv(n, "a", "x", 3, 4), n.integers("which", {3, 0, -2, 0})});
         n.number("axis", 1);
         return std::string("g");
       }}};
  for (const int opset : {11, 13}) {
    forms.push_back({fmt::format("equal parts, opset {}", opset),
                     {3, 6, 5},
                     [=](OnnxNet& n) {
                       split(n, conv(n, "a", "x", 3, 6), 3);
                       n.node("Add", "sum", {"s0", "s2"});
                       return joined(n, "j", {"s1", "sum"});
                     },
                     opset});
    forms.push_back({fmt::format("unequal parts, opset {}", opset),
                     {3, 6, 5},
                     [=](OnnxNet& n) {
                       split(n, conv(n, "a", "x", 3, 6), 2);
                       if (opset < 13) {
                         n.list("split", {2, 4});
                       } else {
                         n.graph().mutable_node(n.graph().node_size() - 1)->add_input(n.integers("sizes", {2, 4}));
                       }
                       return conv(n, "end", "s1", 4, 3);
                     },
                     opset});
  }
  check_forms(forms);
  CHECK(form_refusal({4, 6, 5}, [](OnnxNet& n) {
          return slice(n, "s", "x", 0, 3, 2);
        }).find("axis 2 of [N, 4, 6, 5] is not the channels") != std::string::npos);
  CHECK(form_refusal({4, 6, 5}, [](OnnxNet& n) {
          return slice(n, "s", "x", 3, 1, 1);
        }).find("it leaves nothing of axis 1") != std::string::npos);
  CHECK(form_refusal({4, 6, 5}, [](OnnxNet& n) {
          return n.node("Slice", "s",
                        {"x", n.integers("a", {0}), n.integers("b", {4}), n.integers("c", {1}), n.integers("d", {2})});
        }).find("a step of 2: expected 1") != std::string::npos);
  CHECK(form_refusal({4, 6, 5}, [&](OnnxNet& n) {
          split(n, "x", 2);
          n.graph().mutable_node(0)->add_input(n.integers("sizes", {2, 3}));
          return std::string("s1");
        }).find("it splits 4 channels into 2 parts [2, 3]") != std::string::npos);
}

TEST_CASE("ONNX forms: channel shuffles, and others that are none") {
  check_forms({
      {"five axes",
       {3, 6, 5},
       [](OnnxNet& n) {
         return conv(n, "end", shuffle(n, conv(n, "a", "x", 3, 6), {0, 2, 3, 6, 5}, 1, {-1, 6, 6, 5}), 6, 2);
       }},
      {"positions merged",
       {3, 6, 5},
       [](OnnxNet& n) {
         return shuffle(n, conv(n, "a", "x", 3, 6), {-1, 3, 2, 30}, 1, {0, 6, 6, 5});
       }},
      {"channels last",
       {6, 5, 4},
       [](OnnxNet& n) {
         return shuffle(n, "x", {-1, 6, 5, 2, 2}, 3, {-1, 6, 5, 4});
       }},
  });
  CHECK(form_refusal({6, 4, 5}, [](OnnxNet& n) {
          return shuffle(n, "x", {-1, 3, 2, 4, 5}, 2, {-1, 6, 4, 5});
        }).find("Reshape 'node_split': it reshapes [N, 6, 4, 5] to [N, 3, 2, 4, 5]") != std::string::npos);
}

TEST_CASE("ONNX forms: Resize and Upsample by whole factors to the nearest neighbour") {
  const auto with = [](const char* coordinates, const char* nearest, float height, float width) {
    return [=](OnnxNet& n) {
      n.node("Resize", "r", {"c", "", n.values("scales", {4}, {1, 1, height, width})});
      n.text("mode", "nearest").text("coordinate_transformation_mode", coordinates).text("nearest_mode", nearest);
    };
  };
  check_forms({
      resize_form("asymmetric", 13, with("asymmetric", "floor", 2, 3)),
      resize_form("half_pixel", 13, with("half_pixel", "round_prefer_floor", 3, 2)),
      resize_form("half_pixel, ties up", 13, with("half_pixel", "round_prefer_ceil", 4, 1)),
      resize_form("defaults", 13,
                  [](OnnxNet& n) {
                    n.node("Resize", "r", {"c", "", n.values("scales", {4}, {1, 1, 2, 2})});
                  }),
      resize_form("sizes", 13,
                  [](OnnxNet& n) {
                    n.node("Resize", "r", {"c", "", "", n.integers("sizes", {3, 4, 8, 10})});
                    n.text("coordinate_transformation_mode", "asymmetric").text("nearest_mode", "floor");
                  }),
      resize_form("opset 10", 10,
                  [](OnnxNet& n) {
                    n.node("Resize", "r", {"c", n.values("s", {4}, {1, 1, 2, 3})});
                  }),
      resize_form("Upsample", 9,
                  [](OnnxNet& n) {
                    n.node("Upsample", "r", {"c", n.values("s", {4}, {1, 1, 2, 3})});
                  }),
      resize_form("Upsample by attributes", 7,
                  [](OnnxNet& n) {
                    n.node("Upsample", "r", {"c"});
                    n.reals("scales", {1, 1, 2, 1});
                  }),
      {"channels last",
       {6, 5, 3},
       [](OnnxNet& n) {
         n.node("Resize", "r", {"x", "", n.values("scales", {4}, {1, 2, 3, 1})});
         n.text("coordinate_transformation_mode", "asymmetric").text("nearest_mode", "floor");
         return std::string("r");
       }},
  });
  const auto said = [&](const char* coordinates, const char* nearest, float height, float width) {
    return form_refusal({4, 4, 5}, [&](OnnxNet& n) {
      conv(n, "c", "x", 4, 4);
      with(coordinates, nearest, height, width)(n);
      return std::string("r");
    });
  };
  CHECK(said("asymmetric", "floor", 1.5F, 1).find("Resize 'node_r': a factor of 1.5: expected whole factors") !=
        std::string::npos);
  CHECK(said("asymmetric", "round_prefer_floor", 3, 1).find("asymmetric with round_prefer_floor does not repeat") !=
        std::string::npos);
  CHECK(said("align_corners", "floor", 2, 2).find("align_corners with floor does not repeat every position") !=
        std::string::npos);
  CHECK(said("tf_crop_and_resize", "floor", 2, 2).find("tf_crop_and_resize with floor does not") != std::string::npos);
  CHECK(form_refusal({4, 4, 5}, [](OnnxNet& n) {
          n.node("Resize", "r", {"x", "", n.values("scales", {4}, {1, 1, 2, 2})});
          n.text("mode", "linear");
          return std::string("r");
        }).find("unsupported mode linear: expected nearest") != std::string::npos);
}
