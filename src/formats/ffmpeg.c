#ifdef AT_HAVE_FFMPEG
#include "formats/ffmpeg.h"
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#if defined(__APPLE__)
#define FILE_OF(name, major) "lib" #name "." AV_STRINGIFY(major) ".dylib"
#else
#define FILE_OF(name, major) "lib" #name ".so." AV_STRINGIFY(major)
#endif

static at_ffmpeg functions;
static char missing[256]; /* empty where nothing is */

static void *kept(void *found)
{
    const char *error = found || *missing ? NULL : dlerror();
    if (!found && !*missing)
        strncpy(missing, error ? error : "no reason is told", sizeof missing - 1);
    return found;
}

static void *open_library(const char *file)
{
    return kept(dlopen(file, RTLD_NOW | RTLD_LOCAL));
}

static void load(void)
{
    void *avutil = open_library(FILE_OF(avutil, LIBAVUTIL_VERSION_MAJOR));
    void *avcodec = open_library(FILE_OF(avcodec, LIBAVCODEC_VERSION_MAJOR));
    void *avformat = open_library(FILE_OF(avformat, LIBAVFORMAT_VERSION_MAJOR));
    void *swresample = open_library(FILE_OF(swresample, LIBSWRESAMPLE_VERSION_MAJOR));
    if (*missing) return;
#define FIND(library, function)                            \
    void *of_##function = kept(dlsym(library, #function)); \
    memcpy(&functions.function, &of_##function, sizeof(void *));
    AT_FFMPEG_FUNCTIONS(FIND)
    if (!*missing) functions.av_log_set_level(AV_LOG_QUIET);
}

const at_ffmpeg *at_ffmpeg_load(at_context *cx)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (!*missing) return &functions;
    return at_fail(cx, AT_ERROR_UNSUPPORTED, "FFmpeg cannot be loaded (%s)", missing);
}
#endif
