/* SHA-256 (FIPS 180-4): what names files by their bytes. */
#ifndef AT_SHA256_H
#define AT_SHA256_H

#include "base/base.h"

/* The digest as 64 small hexadecimal digits and a zero byte. */
void at_sha256(const void *data, size_t size, char digits[65]);

#endif
