/* SPDX-License-Identifier: MIT */
/* What cmocka wants included, in its order. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
