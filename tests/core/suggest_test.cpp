// SPDX-License-Identifier: Apache-2.0
#include <src/internal/suggest.h>

#include <doctest/doctest.h>

using mixgrad::nearest;

TEST_CASE("suggest: the nearest word, by wrong, missing, extra or swapped letters") {
  const std::vector<std::string> words = {"search",        "sweep",         "train",  "batch-size",
                                          "search-epochs", "warmup-epochs", "resnet8"};
  CHECK(nearest("serach", words) == "search");
  CHECK(nearest("SEARCH", words) == "search");
  CHECK(nearest("seach", words) == "search");
  CHECK(nearest("trainn", words) == "train");
  CHECK(nearest("resnet9", words) == "resnet8");
  CHECK(nearest("batchsize", words) == "batch-size");
  CHECK(nearest("batch", words) == "batch-size");
  CHECK(nearest("epochs", words).empty());  // two words end in it
  CHECK(nearest("quantum", words).empty());
  CHECK(nearest("", words).empty());
  CHECK(nearest("search", {}).empty());
  CHECK(nearest("x", {"y"}).empty());  // every letter is wrong
}

TEST_CASE("suggest: the text of a suggestion") {
  CHECK(mixgrad::did_you_mean("resnet8") == "; did you mean resnet8?");
  CHECK(mixgrad::did_you_mean("").empty());
}
