"""Times the slices of `atelier bench models` in atelier, torch and OpenVINO, in turns in one run, with their memory.

Every engine runs in processes of its own: atelier one a round, which makes its weights anew; the others one for all
rounds, which take their turn when they are told. Peak memory is that of the process (VmHWM). OpenVINO reads its models
from bench/peers/.models, where they are converted once.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

MODELS = ["flux_slice_2_4_1536", "sd35_medium_slice_4_1357", "sd35_large_slice_4_1357", "hunyuan_dit_slice_4_1024",
          "auraflow_slice_1_3_1280", "lumina2_slice_4_1152", "sd15_unet_512_b2", "sdxl_unet_1024_b1", "sd15_vae_decode_512", "flux_vae_decode_512"]
CACHE = pathlib.Path(__file__).with_name(".models")
LEVELS = {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
          "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
PASSES = 3  # of a turn


def reference(name):
    """The model of Diffusers with random weights, and its inputs."""
    import diffusers
    import torch

    def value(*shape):
        return torch.randn(*shape)

    if name == "flux_slice_2_4_1536":
        grid = torch.stack(torch.meshgrid(torch.arange(1.0), torch.arange(32.0), torch.arange(32.0), indexing="ij"), -1)
        return diffusers.FluxTransformer2DModel(num_layers=2, num_single_layers=4, guidance_embeds=True), {
            "hidden_states": value(1, 1024, 64), "encoder_hidden_states": value(1, 512, 4096),
            "pooled_projections": value(1, 768), "timestep": torch.full([1], 0.5), "guidance": torch.full([1], 3.5),
            "img_ids": grid.reshape(1024, 3), "txt_ids": torch.zeros(512, 3)}
    if name.startswith("sd35"):
        heads, dual = (24, (0, 1)) if "medium" in name else (38, ())
        return diffusers.SD3Transformer2DModel(
            num_layers=4, num_attention_heads=heads, caption_projection_dim=64 * heads, pos_embed_max_size=64,
            qk_norm="rms_norm", dual_attention_layers=dual), {
            "hidden_states": value(1, 16, 64, 64), "encoder_hidden_states": value(1, 333, 4096),
            "pooled_projections": value(1, 2048), "timestep": torch.full([1], 500.0)}
    if name == "hunyuan_dit_slice_4_1024":
        return diffusers.HunyuanDiT2DModel(
            in_channels=4, patch_size=2, hidden_size=1408, num_layers=4, mlp_ratio=4.3637, sample_size=64,
            use_style_cond_and_image_meta_size=False), {
            "hidden_states": value(1, 4, 64, 64), "timestep": torch.full([1], 500.0),
            "encoder_hidden_states": value(1, 77, 1024), "text_embedding_mask": torch.ones(1, 77),
            "encoder_hidden_states_t5": value(1, 256, 2048), "text_embedding_mask_t5": torch.ones(1, 256),
            "cos": value(1024, 88), "sin": value(1024, 88)}
    if name == "auraflow_slice_1_3_1280":
        return diffusers.AuraFlowTransformer2DModel(num_mmdit_layers=1, num_single_dit_layers=3), {
            "hidden_states": value(1, 4, 64, 64), "encoder_hidden_states": value(1, 256, 2048),
            "timestep": torch.full([1], 0.5)}
    if name == "lumina2_slice_4_1152":
        return diffusers.Lumina2Transformer2DModel(num_layers=4, num_refiner_layers=0, cap_feat_dim=2304), {
            "hidden_states": value(1, 16, 64, 64), "timestep": torch.full([1], 0.5),
            "encoder_hidden_states": value(1, 128, 2304)}
    if name == "sd15_unet_512_b2":
        return diffusers.UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8), {
            "sample": value(2, 4, 64, 64), "timestep": torch.full([2], 500.0), "encoder_hidden_states": value(2, 77, 768)}
    if name == "sdxl_unet_1024_b1":
        return diffusers.UNet2DConditionModel(
            block_out_channels=[320, 640, 1280], cross_attention_dim=2048, attention_head_dim=[5, 10, 20],
            down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            transformer_layers_per_block=[1, 2, 10], use_linear_projection=True, addition_embed_type="text_time",
            addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816), {
            "sample": value(1, 4, 128, 128), "timestep": torch.full([1], 500.0),
            "encoder_hidden_states": value(1, 77, 2048), "text_embeds": value(1, 1280),
            "time_ids": torch.tensor([[1024.0, 1024, 0, 0, 1024, 1024]])}
    channels = 16 if name.startswith("flux") else 4
    vae = diffusers.AutoencoderKL(latent_channels=channels, use_quant_conv=channels == 4,
                                  use_post_quant_conv=channels == 4, **LEVELS)
    return vae, {"z": value(1, channels, 64, 64)}


def network(name):
    """A module whose forward takes the inputs in their order and gives one tensor."""
    import torch
    model, inputs = reference(name)
    names = list(inputs)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *values):
            given = dict(zip(names, values))
            if "z" in given:
                return self.model.decode(given["z"], return_dict=False)[0]
            more = {k: given.pop(k) for k in ("text_embeds", "time_ids") if k in given}
            if more:
                given["added_cond_kwargs"] = more
            if "cos" in given:
                given["image_rotary_emb"] = given.pop("cos"), given.pop("sin")
            if "lumina" in name:
                given["encoder_attention_mask"] = torch.ones(1, 128, dtype=torch.bool)
            return self.model(**given, return_dict=False)[0]

    return Network().eval(), list(inputs.values())


def torch_run(name, precision, threads):
    import torch
    torch.set_num_threads(threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
    torch.set_default_dtype(dtype)
    model, inputs = network(name)
    if "flux_slice" not in name:
        model = model.to(memory_format=torch.channels_last)

    def run():
        with torch.inference_mode():
            model(*[x.to(dtype) for x in inputs])
    return run


def convert(name):
    """The model as OpenVINO keeps it, in f16."""
    import openvino
    import torch
    CACHE.mkdir(exist_ok=True)
    model, inputs = network(name)
    with torch.no_grad():
        if "lumina" in name:  # counts tokens, which only a run can fix
            program = torch.jit.trace(model, inputs)
        else:
            program = torch.export.export(model, tuple(inputs), strict=False)
    openvino.save_model(openvino.convert_model(program), CACHE / f"{name}.xml")


def openvino_run(name, precision, threads):
    import numpy
    import openvino
    model = openvino.Core().read_model(CACHE / f"{name}.xml")
    shapes = json.loads((CACHE / f"{name}.json").read_text())
    model.reshape(dict(enumerate(shapes)))
    request = openvino.Core().compile_model(model, "CPU", {
        "INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads}).create_infer_request()
    del model
    for i, shape in enumerate(shapes):
        request.set_input_tensor(i, openvino.Tensor(numpy.random.rand(*shape).astype(numpy.float32)))
    return request.infer


def peak_of_this():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))


def serve(engine, name, precision, threads):
    """For each line on standard input: some passes, and a line with the median of their seconds and the peak."""
    run = {"torch": torch_run, "openvino": openvino_run}[engine](name, precision, threads)
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        seconds = []
        for _ in range(PASSES):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        print(json.dumps([statistics.median(seconds), peak_of_this()]), flush=True)


class Peer:
    def __init__(self, engine, name, precision, threads):
        command = [sys.executable, __file__, "--serve", engine, "--model", name, "--precision", precision]
        self.process = subprocess.Popen([*command, "--threads", str(threads)], text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"{engine}: {name} does not run")

    def turn(self):
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def atelier_turn(options):
    """As Peer.turn; the peak is its own process's."""
    command = [options.atelier, "bench", "models", "--json", "--quiet", "--precision", options.precision,
               "--threads", str(options.threads), "--only", options.model]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    report = json.load(process.stdout)
    _, status, usage = os.wait4(process.pid, 0)
    row = report["models"][0]
    if status or row["precision"] != options.precision:
        raise SystemExit(f"atelier: {options.model} does not run in {options.precision}")
    return row["seconds"], usage.ru_maxrss * 1024


