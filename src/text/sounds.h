/* Phonemes in the making: a short string of code points, with what misaki does to stress marks. */
#ifndef AT_SOUNDS_H
#define AT_SOUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AT_SOUNDS_MOST = 1024, AT_STRESS_FIRST = 0x2c8, AT_STRESS_SECOND = 0x2cc }; /* ˈ ˌ */

typedef struct at_sounds {
    int count; /* -1: none, which is not the same as silence */
    int32_t code[AT_SOUNDS_MOST];
} at_sounds;

void at_sounds_none(at_sounds *s);
/* UTF-8; what does not fit is left out. */
void at_sounds_set(at_sounds *s, const char *text, size_t size);
void at_sounds_add(at_sounds *s, const at_sounds *more);
void at_sounds_add_code(at_sounds *s, int32_t code);
/* UTF-8 with a zero byte: out has room for 4 * count + 1 bytes. */
size_t at_sounds_text(const at_sounds *s, char *out);

bool at_sounds_has(const at_sounds *s, int32_t code);
/* Whether a code point is one of the characters of `set`, UTF-8. */
bool at_is_one_of(int32_t code, const char *set);
bool at_is_vowel(int32_t code);
bool at_is_consonant(int32_t code);

/* misaki's apply_stress. stress: NAN leaves all as it is; below -1 takes marks away, -1 makes them
   weaker, 0 to 1 adds a weak one where there is none, 1 and more makes them stronger. */
void at_sounds_stress(at_sounds *s, double stress);
int at_sounds_weight(const at_sounds *s);

#endif
