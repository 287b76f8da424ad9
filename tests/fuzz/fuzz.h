/* SPDX-License-Identifier: MIT */
/* The entry that libFuzzer and replay.c call; every fuzz_NAME.c defines it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Feeds one input to the code under test. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
