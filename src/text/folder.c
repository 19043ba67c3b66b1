/* A folder's tokenizer as transformers 5 builds it. Its classes lay most stages down themselves
   and take from tokenizer.json only the vocabulary, the merges and (some) the post-processor; a
   folder without a class of that kind is read as tokenizer.json says. */
#include "text/folder.h"
#include "base/file.h"
#include "text/unicode.h"
#include <string.h>

enum { FILE_LIMIT = 256 << 20 };

/* --- The stages of the classes. --- */

#define MARK "\u2581" /* sentencepiece's space */
#define SEQUENCE(list, steps) "{\"type\":\"Sequence\",\"" list "\":[" steps "]}"
#define METASPACE(scheme, split)                                                        \
    "{\"type\":\"Metaspace\",\"replacement\":\"" MARK "\",\"prepend_scheme\":\"" scheme \
    "\",\"split\":" split "}"
#define BYTE_LEVEL(space, regex) \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":" space ",\"use_regex\":" regex "}"
#define SPLIT_REGEX(regex, behavior, invert)                                             \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"" behavior \
    "\",\"invert\":" invert "}"
#define REPLACE(from, to) \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"" from "\"},\"content\":\"" to "\"}"
#define STEP(type) "{\"type\":\"" type "\"}"
#define BYTES_AND_FUSE STEP("ByteFallback") "," STEP("Fuse")

static const char clip_normalizer[] =
    SEQUENCE("normalizers", STEP("NFC") ",{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s+\"},"
                                        "\"content\":\" \"}," STEP("Lowercase"));
static const char clip_pre_tokenizer[] = SEQUENCE(
    "pretokenizers",
    SPLIT_REGEX("<\\\\|startoftext\\\\|>|<\\\\|endoftext\\\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\\\p{L}]+|"
                "[\\\\p{N}]|[^\\\\s\\\\p{L}\\\\p{N}]+",
                "Removed", "true") "," BYTE_LEVEL("false", "true"));
/* The last two steps are what the class does with the decoded text. */
static const char clip_decoder[] =
    SEQUENCE("decoders", STEP("ByteLevel") "," REPLACE("</w>", " ") "," STEP("Trim"));

static const char t5_pre_tokenizer[] =
    SEQUENCE("pretokenizers", STEP("WhitespaceSplit") "," METASPACE("always", "true"));

static const char qwen2_pre_tokenizer[] = SEQUENCE(
    "pretokenizers",
    SPLIT_REGEX(
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "
        "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+",
        "Isolated", "false") ",%s");

static bool build_clip(at_context *cx, const at_folder *f, at_tokenizer *t)
{
    t->model = at_folder_bpe(cx, f,
                             &(at_bpe_options){.unk_token = f->named[AT_UNK].token.content,
                                               .end_of_word_suffix = "</w>"});
    return t->model &&
           at_tokenizer_set_stages(cx, t, clip_normalizer, clip_pre_tokenizer, clip_decoder);
}

static bool build_t5(at_context *cx, const at_folder *f, at_tokenizer *t)
{
    char *charsmap = at_folder_charsmap(cx, f);
    t->model = at_folder_unigram(cx, f, 2);
    bool fine = t->model && at_tokenizer_set_stages(cx, t, charsmap, t5_pre_tokenizer,
                                                    METASPACE("always", "true"));
    at_free(charsmap);
    return fine;
}

