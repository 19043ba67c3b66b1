#include "tensor/pool.h"
#include "tensor/scope.h"
#include "tensor/tape.h"
#include <stdlib.h>
#include <sys/mman.h>

/* In front of every block; 64 bytes keep the alignment. */
typedef union header {
    struct {
        size_t size; /* of what follows */
        union header *next;
    };
    char padding[64];
} header;

struct at_pool {
    size_t budget, used, cached, peak;
    header *free_blocks;
    at_scopes scopes;
};

enum { PAGE = 64 << 10 /* or smaller */, HUGE_PAGE = 2 << 20, SLACK = 96 << 20 };

/* Large blocks are mapped, each for itself: malloc's heap, where blocks of many sizes come and go,
   would keep as much again in the gaps between them. */
static bool is_mapped(size_t size)
{
    return size + sizeof(header) >= 2 * HUGE_PAGE;
}

static size_t mapped_size(size_t size)
{
    return (size + sizeof(header) + PAGE - 1) & ~(size_t)(PAGE - 1);
}

static header *map(size_t size)
{
    size_t total = mapped_size(size);
    char *memory =
        mmap(NULL, total + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    size_t before = -(uintptr_t)memory & (HUGE_PAGE - 1);
    if (before) munmap(memory, before);
    munmap(memory + before + total, HUGE_PAGE - before);
    madvise(memory + before, total, MADV_HUGEPAGE); /* fewer page faults; no harm if refused */
    return (header *)(void *)(memory + before);
}

static void give_back(header *h)
{
    if (is_mapped(h->size))
        munmap(h, mapped_size(h->size));
    else
        free(h);
}

struct at_pool *at_pool_new(size_t budget)
{
    struct at_pool *pool = calloc(1, sizeof *pool);
    if (pool) pool->budget = budget;
    return pool;
}

at_scopes *at_scopes_of(at_context *cx)
{
    return &cx->pool->scopes;
}

size_t at_pool_budget(const at_context *cx)
{
    return cx->pool->budget;
}

size_t at_memory_used(const at_context *cx)
{
    return cx ? cx->pool->used : 0;
}

size_t at_memory_peak(const at_context *cx)
{
    return cx ? cx->pool->peak : 0;
}

void at_memory_peak_reset(at_context *cx)
{
    if (cx) cx->pool->peak = cx->pool->used;
}

/* Gives cached blocks back to the system, the longest unused first, until less than `limit` bytes
 * are cached.
 */
static void trim(at_context *cx, size_t limit)
{
    struct at_pool *pool = cx->pool;
    header **p = &pool->free_blocks;
    for (size_t kept = 0; *p && kept + (*p)->size < limit; p = &(*p)->next) kept += (*p)->size;
    while (*p) {
        header *h = *p;
        *p = h->next;
        pool->cached -= h->size;
        give_back(h);
    }
}

void at_pool_rest(at_context *cx)
{
    enum { MUCH = 64 << 20 };
    if (cx->pool->cached > MUCH) trim(cx, 0);
}

void at_pool_free(at_context *cx)
{
    if (cx->tape) at_tape_free(cx);
    at_scopes_free(cx);
    trim(cx, 0);
    free(cx->pool);
    cx->pool = NULL;
}

/* Sizes are rounded so that blocks of nearly the same size are the same: a sixty-fourth of the
   power of two below. */
static size_t rounded(size_t size)
{
    if (size <= 4096) return (size + 63) & ~(size_t)63;
    size_t step = (size_t)1 << (63 - __builtin_clzll(size) - 6);
    return (size + step - 1) & ~(step - 1);
}

static header *from_cache(struct at_pool *pool, size_t size)
{
    header **best = NULL;
    for (header **p = &pool->free_blocks; *p; p = &(*p)->next) {
        if ((*p)->size == size) {
            best = p;
            break;
        }
        if ((*p)->size > size && (*p)->size <= size + size / 4 &&
            (!best || (*p)->size < (*best)->size))
            best = p;
    }
    if (!best) return NULL;
    header *h = *best;
    *best = h->next;
    pool->cached -= h->size;
    return h;
}

static header *from_system(at_context *cx, size_t size)
{
    struct at_pool *pool = cx->pool;
    size_t used = pool->used + size, most = AT_MAX(pool->peak, used) + SLACK;
    if (pool->budget) most = AT_MIN(most, pool->budget);
    if (used + pool->cached > most) trim(cx, most > used ? most - used : 0);
    if (pool->budget && used > pool->budget)
        return at_fail(cx, AT_ERROR_MEMORY,
                       "memory: %.1f MB more are needed, %.1f of the budget's %.1f MB are in use "
                       "(raise the budget or "
                       "make a smaller picture)",
                       (double)size / 1e6, (double)pool->used / 1e6, (double)pool->budget / 1e6);
    header *h = NULL;
    for (int attempt = 0; attempt < 2 && !h; attempt++) {
        if (attempt) trim(cx, 0);
        h = is_mapped(size) ? map(size) : aligned_alloc(64, size + sizeof(header));
    }
    if (!h) return at_fail(cx, AT_ERROR_MEMORY, "out of memory: %.1f MB", (double)size / 1e6);
    h->size = size;
    return h;
}

void *at_scratch(at_context *cx, size_t size)
{
    if (!at_ok(cx)) return NULL;
    if (size > (size_t)1 << 48 || at_allocation_fails(cx))
        return at_fail(cx, AT_ERROR_MEMORY, "out of memory: %.1f MB", (double)size / 1e6);
    struct at_pool *pool = cx->pool;
    header *h = from_cache(pool, rounded(size));
    if (!h) h = from_system(cx, rounded(size));
    if (!h) return NULL;
    pool->used += h->size;
    pool->peak = AT_MAX(pool->peak, pool->used);
    return h + 1;
}

void at_scratch_free(at_context *cx, void *scratch)
{
    if (!scratch) return;
    struct at_pool *pool = cx->pool;
    header *h = (header *)scratch - 1;
    pool->used -= h->size;
    pool->cached += h->size;
    h->next = pool->free_blocks;
    pool->free_blocks = h;
}
