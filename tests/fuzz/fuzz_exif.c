#include "formats/image.h"
#include "fuzz.h"
#include <string.h>

/* What was read can be written, and says the same when it is read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    at_context *cx = at_context_new(NULL);
    at_image *image = at_image_new(cx, 3, 2, 1, 8);
    if (!at_exif_read(image, data, size)) abort();
    at_text exif = {0};
    at_exif_write(image, &exif);
    at_image *again = at_image_new(cx, 3, 2, 1, 8);
    if (!at_exif_read(again, (const uint8_t *)exif.data, exif.size)) abort();
    const char *text = at_image_text(image, "parameters");
    bool mark = text && (strncmp(text, "\ufeff", 3) == 0 || strncmp(text, "\xef\xbf\xbe", 3) == 0);
    if (!mark && !text != !at_image_text(again, "parameters")) abort(); /* marks are no text */
    at_text_free(&exif);
    fuzz_end(cx);
    return 0;
}