static bool build_albert(at_context *cx, const at_folder *f, at_tokenizer *t)
{
    char *charsmap = at_folder_charsmap(cx, f);
    char *normalizer = at_format(
        cx, SEQUENCE("normalizers", "%s%s%s%s%s"), REPLACE("``", "\\\"") "," REPLACE("''", "\\\""),
        at_folder_flag(f, "keep_accents", false) ? "" : "," STEP("NFKD") "," STEP("StripAccents"),
        at_folder_flag(f, "do_lower_case", true) ? "," STEP("Lowercase") : "", charsmap ? "," : "",
        charsmap ? charsmap : "");
    bool space = at_folder_flag(f, "add_prefix_space", true);
    t->model = at_folder_unigram(cx, f, 1);
    bool fine = t->model && normalizer &&
                at_tokenizer_set_stages(
                    cx, t, normalizer,
                    space ? t5_pre_tokenizer
                          : SEQUENCE("pretokenizers",
                                     STEP("WhitespaceSplit") "," METASPACE("never", "true")),
                    space ? METASPACE("always", "true") : METASPACE("never", "true"));
    at_free(charsmap);
    at_free(normalizer);
    return fine;
}

static bool build_bert(at_context *cx, const at_folder *f, at_tokenizer *t)
{
    bool lower = at_folder_flag(f, "do_lower_case", true);
    bool accents = at_folder_flag(f, "strip_accents", lower);
    char *normalizer =
        at_format(cx,
                  "{\"type\":\"BertNormalizer\",\"handle_chinese_chars\":%s,\"strip_accents\":%s,"
                  "\"lowercase\":%s}",
                  at_folder_flag(f, "tokenize_chinese_chars", true) ? "true" : "false",
                  accents ? "true" : "false", lower ? "true" : "false");
    const char *unk = f->named[AT_UNK].token.content;
    t->model = normalizer ? at_folder_wordpiece(cx, f, unk ? unk : "None") : NULL;
    bool fine = t->model && at_tokenizer_set_stages(
                                cx, t, normalizer, STEP("BertPreTokenizer"),
                                "{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}");
    at_free(normalizer);
    return fine;
}

static bool build_llama(at_context *cx, const at_folder *f, at_tokenizer *t)
{
    bool space = at_folder_flag(f, "add_prefix_space", true);
    bool legacy = at_folder_flag(f, "legacy", false);
    t->model = at_folder_bpe(cx, f, &(at_bpe_options){.fuse_unk = true, .byte_fallback = true});
    const char *pre = !space   ? METASPACE("never", "false")
                      : legacy ? METASPACE("always", "false")
                               : METASPACE("first", "false");
    const char *decoder =
        space ? SEQUENCE(
                    "decoders",
                    REPLACE(MARK,
                            " ") "," BYTES_AND_FUSE
                                 ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}")
              : SEQUENCE("decoders", REPLACE(MARK, " ") "," BYTES_AND_FUSE);
    return t->model && at_tokenizer_set_stages(cx, t, NULL, pre, decoder);
}

static bool build_gemma(at_context *cx, const at_folder *f, at_tokenizer *t)
{
    t->model = at_folder_bpe(cx, f,
                             &(at_bpe_options){.unk_token = f->named[AT_UNK].token.content,
                                               .fuse_unk = true,
                                               .byte_fallback = true});
    return t->model && at_tokenizer_set_stages(
                           cx, t, REPLACE(" ", MARK),
                           "{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":"
                           "\"MergedWithPrevious\",\"invert\":false}",
                           SEQUENCE("decoders", REPLACE(MARK, " ") "," BYTES_AND_FUSE));
}

/* GPT-2 and RoBERTa */
static bool build_gpt2(at_context *cx, const at_folder *f, at_tokenizer *t)
{
    bool space = at_folder_flag(f, "add_prefix_space", false);
    t->model = at_folder_bpe(cx, f, &(at_bpe_options){0});
    return t->model &&
           at_tokenizer_set_stages(cx, t, NULL,
                                   space ? BYTE_LEVEL("true", "true") : BYTE_LEVEL("false", "true"),
                                   STEP("ByteLevel"));
}

static bool build_qwen2(at_context *cx, const at_folder *f, at_tokenizer *t)
{
    bool space = at_folder_flag(f, "add_prefix_space", false);
    char *pre = at_format(cx, qwen2_pre_tokenizer,
                          space ? BYTE_LEVEL("true", "false") : BYTE_LEVEL("false", "false"));
    t->model = pre ? at_folder_bpe(cx, f, &(at_bpe_options){0}) : NULL;
    bool fine = t->model && at_tokenizer_set_stages(cx, t, STEP("NFC"), pre, STEP("ByteLevel"));
    at_free(pre);
    return fine;
}

