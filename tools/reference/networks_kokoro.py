"""tests/fixtures/networks/kokoro_*: KModel of the kokoro package, small. Its Decoder has three widths in its code, and one in KModel, which the fixtures make smaller; the file is as hexgrad publishes it (a dictionary a part, DataParallel's prefix, weight norm),
or folded in f16. Random numbers come from torch's generator, seeded right before forward_with_tokens."""

import importlib
import inspect
import json
import sys
import textwrap
import types
from importlib.util import find_spec

import torch

from common import check_alive, fresh_folder, generator, randn, report, save_tensors, write_json

package = types.ModuleType("kokoro")  # its __init__ wants spaCy
package.__path__ = list(find_spec("kokoro").submodule_search_locations)
sys.modules["kokoro"] = package
istftnet = importlib.import_module("kokoro.istftnet")
model = importlib.import_module("kokoro.model")

VOCABULARY = {symbol: index + 1 for index, symbol in enumerate("aeiou ,.mnpst")}
CASES = {
    "kokoro_tiny": dict(
        hidden_dim=12, style_dim=6, n_token=20, n_layer=2, max_dur=5, text_encoder_kernel_size=5, n_mels=8, dropout=0.2,
        dim_in=4, max_conv_dim=12, multispeaker=True, vocab=VOCABULARY,
        plbert=dict(hidden_size=16, num_attention_heads=2, intermediate_size=24, num_hidden_layers=4,
                    num_hidden_groups=2, embedding_size=8, max_position_embeddings=24, dropout=0.1),
        istftnet=dict(upsample_rates=[4, 3], upsample_kernel_sizes=[8, 5], upsample_initial_channel=16,
                      gen_istft_n_fft=12, gen_istft_hop_size=3, resblock_kernel_sizes=[7],
                      resblock_dilation_sizes=[[1, 2, 4]])),
    "kokoro_three_stages_f16": dict(
        hidden_dim=10, style_dim=8, n_token=20, n_layer=3, max_dur=7, text_encoder_kernel_size=3, n_mels=8, dropout=0.2,
        dim_in=4, max_conv_dim=12, multispeaker=True, vocab=VOCABULARY,
        plbert=dict(hidden_size=12, num_attention_heads=3, intermediate_size=20, num_hidden_layers=3, embedding_size=6,
                    max_position_embeddings=32, dropout=0.1),
        istftnet=dict(upsample_rates=[2, 3, 2], upsample_kernel_sizes=[4, 9, 2], upsample_initial_channel=16,
                      gen_istft_n_fft=20, gen_istft_hop_size=5, resblock_kernel_sizes=[3, 5],
                      resblock_dilation_sizes=[[1, 3, 5], [2, 1, 3]])),
}
FORWARD = inspect.getsource(model.KModel.forward_with_tokens)
CHANNELS, BESIDE = 14, 4  # for 1024 and 64


def build(config):
    source = inspect.getsource(istftnet.Decoder)
    source = source.replace("nn.Conv1d(512, 64,", f"nn.Conv1d({config['hidden_dim']}, {BESIDE},")
    source = source.replace("1024", str(CHANNELS)).replace("+ 64", f"+ {BESIDE}")
    source = source.replace("512, style_dim", f"{config['istftnet']['upsample_initial_channel']}, style_dim")
    space = dict(vars(istftnet))
    exec(source, space)
    model.Decoder = space["Decoder"]
    exec(textwrap.dedent(FORWARD.replace("128", str(config["style_dim"]))), vars(model))
    model.KModel.forward_with_tokens = model.forward_with_tokens
    load, torch.load = torch.load, lambda *_, **__: {}
    made = model.KModel(repo_id="none", config=config, model="none").eval()
    torch.load = load
    return made


def transform(self, sound):
    """TorchSTFT.transform. A frame that mirrors itself, the first, has angles of 0 and half a turn; on which side of
    half a turn is a matter of rounding, here always the same."""
    spectrum = torch.stft(sound, self.filter_length, self.hop_length, self.win_length, window=self.window,
                          return_complex=True)
    imaginary = torch.where(spectrum.imag.abs() <= 1e-6 * spectrum.real.abs(), 0.0, spectrum.imag)
    return spectrum.abs(), torch.atan2(imaginary, spectrum.real)


istftnet.TorchSTFT.transform = transform


