#include "base/base.h"
#include "base/threads.h"
#include "kernels/kernels.h"
#include "tensor/pool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct at_owned {
    void *object;
    void (*destroy)(void *object);
    struct at_owned *next;
};

at_context *at_context_new(const at_context_options *options)
{
    at_context *cx = calloc(1, sizeof *cx);
    if (!cx) return NULL;
    if (options) cx->options = *options;
    int threads = cx->options.threads > 0 ? cx->options.threads : at_physical_cores();
    cx->threads = at_possible_threads(threads);
    if (cx->threads < threads)
        at_log(cx, AT_LOG_WARNING, "threads: the system gives %d of %d", cx->threads, threads);
    if (!cx->options.memory_budget) cx->options.memory_budget = at_available_memory() / 8 * 7;
    cx->pool = at_pool_new(cx->options.memory_budget);
    if (!cx->pool) {
        free(cx);
        return NULL;
    }
    at_kernels_select(cx);
    return cx;
}

void at_context_free(at_context *cx)
{
    if (!cx) return;
    for (struct at_owned *o; (o = cx->owned);) {
        cx->owned = o->next;
        o->destroy(o->object);
        free(o);
    }
    at_pool_free(cx);
    free(cx);
}

bool at_own(at_context *cx, void *object, void (*destroy)(void *object))
{
    if (!object) return false;
    struct at_owned *o = AT_NEW(cx, struct at_owned);
    if (!o) {
        destroy(object);
        return false;
    }
    *o = (struct at_owned){object, destroy, cx->owned};
    cx->owned = o;
    return true;
}

void at_disown(at_context *cx, void *object)
{
    for (struct at_owned **p = &cx->owned; *p; p = &(*p)->next) {
        if ((*p)->object != object) continue;
        struct at_owned *gone = *p;
        *p = gone->next;
        free(gone);
        return;
    }
}

void *at_fail(at_context *cx, at_status status, const char *format, ...)
{
    if (!cx || cx->status != AT_OK) return NULL;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cx->error, sizeof cx->error, format, arguments);
    va_end(arguments);
    for (char *c = cx->error; *c; c++) /* one clear line, whatever a file had in its strings */
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    cx->status = status;
    return NULL;
}

bool at_ok(at_context *cx)
{
    if (!cx) return false;
    if (cx->status == AT_OK && atomic_load_explicit(&cx->cancelled, memory_order_relaxed))
        at_fail(cx, AT_ERROR_CANCELLED, "cancelled");
    return cx->status == AT_OK;
}

bool at_failed(const at_context *cx)
{
    return !cx || cx->status != AT_OK;
}

at_status at_error_status(const at_context *cx)
{
    return cx ? cx->status : AT_ERROR_MEMORY;
}

const char *at_error_text(const at_context *cx)
{
    return cx ? cx->error : "out of memory";
}

void at_error_clear(at_context *cx)
{
    if (!cx) return;
    cx->status = AT_OK;
    cx->error[0] = 0;
    atomic_store(&cx->cancelled, false);
}

void at_cancel(at_context *cx)
{
    if (cx) atomic_store(&cx->cancelled, true);
}

void at_log(at_context *cx, at_log_level level, const char *format, ...)
{
    if (!cx || !cx->options.log) return;
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    cx->options.log(cx->options.user, level, line);
}

void at_progress(at_context *cx, const char *stage, int done, int total)
{
    if (cx && cx->options.progress) cx->options.progress(cx->options.user, stage, done, total);
}

const char *at_version(void)
{
    return AT_VERSION;
}
