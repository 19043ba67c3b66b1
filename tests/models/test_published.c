/* The published configurations build, and have as many parameters as the reference classes. */
#include "models/module.h"
#include "parity.h"

static const struct {
    const char *part, *class_name;
    int64_t parameters;
} PUBLISHED[] = {
    {"FLUX.1-dev/transformer", NULL, 11901408320},
    {"FLUX.1-schnell/transformer", NULL, 11891178560},
    {"stable-diffusion-v1-5/unet", NULL, 859520964},
    {"stable-diffusion-v1-5/vae", NULL, 83653863},
    {"stable-diffusion-v1-5/text_encoder", "CLIPTextModel", 123060480},
    {"stable-diffusion-inpainting/unet", NULL, 859535364},
    {"stable-diffusion-2-1/unet", NULL, 865910724},
    {"stable-diffusion-2-1/vae", NULL, 83653863},
    {"stable-diffusion-2-1/text_encoder", "CLIPTextModel", 340387840},
    {"stable-diffusion-xl-base-1.0/unet", NULL, 2567463684},
    {"stable-diffusion-xl-base-1.0/vae", NULL, 83653863},
    {"stable-diffusion-xl-base-1.0/text_encoder", "CLIPTextModel", 123060480},
    {"stable-diffusion-xl-base-1.0/text_encoder_2", "CLIPTextModelWithProjection", 694659840},
    {"stable-diffusion-xl-refiner-1.0/unet", NULL, 2259526660},
    {"HunyuanDiT-v1.1-Diffusers/transformer", NULL, 1516534048},
    {"HunyuanDiT-v1.1-Diffusers/text_encoder", "BertModel", 352035840},
    {"HunyuanDiT-v1.1-Diffusers/text_encoder_2", "T5EncoderModel", 1669958656},
    {"HunyuanDiT-v1.1-Diffusers/vae", NULL, 83653863},
    {"HunyuanDiT-v1.2-Diffusers/transformer", NULL, 1499952032},
    {"HunyuanDiT-v1.2-Diffusers/text_encoder", "BertModel", 352035840},
    {"HunyuanDiT-v1.2-Diffusers/text_encoder_2", "T5EncoderModel", 1669958656},
    {"HunyuanDiT-v1.2-Diffusers/vae", NULL, 83653863},
    {"HunyuanDiT-v1.2-Diffusers-Distilled/transformer", NULL, 1499952032},
    {"Lumina-Image-2.0/transformer", NULL, 2609769152},
    {"Lumina-Image-2.0/text_encoder", "Gemma2Model", 2614341888},
    {"Lumina-Image-2.0/vae", NULL, 83819683},
    {"stable-diffusion-3-medium-diffusers/transformer", NULL, 2084951104},
    {"stable-diffusion-3-medium-diffusers/vae", NULL, 83819683},
    {"stable-diffusion-3-medium-diffusers/text_encoder", "CLIPTextModelWithProjection", 123650304},
    {"stable-diffusion-3-medium-diffusers/text_encoder_2", "CLIPTextModelWithProjection",
     694659840},
    {"stable-diffusion-3-medium-diffusers/text_encoder_3", "T5EncoderModel", 4762310656},
    {"stable-diffusion-3.5-medium/transformer", NULL, 2469663936},
    {"stable-diffusion-3.5-large/transformer", NULL, 8146280768},
    {"stable-diffusion-3.5-large-turbo/transformer", NULL, 8146280768},
    {"AuraFlow/transformer", NULL, 6833439744},
    {"AuraFlow/vae", NULL, 83653863},
    {"AuraFlow/text_encoder", "UMT5EncoderModel", 1223550976},
    {"AuraFlow-v0.3/transformer", NULL, 6858605568},
};

static void test_parameters(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof PUBLISHED / sizeof *PUBLISHED; i++) {
        char path[512];
        at_context *cx = f32_context();
        snprintf(path, sizeof path, "%s/tests/configs/%s/config.json", AT_SOURCE,
                 PUBLISHED[i].part);
        at_config *config = at_config_read(cx, path);
        at_module *module = at_module_make(cx, config, PUBLISHED[i].class_name, AT_DTYPES, 0);
        assert_fine(cx);
        if (at_module_parameters(module) != PUBLISHED[i].parameters)
            fail_msg("%s: %lld parameters", PUBLISHED[i].part,
                     (long long)at_module_parameters(module));
        at_module_free(module);
        at_config_free(config);
        at_context_free(cx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parameters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
