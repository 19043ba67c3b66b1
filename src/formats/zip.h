/* ZIP archives as PyTorch writes them (and as people pack them again): the directory is read and
   checked as a whole, stored members stay where they are in the file, deflated ones are unpacked
   into memory when they are asked for. */
#ifndef AT_ZIP_H
#define AT_ZIP_H

#include "base/file.h"

typedef struct at_zip_member {
    char *name;
    size_t offset; /* of its data in the file */
    size_t packed, size;
    uint32_t crc;
    bool deflated;
    at_mapping *unpacked; /* of a deflated one, once asked for */
} at_zip_member;

typedef struct at_zip {
    at_mapping *file;
    at_zip_member *members;
    int64_t count;
    struct at_map *names; /* of members, by their place */
} at_zip;

/* Refused: encrypted, split and truncated archives, methods but store and deflate, absolute names
   and those with "..", names that come twice or differ between directory and member, members that
   share bytes, and archives that unpack to more than a hundred times their size. */
at_zip *at_zip_open(at_context *cx, const char *path);
void at_zip_free(at_zip *zip); /* NULL is fine */

at_zip_member *at_zip_find(const at_zip *zip, const char *name);

/* Where the member's bytes lie: in the archive's own mapping or in that of the unpacked bytes, both
   the zip's. NULL and the error when they are damaged. */
at_mapping *at_zip_data(at_context *cx, at_zip *zip, at_zip_member *member, size_t *offset);

#endif
