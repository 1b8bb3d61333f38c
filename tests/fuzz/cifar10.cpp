// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <mixgrad/data.h>

/// The bytes as test images, then as class names.
void mixgrad::fuzz::read_cifar10(const Folder& folder, std::string_view bytes) {
  const std::string image(3073, '\1');
  for (const char* batch : {"1", "2", "3", "4", "5"}) folder.put(std::string("data_batch_") + batch + ".bin", image);
  const std::string names = "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n";
  folder.put("batches.meta.txt", bytes.size() < image.size() ? bytes : names);
  folder.put("test_batch.bin", bytes.size() < image.size() ? image : bytes);
  data::cifar10(folder.path(), 0);
}
