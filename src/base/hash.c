#include "base/hash.h"
#include <string.h>

enum { BLOCK = 64 };

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

static uint32_t big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* One round of SHA-256; the names of the eight words go round instead of their values. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                                      \
    do {                                                                                      \
        uint32_t x =                                                                          \
            h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (g ^ (e & (f ^ g))) + K[i] + w[i]; \
        d += x;                                                                               \
        h = x + (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) | (c & (a | b)));         \
    } while (0)

static void add_sha256(uint32_t s[8], const uint8_t *bytes, size_t blocks)
{
    for (; blocks; blocks--, bytes += BLOCK) {
        uint32_t w[64], a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6],
                        h = s[7];
        for (int i = 0; i < 16; i++) w[i] = big_endian(bytes + 4 * i);
        for (int i = 16; i < 64; i++)
            w[i] = w[i - 16] + w[i - 7] +
                   (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) +
                   (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
        for (int i = 0; i < 64; i += 8) {
            ROUND(a, b, c, d, e, f, g, h, i);
            ROUND(h, a, b, c, d, e, f, g, i + 1);
            ROUND(g, h, a, b, c, d, e, f, i + 2);
            ROUND(f, g, h, a, b, c, d, e, i + 3);
            ROUND(e, f, g, h, a, b, c, d, i + 4);
            ROUND(d, e, f, g, h, a, b, c, i + 5);
            ROUND(c, d, e, f, g, h, a, b, i + 6);
            ROUND(b, c, d, e, f, g, h, a, i + 7);
        }
        s[0] += a, s[1] += b, s[2] += c, s[3] += d, s[4] += e, s[5] += f, s[6] += g, s[7] += h;
    }
}

static void add_sha1(uint32_t s[5], const uint8_t *bytes, size_t blocks)
{
    static const uint32_t constants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    for (; blocks; blocks--, bytes += BLOCK) {
        uint32_t w[80], a = s[0], b = s[1], c = s[2], d = s[3], e = s[4];
        for (int i = 0; i < 16; i++) w[i] = big_endian(bytes + 4 * i);
        for (int i = 16; i < 80; i++) w[i] = turn(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 31);
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20              ? d ^ (b & (c ^ d))
                         : i >= 40 && i < 60 ? (b & c) | (d & (b | c))
                                             : b ^ c ^ d;
            uint32_t x = turn(a, 27) + f + e + constants[i / 20] + w[i];
            e = d, d = c, c = turn(b, 2), b = a, a = x;
        }
        s[0] += a, s[1] += b, s[2] += c, s[3] += d, s[4] += e;
    }
}

static void add_blocks(at_hash *hash, const uint8_t *bytes, size_t blocks)
{
    if (hash->kind == AT_SHA1)
        add_sha1(hash->state, bytes, blocks);
    else
        add_sha256(hash->state, bytes, blocks);
}

void at_hash_begin(at_hash *hash, at_hash_kind kind)
{
    static const uint32_t first[2][8] = {
        [AT_SHA256] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                       0x1f83d9ab, 0x5be0cd19},
        [AT_SHA1] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
    *hash = (at_hash){.kind = kind};
    memcpy(hash->state, first[kind], sizeof hash->state);
}

void at_hash_add(at_hash *hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    size_t held = hash->size % BLOCK;
    if (!size) return;
    hash->size += size;
    if (held) {
        size_t more = AT_MIN(BLOCK - held, size);
        memcpy(hash->block + held, bytes, more);
        if (held + more < BLOCK) return;
        add_blocks(hash, hash->block, 1);
        bytes += more;
        size -= more;
    }
    add_blocks(hash, bytes, size / BLOCK);
    memcpy(hash->block, bytes + size / BLOCK * BLOCK, size % BLOCK);
}

void at_hash_end(at_hash *hash, char digits[65])
{
    uint8_t tail[2 * BLOCK] = {0x80};
    uint64_t bits = hash->size * 8;
    size_t fill = 1 + (2 * BLOCK - 9 - hash->size % BLOCK) % BLOCK;
    for (int i = 0; i < 8; i++) tail[fill + 7 - (size_t)i] = (uint8_t)(bits >> 8 * i);
    at_hash_add(hash, tail, fill + 8);
    int count = hash->kind == AT_SHA1 ? 40 : 64;
    for (int i = 0; i < count; i++)
        digits[i] = "0123456789abcdef"[hash->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    digits[count] = 0;
}

void at_sha256(const void *data, size_t size, char digits[65])
{
    at_hash hash;
    at_hash_begin(&hash, AT_SHA256);
    at_hash_add(&hash, data, size);
    at_hash_end(&hash, digits);
}
