/* SPDX-License-Identifier: Apache-2.0
   Runs a package on images from standard input, outputs to standard output. */
#include "net.h"

#include <stdio.h>

int main(void) {
  static OUT output[NET_OUTPUT_SIZE];
  static IN input[NET_INPUT_SIZE];
  while (fread(input, sizeof input, 1, stdin) == 1) {
    net_run(input, output);
    fwrite(output, sizeof output, 1, stdout);
  }
  return 0;
}