def compare(options):
    peers = {engine: Peer(engine, options.model, options.precision, options.threads) for engine in options.peers}
    if options.wait:
        input("ready; press enter\n")
    rows = {}
    for _ in range(options.rounds):
        rows.setdefault("atelier", []).append(atelier_turn(options))
        for engine, peer in peers.items():
            rows.setdefault(engine, []).append(peer.turn())
    for peer in peers.values():
        peer.close()
    return {engine: (min(s for s, _ in turns), max(b for _, b in turns))  # other work on the machine only adds
            for engine, turns in rows.items()}


def prepare(name):
    """Converted in a process of its own, so that its memory is not anyone's."""
    if (CACHE / f"{name}.json").exists():
        return
    subprocess.run([sys.executable, __file__, "--convert", "--model", name], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atelier")
    parser.add_argument("--model", choices=MODELS, help="left out: all of them")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="bf16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--peers", nargs="+", choices=["torch", "openvino"], default=["torch", "openvino"])
    parser.add_argument("--wait", action="store_true", help="for a line on standard input, once all is loaded")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--convert", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve, options.model, options.precision, options.threads)
    if options.convert:
        convert(options.model)
        (CACHE / f"{options.model}.json").write_text(json.dumps([list(x.shape) for x in reference(options.model)[1].values()]))
        return None
    print("| model | precision | atelier s | MB |" + "".join(f" {p} s | MB | {p} / atelier |" for p in options.peers))
    print("|---|---|---|---|" + "---|---|---|" * len(options.peers), flush=True)
    for options.model in [options.model] if options.model else MODELS:
        if "openvino" in options.peers:
            prepare(options.model)
        rows = compare(options)
        ours, bytes_used = rows["atelier"]
        cells = "".join(f" {rows[p][0]:.2f} | {rows[p][1] / 1e6:.0f} | {rows[p][0] / ours:.2f} |" for p in options.peers)
        print(f"| {options.model} | {options.precision} | {ours:.2f} | {bytes_used / 1e6:.0f} |{cells}", flush=True)


if __name__ == "__main__":
    main()
