/* Textual inversions that a pipeline's prompts may name: opened once, looked for in every prompt.
 */
#ifndef AT_PIPELINE_EMBEDDINGS_H
#define AT_PIPELINE_EMBEDDINGS_H

#include "pipelines/pipeline.h"

/* From now on prompts have these files' words and no others. False and the error where one does not
   fit the model's text encoders, or two have one name. */
bool at_embeddings_use(at_pipeline *pipeline, const char *const *paths, int count);
void at_embeddings_free(at_embeddings *embeddings); /* NULL is fine */

/* ---- for who cuts prompts */

/* An embedding: `first` is the row of its vectors among all of an encoder's, of which it has
   `count`. */
typedef struct at_embedding_place {
    int64_t first, count;
} at_embedding_place;

int at_embeddings_count(const at_embeddings *embeddings); /* NULL: 0 */
at_embedding_place at_embeddings_place(const at_embeddings *embeddings, int i);

/* How embedding i is called: by its file, and by the word in it; NULL: by none. A word that the
   tokenizer has, or that several files have, is none. */
const char *at_embeddings_name(const at_embeddings *embeddings, int i);
const char *at_embeddings_token(const at_embeddings *embeddings, int i,
                                const at_tokenizer *tokenizer);

/* The embedding that text begins with, by one of its names in small and capital letters alike, the
   longest; *size: of the name. -1: none. before: the character before, 0 at the start. Names do not
   count inside of words; neither do tokens where `whole`, else they do, as Diffusers adds them to a
   tokenizer. */
int at_embeddings_at(const at_embeddings *embeddings, const at_tokenizer *tokenizer,
                     const char *text, char before, bool whole, size_t *size);
/* By its file's name alone, to the letter; -1: none. */
int at_embeddings_find(const at_embeddings *embeddings, const char *name, size_t size);

/* The vectors [K,D] of all, for the encoder beside a tokenizer ("tokenizer_2"). */
at_tensor *at_embeddings_vectors(at_pipeline *pipeline, const char *tokenizer);

/* Keeps in mind that a prompt has embedding i, and whether one had since at_embeddings_use. */
void at_embeddings_mark(at_embeddings *embeddings, int i);
bool at_embeddings_used(const at_embeddings *embeddings, int i);

#endif