static bool build_json(at_context *cx, const at_folder *f, at_tokenizer *t)
{
    if (!f->tokenizer) return at_folder_from_spm(cx, f, t);
    const cJSON *added = cJSON_GetObjectItemCaseSensitive(f->tokenizer, "added_tokens");
    return at_tokenizer_parse_stages(cx, t, f->tokenizer, f->tokenizer_path) &&
           at_added_tokens_parse(cx, t->added, added, t->model, t->normalizer, f->tokenizer_path);
}

/* --- The post-processor: the class's own, tokenizer.json's, or bos and eos as configured. --- */

typedef enum ends { OWN_CLS_SEP, OWN_BOS_EOS, OWN_EOS, FROM_FILE, FROM_FILE_OR_CLS_SEP } ends;

static bool set_ends(at_context *cx, const at_folder *f, at_tokenizer *t, ends how)
{
    int32_t first = -1, last = -1;
    bool flags = at_folder_has(f, "add_bos_token") || at_folder_has(f, "add_eos_token");
    if (how == FROM_FILE_OR_CLS_SEP && !f->tokenizer && flags) how = FROM_FILE;
    bool in_file = how == FROM_FILE || how == FROM_FILE_OR_CLS_SEP;
    const cJSON *post = cJSON_GetObjectItemCaseSensitive(f->tokenizer, "post_processor");
    if (in_file && post && !cJSON_IsNull(post))
        return t->post_processor ||
               at_post_processor_parse(cx, post, f->tokenizer_path, &t->post_processor);
    switch (how) {
    case OWN_CLS_SEP:
    case FROM_FILE_OR_CLS_SEP:
        first = at_folder_named_id(f, t, AT_CLS);
        last = at_folder_named_id(f, t, AT_SEP);
        if (first < 0) first = 2; /* where BertTokenizer looks then */
        if (last < 0) last = 3;
        break;
    case OWN_BOS_EOS:
        first = at_folder_named_id(f, t, AT_BOS); /* fall through */
    case OWN_EOS:
        last = at_folder_named_id(f, t, AT_EOS);
        break;
    case FROM_FILE: /* the two flags count only without a tokenizer.json */
        if (f->tokenizer) break;
        if (at_folder_flag(f, "add_bos_token", false)) first = at_folder_named_id(f, t, AT_BOS);
        if (at_folder_flag(f, "add_eos_token", false)) last = at_folder_named_id(f, t, AT_EOS);
    }
    t->post_processor = at_post_processor_around(cx, first, last);
    return t->post_processor != NULL;
}

/* --- The classes. --- */

typedef struct class_row {
    at_tokenizer_class class; /* tokens: bos, eos, unk, sep, pad, cls, mask */
    bool (*build)(at_context *, const at_folder *, at_tokenizer *);
    ends ends;
} class_row;

