#include "formats/pickle.h"
#include "formats/cursor.h"
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 1024,           /* values allocated at once */
    MOST_VALUES = 1 << 23,  /* a checkpoint has some tens of thousands */
    MOST_BYTES = 256 << 20, /* of the stream */
    MOST_ITEMS = 1 << 24,   /* put on the stack and into containers, all together */
    MOST_MEMO = 1 << 22,    /* the largest number of a memo entry */
    MOST_MEMORY = 1 << 16,  /* of one object */
};

typedef struct block {
    struct block *next;
    uint64_t memory[];
} block;

struct at_pickle {
    at_context *cx;
    const char *what;
    at_cursor in;
    at_pickle_value **chunks; /* of CHUNK values each */
    int64_t count;            /* values in use */
    int64_t appended;
    block *blocks;
    at_pickle_list stack, memo;
    int64_t next_memo;
    at_pickle_value *root;
};

/* ---- failing */

static bool broken(at_pickle *p, const char *why)
{
    return at_fail_false(p->cx, AT_ERROR_FORMAT, "%s: a damaged pickle (%s)", p->what, why);
}

static bool cut_short(at_pickle *p)
{
    return broken(p, "it ends too early: is the file cut short?");
}

static void copy_plain(char *out, size_t size, at_pickle_text text)
{
    size_t n = AT_MIN(size - 1, text.size);
    for (size_t i = 0; i < n; i++)
        out[i] = text.bytes[i] >= ' ' && text.bytes[i] < 127 ? text.bytes[i] : '?';
    out[n] = 0;
}

static bool refuse_name(at_pickle *p, at_pickle_text module, at_pickle_text name)
{
    char a[100], b[100];
    copy_plain(a, sizeof a, module);
    copy_plain(b, sizeof b, name);
    return at_fail_false(p->cx, AT_ERROR_UNSUPPORTED,
                         "%s: holds \"%s.%s\", which is neither a tensor nor a plain container: "
                         "refused (nothing of the file is executed)",
                         p->what, a, b);
}

/* ---- values */

at_pickle_value *at_pickle_new(at_pickle *p, at_pickle_kind kind)
{
    if (p->count == MOST_VALUES) {
        broken(p, "too many values");
        return NULL;
    }
    int64_t chunk = p->count / CHUNK;
    if (p->count % CHUNK == 0) {
        at_pickle_value **more = at_resize(p->cx, p->chunks, (size_t)chunk + 1, sizeof *more);
        if (!more) return NULL;
        p->chunks = more;
        more[chunk] = AT_NEW_ARRAY(p->cx, at_pickle_value, CHUNK);
        if (!more[chunk]) return NULL;
    }
    at_pickle_value *v = &p->chunks[chunk][p->count++ % CHUNK];
    v->kind = kind;
    return v;
}

void *at_pickle_memory(at_pickle *p, size_t size)
{
    if (size > MOST_MEMORY) return NULL;
    block *b = at_alloc(p->cx, 1, sizeof *b + size);
    if (!b) return NULL;
    b->next = p->blocks;
    p->blocks = b;
    return b->memory;
}

