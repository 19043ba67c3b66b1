/* SHA-256 and SHA-1 (FIPS 180-4): what names files by their bytes. */
#ifndef AT_HASH_H
#define AT_HASH_H

#include "base/base.h"

typedef enum at_hash_kind { AT_SHA256, AT_SHA1 } at_hash_kind;

typedef struct at_hash {
    at_hash_kind kind;
    uint32_t state[8];
    uint8_t block[64]; /* what waits to be whole */
    uint64_t size;     /* of all that was added */
} at_hash;

void at_hash_begin(at_hash *hash, at_hash_kind kind);
void at_hash_add(at_hash *hash, const void *data, size_t size);

/* The digest as 64 or 40 small hexadecimal digits and a zero byte. */
void at_hash_end(at_hash *hash, char digits[65]);

void at_sha256(const void *data, size_t size, char digits[65]);

#endif