static const class_row classes[] = {
    {{"CLIPTokenizer",
      {"<|startoftext|>", "<|endoftext|>", "<|endoftext|>", NULL, "<|endoftext|>", NULL, NULL},
      NULL,
      false},
     build_clip,
     OWN_BOS_EOS},
    {{"T5Tokenizer", {NULL, "</s>", "<unk>", NULL, "<pad>", NULL, NULL}, "spiece.model", false},
     build_t5,
     OWN_EOS},
    {{"BertTokenizer", {NULL, NULL, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"}, NULL, false},
     build_bert,
     OWN_CLS_SEP},
    {{"LlamaTokenizer", {"<s>", "</s>", "<unk>", NULL, NULL, NULL, NULL}, "tokenizer.model", true},
     build_llama,
     FROM_FILE},
    {{"GemmaTokenizer",
      {"<bos>", "<eos>", "<unk>", NULL, "<pad>", NULL, "<mask>"},
      "tokenizer.model",
      true},
     build_gemma,
     FROM_FILE},
    {{"GPT2Tokenizer",
      {"<|endoftext|>", "<|endoftext|>", "<|endoftext|>", NULL, NULL, NULL, NULL},
      NULL,
      false},
     build_gpt2,
     FROM_FILE},
    {{"RobertaTokenizer", {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"}, NULL, false},
     build_gpt2,
     OWN_CLS_SEP},
    {{"Qwen2Tokenizer",
      {NULL, "<|endoftext|>", "<|endoftext|>", NULL, "<|endoftext|>", NULL, NULL},
      NULL,
      false},
     build_qwen2,
     FROM_FILE},
    {{"AlbertTokenizer",
      {"[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]"},
      "spiece.model",
      false},
     build_albert,
     FROM_FILE_OR_CLS_SEP},
};

/* tokenizer.json as it is. */
static const class_row as_file = {
    {"TokenizersBackend", {NULL, NULL, NULL, NULL, NULL, NULL, NULL}, NULL, false},
    build_json,
    FROM_FILE};
/* A sentencepiece file as it is. */
static const class_row as_spm = {
    {"TokenizersBackend", {NULL, NULL, NULL, NULL, NULL, NULL, NULL}, "tokenizer.model", false},
    build_json,
    FROM_FILE};

static const class_row *class_named(const char *name)
{
    static const char *const aliases[][2] = {{"MT5Tokenizer", "T5Tokenizer"},
                                             {"DistilBertTokenizer", "BertTokenizer"},
                                             {"ElectraTokenizer", "BertTokenizer"}};
    size_t size = strlen(name);
    if (size > 4 && strcmp(name + size - 4, "Fast") == 0) size -= 4;
    for (size_t i = 0; i < AT_COUNT(aliases); i++)
        if (strlen(aliases[i][0]) == size && memcmp(aliases[i][0], name, size) == 0)
            return class_named(aliases[i][1]);
    for (size_t i = 0; i < AT_COUNT(classes); i++)
        if (strlen(classes[i].class.name) == size && memcmp(classes[i].class.name, name, size) == 0)
            return &classes[i];
    return NULL;
}

static bool has_file(at_context *cx, const char *folder, const char *name)
{
    char *path = at_path_join(cx, folder, name);
    bool there = path && at_file_exists(path);
    at_free(path);
    return there;
}

/* vocab.json alone says which kind it is: only CLIP's tokens end words. */
static const char *class_of_vocab(at_context *cx, const char *folder)
{
    char *path = at_path_join(cx, folder, "vocab.json");
    size_t size = 0;
    char *text = path ? at_file_read(cx, path, FILE_LIMIT, &size) : NULL;
    bool clip = text && memmem(text, size, "</w>\"", 5);
    at_free(text);
    at_free(path);
    return clip ? "CLIPTokenizer" : "GPT2Tokenizer";
}

/* For folders that name no class. */
static const class_row *class_of_files(at_context *cx, const char *folder)
{
    if (has_file(cx, folder, "tokenizer.json")) return &as_file;
    if (has_file(cx, folder, "vocab.json")) return class_named(class_of_vocab(cx, folder));
    if (has_file(cx, folder, "spiece.model")) return class_named("T5Tokenizer");
    if (has_file(cx, folder, "vocab.txt")) return class_named("BertTokenizer");
    return &as_spm;
}

/* A class that lays its stages down is no use for a tokenizer.json of another kind: Llama 3 calls
   itself LlamaTokenizer. */
static bool contradicts(const at_folder *f, const class_row *row)
{
    const cJSON *pre = cJSON_GetObjectItemCaseSensitive(f->tokenizer, "pre_tokenizer");
    const cJSON *decoder = cJSON_GetObjectItemCaseSensitive(f->tokenizer, "decoder");
    if (row->build != build_llama) return false;
    const cJSON *parts[] = {pre, decoder};
    for (size_t i = 0; i < AT_COUNT(parts); i++) {
        const char *type = at_json_text(cJSON_GetObjectItemCaseSensitive(parts[i], "type"));
        const cJSON *list =
            cJSON_GetObjectItemCaseSensitive(parts[i], i == 0 ? "pretokenizers" : "decoders");
        if (type && strcmp(type, "ByteLevel") == 0) return true;
        for (const cJSON *step = list ? list->child : NULL; step; step = step->next) {
            type = at_json_text(cJSON_GetObjectItemCaseSensitive(step, "type"));
            if (type && strcmp(type, "ByteLevel") == 0) return true;
        }
    }
    return false;
}

static const class_row *choose_class(at_context *cx, at_folder *f, const char *name)
{
    const cJSON *in_config = cJSON_GetObjectItemCaseSensitive(f->config, "tokenizer_class");
    if (!name) name = at_json_text(in_config);
    const class_row *row = name ? class_named(name) : class_of_files(cx, f->path);
    if (!row) row = f->tokenizer ? &as_file : &as_spm; /* a class that we do not have */
    if (f->tokenizer && contradicts(f, row)) row = &as_file;
    return row;
}

/* --- Reading the folder. --- */

static cJSON *read_json(at_context *cx, const char *folder, const char *name, char **path_out)
{
    char *path = at_path_join(cx, folder, name);
    cJSON *json = NULL;
    if (path && at_file_exists(path)) {
        size_t size = 0;
        char *text = at_file_read(cx, path, FILE_LIMIT, &size);
        if (text && !at_utf8_valid(text, size))
            at_fail(cx, AT_ERROR_FORMAT, "%s: not valid UTF-8", path);
        else if (text)
            json = at_json_parse(cx, text, size, path);
        at_free(text);
    }
    if (path_out)
        *path_out = path;
    else
        at_free(path);
    return json;
}

/* The class's name for the file, or tokenizer.model, which transformers takes in its place. */
static void read_spm(at_context *cx, at_folder *f)
{
    const char *name = f->class->sentencepiece;
    if (!name || !at_ok(cx)) return;
    if (!has_file(cx, f->path, name)) name = "tokenizer.model";
    if (!has_file(cx, f->path, name)) {
        at_fail(cx, AT_ERROR_FILE,
                "%s: no tokenizer here (tokenizer.json, vocab.json, vocab.txt or %s)", f->path,
                f->class->sentencepiece);
        return;
    }
    size_t size = 0;
    f->spm_path = at_path_join(cx, f->path, name);
    if (f->spm_path) f->spm_data = at_file_read(cx, f->spm_path, FILE_LIMIT, &size);
    if (f->spm_data) at_sentencepiece_parse(cx, f->spm_data, size, f->spm_path, &f->spm);
}

/* Bos, eos and unk of a sentencepiece file that is read as it is. */
static void name_spm_tokens(at_context *cx, at_folder *f)
{
    const int32_t ids[] = {
        [AT_BOS] = f->spm.bos_id, [AT_EOS] = f->spm.eos_id, [AT_UNK] = f->spm.unk_id};
    for (size_t n = 0; n < AT_COUNT(ids); n++) {
        if (ids[n] < 0 || (size_t)ids[n] >= f->spm.count) continue;
        const at_spm_piece *p = &f->spm.pieces[ids[n]];
        f->spm_tokens[n] = at_alloc(cx, p->size + 1, 1);
        if (f->spm_tokens[n]) memcpy(f->spm_tokens[n], p->text, p->size);
    }
}

static void close_folder(at_folder *f)
{
    for (int n = 0; n < AT_NAMED; n++) at_free(f->spm_tokens[n]);
    cJSON_Delete(f->config);
    cJSON_Delete(f->map);
    cJSON_Delete(f->added);
    cJSON_Delete(f->tokenizer);
    at_free(f->tokenizer_path);
    at_sentencepiece_free(&f->spm);
    at_free(f->spm_path);
    at_free(f->spm_data);
}

/* Transformers writes 1e30 for "no limit". */
static size_t max_length(const at_folder *f)
{
    const cJSON *most = cJSON_GetObjectItemCaseSensitive(f->config, "model_max_length");
    if (!most) most = cJSON_GetObjectItemCaseSensitive(f->config, "max_len");
    bool given = cJSON_IsNumber(most) && most->valuedouble >= 1 && most->valuedouble < 1e9;
    return given ? (size_t)most->valuedouble : 0;
}

static bool is_left(const at_folder *f, const char *key, bool fallback)
{
    const char *side = at_json_text(cJSON_GetObjectItemCaseSensitive(f->config, key));
    return side ? strcmp(side, "left") == 0 : fallback;
}

static void build(at_context *cx, at_folder *f, const class_row *row, at_tokenizer *t)
{
    if (!row->build(cx, f, t) || !at_folder_add_tokens(cx, f, t) ||
        !set_ends(cx, f, t, row->ends) ||
        !at_added_tokens_finish(cx, t->added, at_folder_flag(f, "split_special_tokens", false)))
        return;
    t->pad_id = at_folder_named_id(f, t, AT_PAD);
    t->bos_id = at_folder_named_id(f, t, AT_BOS);
    t->eos_id = at_folder_named_id(f, t, AT_EOS);
    t->max_length = max_length(f);
    t->pad_left = is_left(f, "padding_side", row->class.pad_left);
    t->truncate_left = is_left(f, "truncation_side", false);
}

/* The tokenizer of what was read of the folder; a sentencepiece file is read where it must be. */
static at_tokenizer *open_folder(at_context *cx, at_folder *f, const char *class_name)
{
    at_tokenizer *t = at_ok(cx) ? at_tokenizer_new(cx) : NULL;
    if (t) {
        const class_row *row = choose_class(cx, f, class_name);
        f->class = &row->class;
        if (row->build == build_t5)
            f->extra_ids = at_field_count(cx, f->config, "extra_ids", 100, 100000, f->path);
        if (!f->tokenizer && !f->spm.count) read_spm(cx, f);
        if (row == &as_spm) name_spm_tokens(cx, f);
        at_folder_read_names(f);
        if (at_ok(cx)) build(cx, f, row, t);
    }
    close_folder(f);
    if (t && at_ok(cx)) return t;
    at_tokenizer_free(t);
    return NULL;
}

at_tokenizer *at_tokenizer_open_as(at_context *cx, const char *path, const char *class_name)
{
    if (!at_ok(cx)) return NULL;
    at_folder f = {.path = path};
    f.config = read_json(cx, path, "tokenizer_config.json", NULL);
    f.map = read_json(cx, path, "special_tokens_map.json", NULL);
    f.added = read_json(cx, path, "added_tokens.json", NULL);
    f.tokenizer = read_json(cx, path, "tokenizer.json", &f.tokenizer_path);
    return open_folder(cx, &f, class_name);
}

at_tokenizer *at_tokenizer_open(at_context *cx, const char *folder)
{
    return at_tokenizer_open_as(cx, folder, NULL);
}

at_tokenizer *at_tokenizer_of_pieces(at_context *cx, const void *pieces, size_t size,
                                     const cJSON *config, const char *what)
{
    at_folder f = {.path = what};
    if (!at_ok(cx)) return NULL;
    f.config = cJSON_Duplicate(config, true);
    f.spm_path = at_copy_text(cx, what);
    f.spm_data = at_alloc(cx, size + 1, 1);
    if (f.spm_data) memcpy(f.spm_data, pieces, size);
    if (f.spm_data) at_sentencepiece_parse(cx, f.spm_data, size, what, &f.spm);
    return open_folder(cx, &f, NULL);
}
