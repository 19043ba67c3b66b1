#include "cli/preview.h"
#include <unistd.h>

void cli_preview_save(void *user, int step, int steps, int first, int count,
                      at_image *const *images)
{
    const cli_preview *p = user;
    (void)step;
    (void)steps;
    for (int i = 0; i < count && first + i < p->count; i++)
        at_image_save(images[i], p->names[first + i]);
}

void cli_preview_remove(const cli_preview *p)
{
    for (int i = 0; p->names && i < p->count; i++)
        if (p->names[i]) unlink(p->names[i]);
}
