/* What every room uses: failing, memory, logging, ownership. */
#ifndef AT_BASE_H
#define AT_BASE_H

#include <atelier/context.h>
#include <stdarg.h>
#include <stdatomic.h>

struct at_context {
    at_status status;
    char error[1024];
    atomic_bool cancelled;
    at_context_options options;
    int threads;

    const struct at_kernels *kernels; /* this device's table (kernels/kernels.h) */
    struct at_pool *pool;             /* tensor memory and scopes (tensor/pool.h) */
    struct at_tape *tape;             /* records gradients when not NULL (tensor/tape.h) */
    struct at_owned *owned;           /* objects freed with the context, last made first */
    long fail_allocation_in;          /* tests: the n-th allocation from now fails; 0: none */
};

/* Keeps the first error (later ones are dropped) and returns NULL, so that `return at_fail(...)`
   fits functions that give pointers. Write "what: why (what to do)". cx may be NULL. */
void *at_fail(at_context *cx, at_status status, const char *format, ...) AT_PRINTF(3, 4);

/* at_fail for functions that give bool. */
#define at_fail_false(...) (at_fail(__VA_ARGS__), false)

/* True when work may go on: no error, not cancelled. Turns a cancel request into
 * AT_ERROR_CANCELLED. */
bool at_ok(at_context *cx);

void at_log(at_context *cx, at_log_level level, const char *format, ...) AT_PRINTF(3, 4);
void at_progress(at_context *cx, const char *stage, int done, int total);

/* Ordinary memory (not tensors): zeroed; NULL and AT_ERROR_MEMORY when there is none. count * size
   is checked for overflow. Freed with at_free. cx may be NULL (then no error is kept). */
void *at_alloc(at_context *cx, size_t count, size_t size);
void *at_resize(at_context *cx, void *old, size_t count,
                size_t size); /* new part not zeroed; old stays on failure */
void at_free(void *memory);
char *at_copy_text(at_context *cx, const char *text);
char *at_format(at_context *cx, const char *format, ...) AT_PRINTF(2, 3);

/* Bytes that this machine, or the container around this process, can still give away; 0: not known.
 */
size_t at_available_memory(void);

/* True when the test hook says that this allocation must fail. Called by every allocator. */
bool at_allocation_fails(at_context *cx);

#define AT_NEW(cx, type) ((type *)at_alloc(cx, 1, sizeof(type)))
#define AT_NEW_ARRAY(cx, type, n) ((type *)at_alloc(cx, (size_t)(n), sizeof(type)))

/* The context frees `object` with `destroy` at its end, unless at_disown takes it back first. On
   failure the object is destroyed at once and false returned. */
bool at_own(at_context *cx, void *object, void (*destroy)(void *object));
void at_disown(at_context *cx, void *object);

/* a * b, a + b; false on overflow or negative input. */
bool at_mul_size(int64_t a, int64_t b, int64_t *out);
bool at_add_size(int64_t a, int64_t b, int64_t *out);

#define AT_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define AT_MIN(a, b) ((a) < (b) ? (a) : (b))
#define AT_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
