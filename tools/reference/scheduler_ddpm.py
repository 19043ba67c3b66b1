"""tests/fixtures/schedulers/ddpm.json: DDPMScheduler of Diffusers.

The form of flow_match_euler.json, without sigmas: the class has none.
"""

import torch
from diffusers import DDPMScheduler

from common import FIXTURES, generator, report, write_json
from scheduler_flow_match_euler import exact

HUNYUAN = {"beta_start": 0.00085, "beta_end": 0.018, "beta_schedule": "scaled_linear", "clip_sample": False,
           "prediction_type": "v_prediction", "steps_offset": 1}
cases = []


def walk(scheduler, seed, count):
    g, noise = generator(seed), generator(seed + 1)
    sample = torch.randn(1, count, generator=g)
    out = {"sample": exact(sample), "noise_seed": seed + 1, "model_output": [], "after": []}
    for t in scheduler.timesteps:
        model_output = torch.randn(1, count, generator=g)
        sample = scheduler.step(model_output, t, sample, generator=noise).prev_sample
        out["model_output"].append(exact(model_output))
        out["after"].append(exact(sample))
    return out


def case(name, config, steps=None, walked=0, **arguments):
    entry = {"name": name, "config": config, "set_timesteps": {
        **({"num_inference_steps": steps} if steps is not None else {}), **arguments}}
    try:
        scheduler = DDPMScheduler(**config)
        scheduler.set_timesteps(steps, **arguments)
        entry["timesteps"] = exact(scheduler.timesteps)
        if config.get("rescale_betas_zero_snr"):
            entry["bar"] = 5e-5  # MKL's square roots are off by a bit, and two close numbers are subtracted
        if walked:
            entry["steps"] = walk(scheduler, 900 + len(cases), walked)
    except Exception as error:  # whatever the reference raises is what is recorded
        entry["error"] = f"{type(error).__name__}: {error}"
    cases.append(entry)


def main():
    for n in (1, 2, 3, 7, 20, 50, 999, 1000):
        for spacing in ("leading", "linspace", "trailing"):
            case(f"{spacing}.{n}", {"timestep_spacing": spacing}, n, walked=3 if n in (3, 7) else 0)
    for n in (1, 4, 25):
        case(f"hunyuan_1_2.{n}", HUNYUAN, n, walked=5 if n < 5 else 0)
        case(f"hunyuan_1_1.{n}", {**HUNYUAN, "beta_end": 0.03}, n, walked=20 if n < 5 else 0)
    for prediction in ("epsilon", "sample", "v_prediction"):
        for variance in ("fixed_small", "fixed_small_log", "fixed_large"):
            case(f"{prediction}.{variance}", {"prediction_type": prediction, "variance_type": variance}, 4, walked=4)
    for schedule in ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"):
        for zero in (False, True):
            case(f"{schedule}.{zero}", {"beta_schedule": schedule, "beta_start": 0.001, "rescale_betas_zero_snr": zero,
                                        "clip_sample_range": 2.0, "prediction_type": "v_prediction"}, 5, walked=3)
    case("trained_betas", {"trained_betas": [0.01, 0.02, 0.05, 0.1, 0.3], "num_train_timesteps": 5}, 3, walked=2)
    case("trained_500", {"num_train_timesteps": 500}, 6, walked=3)
    case("timesteps.given", {}, timesteps=[900, 500, 30, 0], walked=3)
    case("refused.rising", {}, timesteps=[500, 900])
    case("refused.outside", {}, timesteps=[1000, 900])
    case("refused.too_many", {}, 1001)
    for entry in cases:
        assert ("error" in entry) == entry["name"].startswith("refused"), entry
    path = FIXTURES / "schedulers" / "ddpm.json"
    write_json(path, cases)
    report(path.parent, f"{len(cases)} cases")


if __name__ == "__main__":
    main()
