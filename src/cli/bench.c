/* atelier bench: the machine's peaks with the kernels beside them, or slices of models, as a table
 * or as JSON. */
#include "cli/bench.h"
#include "cli/session.h"
#include "cli/verbs.h"
#include <fnmatch.h>
#include <string.h>

bool at_bench_wanted(const char *name, const char *only)
{
    return !only || strstr(name, only) || fnmatch(only, name, 0) == 0;
}

static double number(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static const char *text(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsString(item) ? item->valuestring : "";
}

/* 0: this table has no arithmetic of that type. */
static void print_peak(const char *type, double rate)
{
    if (rate > 0)
        printf("%s %.0f, ", type, rate);
    else
        printf("%s none, ", type);
}

static void print_kernels(const cJSON *report)
{
    const cJSON *peaks = cJSON_GetObjectItemCaseSensitive(report, "peaks"), *k;
    printf("%s, %s, %.0f threads\npeaks in 1e9 operations a second: ", text(report, "cpu"),
           text(report, "table"), number(report, "threads"));
    print_peak("f32", number(peaks, "f32_gflops"));
    print_peak("bf16", number(peaks, "bf16_gflops"));
    print_peak("int8", number(peaks, "int8_gops"));
    printf("memory reads %.1f GB/s, copies %.1f GB/s\n\n", number(peaks, "read_gb_s"),
           number(peaks, "copy_gb_s"));
    printf("%-42s %-9s %13s %9s %10s\n", "kernel", "precision", "rate", "of peak", "ms");
    cJSON_ArrayForEach(k, cJSON_GetObjectItemCaseSensitive(report, "kernels"))
    {
        bool memory = cJSON_HasObjectItem(k, "gb_s");
        printf("%-42s %-9s %7.1f %s %7.1f %% %10.3f\n", text(k, "name"), text(k, "precision"),
               number(k, memory ? "gb_s" : "gflops"), memory ? "GB/s " : "GFLOP",
               number(k, "percent_of_peak"), number(k, "milliseconds"));
    }
}

static void print_models(const cJSON *report)
{
    const cJSON *m;
    printf("%-28s %-10s %10s %10s\n", "model", "precision", "seconds", "peak MB");
    cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(report, "models"))
        printf("%-28s %-10s %10.3f %10.0f\n", text(m, "name"), text(m, "precision"),
               number(m, "seconds"), number(m, "peak_bytes") / 1e6);
}

static void print_quality(const cJSON *report)
{
    const cJSON *q;
    printf("%-10s %10s %10s  %s\n", "precision", "average dB", "worst dB", "worst picture");
    cJSON_ArrayForEach(q, cJSON_GetObjectItemCaseSensitive(report, "quality"))
        printf("%-10s %10.1f %10.1f  %s\n", text(q, "precision"), number(q, "average_db"),
               number(q, "worst_db"), text(q, "worst"));
}

static const struct {
    const char *name;
    void (*measure)(at_context *cx, const char *only, cJSON *report);
    void (*print)(const cJSON *report);
} kinds[] = {{"kernels", at_bench_kernels, print_kernels},
             {"models", at_bench_models, print_models},
             {"quality", at_bench_quality, print_quality}};

static int run(const cli_arguments *arguments)
{
    cli_session s;
    const char *const *operands;
    int count = cli_operands(arguments, &operands);
    const char *what = count ? operands[0] : "kernels";
    size_t kind = 0;
    while (kind < AT_COUNT(kinds) && strcmp(what, kinds[kind].name) != 0) kind++;
    if (kind == AT_COUNT(kinds))
        return cli_wrong("bench: '%s' is not one of kernels, models, quality", what);
    cli_session_begin(&s, arguments);
    cJSON *report = cJSON_CreateObject();
    kinds[kind].measure(s.cx, cli_text(arguments, "only", NULL), report);
    cli_progress_clear(&s.progress);
    if (s.json) {
        cli_print_json(&s, report);
    } else {
        if (at_ok(s.cx)) kinds[kind].print(report);
        cJSON_Delete(report);
    }
    return cli_session_end(&s);
}

static const cli_option options[] = {
    {"only", 0, CLI_WORD, "PATTERN", "measure only names that contain this, or match it (* and ?)",
     "all"},
    {0},
};

const cli_verb cli_bench = {
    .name = "bench",
    .operands = "[kernels|models|quality]",
    .operand_kind = CLI_FILE,
    .most = 1,
    .summary = "how fast this machine computes",
    .text = "kernels: the machine's peaks, and the kernels against them. models: slices of models "
            "at their real widths, with random weights made in memory. Medians. quality: the "
            "pictures of bf16 and int8 beside those of f32, embedded model, in dB.",
    .groups = {{"Options", options}, {"Everywhere", cli_everywhere}},
    .run = run,
};