def redraw(kokoro, seed, dtype):
    g = generator(seed)
    for name, p in sorted(kokoro.named_parameters()):
        z, leaf = torch.randn(p.shape, generator=g), name.rsplit(".", 1)[-1]
        if "bias" in leaf or leaf == "beta":
            value = 0.2 * z
        elif leaf in ("weight_g", "gamma") or "alpha" in name or p.ndim == 1:
            value = 1 + 0.3 * z.clamp(-2.5, 2.5)
        elif "embedding" in name and "mapping" not in name:
            value = z
        else:
            value = z / p[0].numel() ** 0.5
        p.copy_(value.to(dtype).float())
    kokoro.predictor.F0_proj.weight.mul_(64)  # hertz, on both sides of the threshold of a voice
    kokoro.predictor.F0_proj.bias.add_(20)
    kokoro.decoder.F0_conv.weight_g.mul_(1 / 64)
    kokoro.decoder.generator.m_source.l_linear.weight.mul_(8)
    kokoro.decoder.generator.conv_post.weight_g.mul_(0.25)


def fold(kokoro):
    for module in kokoro.modules():
        if hasattr(module, "weight_v"):
            torch.nn.utils.remove_weight_norm(module)


def watch(kokoro):
    """What the modules give on the way, by the names of the fixture, filled in by each call."""
    kept = {}

    def keep(key, part=None):
        return lambda _m, _i, out: kept.__setitem__(key, (out if part is None else out[part]).detach().clone())

    kokoro.bert.register_forward_hook(keep("inner.bert"))
    kokoro.predictor.text_encoder.register_forward_hook(keep("inner.durations_encoded"))
    kokoro.text_encoder.register_forward_hook(keep("inner.text_encoded"))
    kokoro.predictor.duration_proj.register_forward_hook(keep("durations"))
    kokoro.predictor.F0_proj.register_forward_hook(keep("output.pitch"))
    kokoro.predictor.N_proj.register_forward_hook(keep("output.loudness"))
    kokoro.decoder.register_forward_pre_hook(lambda _m, i: kept.__setitem__("output.asr", i[0].clone()))
    kokoro.decoder.decode[3].register_forward_hook(keep("inner.decoded"))
    kokoro.decoder.generator.m_source.register_forward_hook(keep("inner.source", 0))
    return kept


def make(index, name, config):
    f16 = "f16" in name
    kokoro = build(config)
    redraw(kokoro, 900 + index, torch.float16 if f16 else torch.float32)
    if f16:
        fold(kokoro)
        for p in kokoro.parameters():
            p.copy_(p.half().float())
    ids = torch.randint(1, config["n_token"], (1, 9 + index), generator=generator(910 + index))
    ids[0, 0] = ids[0, -1] = 0
    style = randn(920 + index, 1, 2 * config["style_dim"])
    kept, speed = watch(kokoro), 0.8 + 0.5 * index

    def run():
        torch.manual_seed(930 + index)
        audio, durations = kokoro.forward_with_tokens(ids, style, speed)
        kept["output.predicted"] = torch.sigmoid(kept.pop("durations")).sum(-1).squeeze(0)
        return [audio, durations.float(), kept["output.predicted"], kept["output.pitch"], kept["output.loudness"]]

    least, where = check_alive(kokoro, run, allow=("pooler",))
    audio, durations = run()[:2]
    folder = fresh_folder("networks", name)
    save_tensors(folder / "io.safetensors",
                 {"input.ids": ids.int(), "input.style": style, "output.audio": audio, "output.durations": durations.int(),
                  **kept}, {"seed": 930 + index, "speed": speed})
    state = {}
    for key, value in kokoro.state_dict().items():
        part, rest = key.split(".", 1)
        state.setdefault(part, {})["module." + rest] = value
    if f16:
        from safetensors.torch import save_file
        save_file({f"{p}.{k[7:]}": v.half() if v.is_floating_point() else v for p, d in state.items()
                   for k, v in d.items()}, folder / "model.safetensors")
    else:
        torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)  # the smaller form
    config = json.loads(json.dumps(config))
    config["istftnet"].update(decoder_channels=CHANNELS, asr_res_channels=BESIDE)
    write_json(folder / "config.json", {"_class_name": "KModel", **config})
    voiced = (kept["output.pitch"] > 10).float().mean()
    report(folder, f"{int(durations.sum())} frames, voiced {voiced:.2f}, std {audio.std():.3f}, least {least:.3f} {where}")


def main():
    for index, (name, config) in enumerate(CASES.items()):
        make(index, name, config)


if __name__ == "__main__":
    main()