bool at_pickle_append(at_pickle *p, at_pickle_list *list, at_pickle_value *value)
{
    if (!value) return false;
    if (p->appended++ == MOST_ITEMS) return broken(p, "too many items");
    if (list->count == list->capacity) {
        int64_t capacity = AT_MAX(4, list->capacity * 2);
        at_pickle_value **items = at_resize(p->cx, list->items, (size_t)capacity, sizeof *items);
        if (!items) return false;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = value;
    return true;
}

/* ---- the stack */

static bool push(at_pickle *p, at_pickle_value *value)
{
    return at_pickle_append(p, &p->stack, value);
}

static at_pickle_value *pop(at_pickle *p)
{
    if (p->stack.count) return p->stack.items[--p->stack.count];
    broken(p, "its stack is empty");
    return NULL;
}

static at_pickle_value *top(at_pickle *p)
{
    if (p->stack.count) return p->stack.items[p->stack.count - 1];
    broken(p, "its stack is empty");
    return NULL;
}

/* Where the values behind the last mark begin; -1 without one. */
static int64_t find_mark(at_pickle *p)
{
    for (int64_t i = p->stack.count; i-- > 0;)
        if (p->stack.items[i]->kind == AT_PICKLE_MARK) return i + 1;
    broken(p, "a mark is missing");
    return -1;
}

/* Moves stack[from...] to the end of a container and drops `drop` more. */
static bool gather(at_pickle *p, at_pickle_value *to, int64_t from, int64_t drop)
{
    bool fine = to && from >= drop;
    for (int64_t i = from; fine && i < p->stack.count; i++) {
        fine = p->stack.items[i]->kind != AT_PICKLE_MARK || broken(p, "a mark inside a list");
        fine = fine && at_pickle_append(p, &to->list, p->stack.items[i]);
    }
    if (fine) p->stack.count = from - drop;
    return fine;
}

/* ---- simple values */

static bool push_whole(at_pickle *p, at_pickle_kind kind, int64_t whole)
{
    at_pickle_value *v = at_pickle_new(p, kind);
    if (v) v->whole = whole;
    return push(p, v);
}

static bool push_real(at_pickle *p, double real)
{
    at_pickle_value *v = at_pickle_new(p, AT_PICKLE_REAL);
    if (v) v->real = real;
    return push(p, v);
}

static bool push_text(at_pickle *p, at_pickle_text text)
{
    at_pickle_value *v = at_pickle_new(p, AT_PICKLE_TEXT);
    if (v) v->text = text;
    return push(p, v);
}

/* Little-endian two's complement of any length. */
static bool push_long(at_pickle *p, uint64_t size)
{
    const uint8_t *bytes = at_cursor_take(&p->in, size);
    if (!bytes) return cut_short(p);
    if (size > 8) return push(p, at_pickle_new(p, AT_PICKLE_OTHER));
    uint64_t value = size && bytes[size - 1] & 128 ? UINT64_MAX : 0;
    for (uint64_t i = size; i-- > 0;) value = value << 8 | bytes[i];
    return push_whole(p, AT_PICKLE_WHOLE, (int64_t)value);
}

static bool push_binary_real(at_pickle *p)
{
    const uint8_t *bytes = at_cursor_take(&p->in, 8);
    uint64_t bits = 0;
    double real;
    if (!bytes) return cut_short(p);
    for (int i = 0; i < 8; i++) bits = bits << 8 | bytes[i];
    memcpy(&real, &bits, sizeof real);
    return push_real(p, real);
}

static bool push_sized_text(at_pickle *p, int length_bytes)
{
    uint64_t size = at_cursor_number(&p->in, length_bytes);
    const uint8_t *bytes = at_cursor_take(&p->in, size);
    if (!bytes) return cut_short(p);
    return push_text(p, (at_pickle_text){(const char *)bytes, (size_t)size});
}

/* Up to the end of the line, which is passed over. */
static bool read_line(at_pickle *p, at_pickle_text *line)
{
    const uint8_t *begin = p->in.data + p->in.at;
    const uint8_t *end = memchr(begin, '\n', at_cursor_left(&p->in));
    if (!end) return cut_short(p);
    *line = (at_pickle_text){(const char *)begin, (size_t)(end - begin)};
    p->in.at += line->size + 1;
    return true;
}

/* The text forms of protocol 0: numbers, and strings in quotes (whose escapes stay as they are). */
static bool push_line(at_pickle *p, uint8_t op)
{
    at_pickle_text line;
    char number[64];
    if (!read_line(p, &line)) return false;
    if (op == 'V') return push_text(p, line);
    if (op == 'S') {
        if (line.size < 2 || line.bytes[0] != line.bytes[line.size - 1])
            return broken(p, "a string without quotes");
        return push_text(p, (at_pickle_text){line.bytes + 1, line.size - 2});
    }
    copy_plain(number, sizeof number, line);
    if (op == 'F') return push_real(p, strtod(number, NULL));
    if (op == 'I' && (strcmp(number, "00") == 0 || strcmp(number, "01") == 0))
        return push_whole(p, AT_PICKLE_BOOL, number[1] == '1');
    return push_whole(p, AT_PICKLE_WHOLE, strtoll(number, NULL, 10));
}

/* ---- containers */

static bool push_tuple(at_pickle *p, int64_t count)
{
    at_pickle_value *tuple = at_pickle_new(p, AT_PICKLE_LIST);
    if (p->stack.count < count) return broken(p, "its stack is empty");
    return gather(p, tuple, p->stack.count - count, 0) && push(p, tuple);
}

/* A new container of what is behind the mark. */
static bool push_marked(at_pickle *p, at_pickle_kind kind)
{
    int64_t from = find_mark(p);
    at_pickle_value *v = from < 0 ? NULL : at_pickle_new(p, kind);
    if (!gather(p, v, from, 1)) return false;
    if (kind == AT_PICKLE_DICT && v->list.count % 2) return broken(p, "a key without a value");
    return push(p, v);
}

/* Adds to the container below what is behind the mark (from < 0), or above `from`. */
static bool extend(at_pickle *p, at_pickle_kind kind, int64_t from)
{
    int64_t drop = from < 0;
    if (drop) from = find_mark(p);
    if (from - drop < 1) return at_ok(p->cx) ? broken(p, "its stack is empty") : false;
    at_pickle_value *to = p->stack.items[from - drop - 1];
    if (to->kind == AT_PICKLE_OTHER) { /* of no use, and so is what goes into it */
        p->stack.count = from - drop;
        return true;
    }
    if (to->kind != kind) return broken(p, "an item of something that is no container");
    if (kind == AT_PICKLE_DICT && (p->stack.count - from) % 2)
        return broken(p, "a key without a value");
    return gather(p, to, from, drop);
}

/* ---- names and calls */

static bool push_name(at_pickle *p, at_pickle_text module, at_pickle_text name)
{
    const at_pickle_name *known = at_pickle_find_name(module, name);
    if (!known) return refuse_name(p, module, name);
    at_pickle_value *v = at_pickle_new(p, AT_PICKLE_NAME);
    if (v) v->name = known;
    return push(p, v);
}

static bool push_name_of_lines(at_pickle *p)
{
    at_pickle_text module, name;
    return read_line(p, &module) && read_line(p, &name) && push_name(p, module, name);
}

static bool push_name_of_stack(at_pickle *p)
{
    const at_pickle_value *name = pop(p), *module = name ? pop(p) : NULL;
    if (!module) return false;
    if (name->kind != AT_PICKLE_TEXT || module->kind != AT_PICKLE_TEXT)
        return broken(p, "a name that is no text");
    return push_name(p, module->text, name->text);
}

/* Both REDUCE (function, arguments) and NEWOBJ (class, arguments). */
static bool call(at_pickle *p)
{
    const at_pickle_value *args = pop(p), *function = args ? pop(p) : NULL;
    if (!function) return false;
    if (function->kind != AT_PICKLE_NAME || args->kind != AT_PICKLE_LIST)
        return broken(p, "a call of something that is no function");
    const at_pickle_name *n = function->name;
    at_pickle_value *result = n->call ? n->call(p, n, &args->list) : NULL;
    if (!result && at_ok(p->cx))
        return at_fail_false(p->cx, AT_ERROR_FORMAT, "%s: %s.%s is called with what it cannot take",
                             p->what, n->module, n->name);
    return push(p, result);
}

/* The state of an object: of a ParameterDict its parameters; else attributes, of no use. */
static bool build(at_pickle *p)
{
    const at_pickle_value *state = pop(p);
    at_pickle_value *object = state ? top(p) : NULL;
    if (!object) return false;
    const at_pickle_value *parameters = at_pickle_item(state, "_parameters");
    if (object->kind != AT_PICKLE_DICT || !parameters) return true;
    if (parameters->kind != AT_PICKLE_DICT) return broken(p, "parameters that are no dictionary");
    for (int64_t i = 0, n = parameters->list.count; i < n; i++)
        if (!at_pickle_append(p, &object->list, parameters->list.items[i])) return false;
    return true;
}

/* ("storage", class, key, location, elements[, view]) */
static bool push_storage(at_pickle *p)
{
    const at_pickle_value *id = pop(p);
    if (!id) return false;
    at_pickle_value *const *a = id->list.items;
    if (id->kind != AT_PICKLE_LIST || id->list.count < 5 || !at_pickle_is(a[0], "storage") ||
        a[1]->kind != AT_PICKLE_NAME || a[1]->name->dtype == AT_DTYPES ||
        a[2]->kind != AT_PICKLE_TEXT || a[4]->kind != AT_PICKLE_WHOLE || a[4]->whole < 0 ||
        (id->list.count > 5 && a[5]->kind != AT_PICKLE_NONE))
        return broken(p, "a reference that is no storage of numbers");
    at_pickle_value *v = at_pickle_new(p, AT_PICKLE_STORAGE);
    at_pickle_storage *s = at_pickle_memory(p, sizeof *s);
    if (!v || !s) return false;
    *s = (at_pickle_storage){a[2]->text, a[1]->name->dtype, a[4]->whole};
    v->storage = s;
    return push(p, v);
}

/* ---- the memo */

static bool remember(at_pickle *p, uint64_t index)
{
    at_pickle_value *v = top(p);
    if (!v) return false;
    if (index >= MOST_MEMO || v->kind == AT_PICKLE_MARK) return broken(p, "its memo");
    if ((int64_t)index >= p->memo.capacity) {
        int64_t before = p->memo.capacity, capacity = AT_MAX(64, (int64_t)index * 2);
        at_pickle_value **items = at_resize(p->cx, p->memo.items, (size_t)capacity, sizeof *items);
        if (!items) return false;
        memset(items + before, 0, (size_t)(capacity - before) * sizeof *items);
        p->memo = (at_pickle_list){items, 0, capacity};
    }
    p->memo.items[index] = v;
    return true;
}

static bool recall(at_pickle *p, uint64_t index)
{
    if (index >= (uint64_t)p->memo.capacity || !p->memo.items[index])
        return broken(p, "its memo has no such entry");
    return push(p, p->memo.items[index]);
}

static bool memo_line(at_pickle *p, bool put)
{
    at_pickle_text line;
    char number[24];
    if (!read_line(p, &line)) return false;
    copy_plain(number, sizeof number, line);
    uint64_t index = strtoull(number, NULL, 10);
    return put ? remember(p, index) : recall(p, index);
}

/* ---- instructions */

static bool refuse_op(at_pickle *p, uint8_t op)
{
    at_pickle_text module, name;
    if (op == 'i')
        return read_line(p, &module) && read_line(p, &name) && refuse_name(p, module, name);
    return at_fail_false(p->cx, AT_ERROR_UNSUPPORTED,
                         "%s: its pickle has the instruction 0x%02x, which no checkpoint needs",
                         p->what, op);
}

static bool do_number_or_text(at_pickle *p, uint8_t op)
{
    at_cursor *in = &p->in;
    switch (op) {
    case 'N':
        return push(p, at_pickle_new(p, AT_PICKLE_NONE));
    case 0x88:
        return push_whole(p, AT_PICKLE_BOOL, 1);
    case 0x89:
        return push_whole(p, AT_PICKLE_BOOL, 0);
    case 'J':
        return push_whole(p, AT_PICKLE_WHOLE, (int32_t)at_cursor_number(in, 4));
    case 'K':
        return push_whole(p, AT_PICKLE_WHOLE, (int64_t)at_cursor_number(in, 1));
    case 'M':
        return push_whole(p, AT_PICKLE_WHOLE, (int64_t)at_cursor_number(in, 2));
    case 0x8a:
        return push_long(p, at_cursor_number(in, 1));
    case 0x8b:
        return push_long(p, at_cursor_number(in, 4));
    case 'G':
        return push_binary_real(p);
    case 'U':
    case 'C':
    case 0x8c:
        return push_sized_text(p, 1);
    case 'T':
    case 'B':
    case 'X':
        return push_sized_text(p, 4);
    case 0x8d:
    case 0x8e:
    case 0x96:
        return push_sized_text(p, 8);
    case 'I':
    case 'L':
    case 'F':
    case 'S':
    case 'V':
        return push_line(p, op);
    default:
        return refuse_op(p, op);
    }
}

static bool do_container(at_pickle *p, uint8_t op)
{
    switch (op) {
    case '(':
        return push(p, at_pickle_new(p, AT_PICKLE_MARK));
    case ']':
    case ')':
    case 0x8f:
        return push(p, at_pickle_new(p, AT_PICKLE_LIST));
    case '}':
        return push(p, at_pickle_new(p, AT_PICKLE_DICT));
    case 0x85:
        return push_tuple(p, 1);
    case 0x86:
        return push_tuple(p, 2);
    case 0x87:
        return push_tuple(p, 3);
    case 't':
    case 'l':
    case 0x91:
        return push_marked(p, AT_PICKLE_LIST);
    case 'd':
        return push_marked(p, AT_PICKLE_DICT);
    case 'a':
        return extend(p, AT_PICKLE_LIST, AT_MAX(p->stack.count - 1, 0));
    case 'e':
    case 0x90:
        return extend(p, AT_PICKLE_LIST, -1);
    case 's':
        return extend(p, AT_PICKLE_DICT, AT_MAX(p->stack.count - 2, 0));
    case 'u':
        return extend(p, AT_PICKLE_DICT, -1);
    default:
        return do_number_or_text(p, op);
    }
}

static bool pop_to_mark(at_pickle *p)
{
    int64_t from = find_mark(p);
    if (from > 0) p->stack.count = from - 1;
    return from > 0;
}

static bool start_protocol(at_pickle *p)
{
    uint64_t version = at_cursor_number(&p->in, 1);
    return version <= 5 || broken(p, "of an unknown protocol");
}

static bool do_op(at_pickle *p, uint8_t op)
{
    at_cursor *in = &p->in;
    switch (op) {
    case 0x80:
        return start_protocol(p);
    case 0x95:
        return at_cursor_number(in, 8) <= MOST_BYTES || cut_short(p);
    case '0':
        return pop(p) != NULL;
    case '1':
        return pop_to_mark(p);
    case '2':
        return push(p, top(p));
    case 'c':
        return push_name_of_lines(p);
    case 0x93:
        return push_name_of_stack(p);
    case 'R':
    case 0x81:
        return call(p);
    case 'b':
        return build(p);
    case 'Q':
        return push_storage(p);
    case 'p':
        return memo_line(p, true);
    case 'q':
        return remember(p, at_cursor_number(in, 1));
    case 'r':
        return remember(p, at_cursor_number(in, 4));
    case 0x94:
        return remember(p, (uint64_t)p->next_memo++);
    case 'g':
        return memo_line(p, false);
    case 'h':
        return recall(p, at_cursor_number(in, 1));
    case 'j':
        return recall(p, at_cursor_number(in, 4));
    default:
        return do_container(p, op);
    }
}

static bool run(at_pickle *p)
{
    for (;;) {
        uint8_t op = (uint8_t)at_cursor_number(&p->in, 1);
        if (p->in.failed) return cut_short(p);
        if (op == '.') break;
        if (!do_op(p, op)) return false;
        if (p->in.failed) return cut_short(p);
    }
    p->root = pop(p);
    return p->root && (p->root->kind != AT_PICKLE_MARK || broken(p, "it holds nothing"));
}

at_pickle *at_pickle_read(at_context *cx, const char *what, const uint8_t *data, size_t size,
                          size_t *at)
{
    at_pickle *p = at_ok(cx) ? AT_NEW(cx, at_pickle) : NULL;
    if (!p) return NULL;
    p->cx = cx;
    p->what = what;
    p->in = (at_cursor){data, AT_MIN(size, *at + MOST_BYTES), *at, false};
    bool fine = run(p);
    *at = p->in.at;
    if (fine) return p;
    at_pickle_free(p);
    return NULL;
}

void at_pickle_free(at_pickle *p)
{
    if (!p) return;
    for (int64_t i = 0; i < p->count; i++) {
        at_pickle_value *v = &p->chunks[i / CHUNK][i % CHUNK];
        if (v->kind == AT_PICKLE_LIST || v->kind == AT_PICKLE_DICT) at_free(v->list.items);
    }
    for (int64_t i = 0; i * CHUNK < p->count; i++) at_free(p->chunks[i]);
    for (block *b = p->blocks, *next; b; b = next) {
        next = b->next;
        at_free(b);
    }
    at_free(p->chunks);
    at_free(p->stack.items);
    at_free(p->memo.items);
    at_free(p);
}

const at_pickle_value *at_pickle_root(const at_pickle *pickle)
{
    return pickle ? pickle->root : NULL;
}

bool at_pickle_is(const at_pickle_value *value, const char *text)
{
    return value && value->kind == AT_PICKLE_TEXT && value->text.size == strlen(text) &&
           memcmp(value->text.bytes, text, value->text.size) == 0;
}

const at_pickle_value *at_pickle_item(const at_pickle_value *dict, const char *key)
{
    if (!dict || dict->kind != AT_PICKLE_DICT) return NULL;
    for (int64_t i = 0; i + 1 < dict->list.count; i += 2)
        if (at_pickle_is(dict->list.items[i], key)) return dict->list.items[i + 1];
    return NULL;
}

bool at_pickle_each_storage(at_context *cx, const at_pickle *p, at_map *sizes)
{
    for (int64_t i = 0; i < p->count; i++) {
        const at_pickle_value *v = &p->chunks[i / CHUNK][i % CHUNK];
        if (v->kind != AT_PICKLE_STORAGE) continue;
        const at_pickle_storage *s = v->storage;
        int64_t size = (int64_t)at_dtype_block_bytes(s->dtype), other = size;
        at_map_get(sizes, s->key.bytes, s->key.size, &other);
        if (other != size)
            return at_fail_false(cx, AT_ERROR_FORMAT, "%s: a storage of two types", p->what);
        if (!at_map_set(cx, sizes, s->key.bytes, s->key.size, size)) return false;
    }
    return true;
}
