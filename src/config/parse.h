/* SPDX-License-Identifier: MIT */
#pragma once

#define CONFIG_MAX_BYTES    (1024 * 1024) /* a larger file is refused */
#define CONFIG_MAX_SERVICES 1024
