#include "cli/transcript.h"
#include "cli/session.h"
#include <math.h>
#include <string.h>

/* ---- lines and subtitles, as openai-whisper's writers */

/* Without the space around it; in subtitles an arrow would be taken for times. */
static void print_text(FILE *out, const char *text, bool subtitle)
{
    text += strspn(text, " \n\t");
    size_t size = strlen(text);
    while (size && strchr(" \n\t", text[size - 1])) size--;
    for (size_t i = 0; i < size; i++) {
        if (subtitle && i + 3 <= size && strncmp(text + i, "-->", 3) == 0) continue;
        unsigned char c = (unsigned char)text[i];
        putc(c < 32 || c == 127 ? ' ' : c, out);
    }
    putc('\n', out);
}

static void print_time(FILE *out, double seconds, bool hours, char mark)
{
    long long ms = llrint(fmax(seconds, 0) * 1000);
    if (hours || ms >= 3600000) fprintf(out, "%02lld:", ms / 3600000);
    fprintf(out, "%02lld:%02lld%c%03lld", ms / 60000 % 60, ms / 1000 % 60, mark, ms % 1000);
}

static void txt_segment(FILE *out, const at_segment *s, int at)
{
    (void)at;
    print_text(out, s->text, false);
}

static void subtitle(FILE *out, const at_segment *s, bool hours, char mark)
{
    print_time(out, s->start, hours, mark);
    fputs(" --> ", out);
    print_time(out, s->end, hours, mark);
    putc('\n', out);
    print_text(out, s->text, true);
    putc('\n', out);
}

static void srt_segment(FILE *out, const at_segment *s, int at)
{
    fprintf(out, "%d\n", at + 1);
    subtitle(out, s, true, ',');
}

static void vtt_begin(FILE *out)
{
    fputs("WEBVTT\n\n", out);
}

static void vtt_segment(FILE *out, const at_segment *s, int at)
{
    (void)at;
    subtitle(out, s, false, '.');
}

const cli_transcript_format *cli_transcript_format_of(int choice)
{
    static const cli_transcript_format formats[] = {
        {NULL, txt_segment}, {NULL, srt_segment}, {vtt_begin, vtt_segment}, {NULL, NULL}};
    return &formats[choice];
}

/* ---- all that is known */

/* To `digits` behind the point, as people and diffs like them. */
static void add_number(cJSON *json, const char *key, double value, int digits)
{
    double unit = pow(10, digits);
    cJSON_AddNumberToObject(json, key, isfinite(value) ? rint(value * unit) / unit : 0);
}

static cJSON *segment_json(const at_segment *s)
{
    cJSON *json = cJSON_CreateObject();
    add_number(json, "start", s->start, 2);
    add_number(json, "end", s->end, 2);
    cJSON_AddStringToObject(json, "text", s->text);
    add_number(json, "avg_logprob", s->avg_logprob, 6);
    add_number(json, "no_speech_prob", s->no_speech_prob, 6);
    add_number(json, "compression_ratio", s->compression_ratio, 4);
    add_number(json, "temperature", s->temperature, 2);
    cJSON *words = cJSON_AddArrayToObject(json, "words");
    for (int i = 0; i < s->word_count; i++) {
        cJSON *word = cJSON_CreateObject();
        cJSON_AddStringToObject(word, "word", s->words[i].text);
        add_number(word, "start", s->words[i].start, 2);
        add_number(word, "end", s->words[i].end, 2);
        add_number(word, "probability", s->words[i].probability, 6);
        cJSON_AddItemToArray(words, word);
    }
    return json;
}

cJSON *cli_transcript_json(const at_transcript *t, const char *path)
{
    cJSON *json = cJSON_CreateObject();
    char *name = at_copy_text(NULL, path);
    if (name) cli_make_utf8(name);
    cJSON_AddStringToObject(json, "path", name ? name : "");
    at_free(name);
    cJSON_AddStringToObject(json, "text", t->text);
    cJSON_AddStringToObject(json, "language", t->language);
    add_number(json, "language_probability", t->language_probability, 6);
    add_number(json, "duration", t->duration, 3);
    cJSON *segments = cJSON_AddArrayToObject(json, "segments");
    for (int i = 0; i < t->count; i++)
        cJSON_AddItemToArray(segments, segment_json(&t->segments[i]));
    cJSON *timings = cJSON_AddObjectToObject(json, "timings");
    add_number(timings, "load", t->load, 6);
    add_number(timings, "encode", t->encode, 6);
    add_number(timings, "decode", t->decode, 6);
    add_number(timings, "total", t->total, 6);
    return json;
}
