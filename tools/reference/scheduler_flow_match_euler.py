"""tests/fixtures/schedulers/flow_match_euler.json: FlowMatchEulerDiscreteScheduler of Diffusers.

[{"name", "config", "set_timesteps": its arguments, then "timesteps", "sigmas" (f32, printed so that they read back
exactly) and, for some, "steps": the sample before, what the model says each time, the sample after each step], or
"error": the reference's message where it refuses.
"""

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from common import FIXTURES, generator, report, write_json

cases = []


def exact(tensor):
    """The shortest decimals that give the same f32."""
    values = tensor.detach().to(torch.float32).numpy().ravel()
    out = [float(str(x)) for x in values]
    assert np.array_equal(np.array(out).astype(np.float32), values)
    return out


def walk(scheduler, seed, count):
    g, noise = generator(seed), generator(seed + 1)
    sample = torch.randn(count, generator=g)
    out = {"sample": exact(sample), "noise_seed": seed + 1, "model_output": [], "after": []}
    scheduler.set_begin_index(0)
    for t in scheduler.timesteps:
        model_output = torch.randn(count, generator=g)
        sample = scheduler.step(model_output, t, sample, generator=noise).prev_sample
        out["model_output"].append(exact(model_output))
        out["after"].append(exact(sample))
    if not scheduler.config.stochastic_sampling:
        del out["noise_seed"]
    return out


def case(name, config, steps=None, walked=0, **arguments):
    entry = {"name": name, "config": config, "set_timesteps": {
        **({"num_inference_steps": steps} if steps is not None else {}), **arguments}}
    try:
        scheduler = FlowMatchEulerDiscreteScheduler(**config)
        scheduler.set_timesteps(steps, **arguments)
        if not torch.isfinite(scheduler.sigmas).all():
            entry["not_finite"] = True
        else:
            entry["timesteps"], entry["sigmas"] = exact(scheduler.timesteps), exact(scheduler.sigmas)
            if walked:
                entry["steps"] = walk(scheduler, 600 + len(cases), walked)
    except Exception as error:  # whatever the reference raises is what is recorded
        entry["error"] = f"{type(error).__name__}: {error}"
    cases.append(entry)


def linspace(n):
    """What FluxPipeline passes."""
    return np.linspace(1.0, 1 / n, n).tolist()


def main():
    counts = [1, 2, 3, 4, 5, 6, 7, 8, 20, 50]
    dev = {"shift": 3.0, "use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15,
           "base_image_seq_len": 256, "max_image_seq_len": 4096}
    for n in counts:
        case(f"default.{n}", {}, n)
        case(f"shift3.{n}", {"shift": 3.0}, n)
        case(f"schnell.{n}", {"shift": 1.0}, sigmas=linspace(n))
        case(f"emoji.{n}", {"shift": 3.0}, sigmas=linspace(n), walked=4 if n == 8 else 0)
        case(f"dev.{n}", dev, sigmas=linspace(n), mu=0.8, walked=5 if n == 4 else 0)
        case(f"dev_counted.{n}", dev, n, mu=0.8)
    for mu in (0.459375, 0.5, 0.6301, 1.15, 1.9, -0.4):
        case(f"exponential.mu{mu}", dev, sigmas=linspace(4), mu=mu)
        case(f"linear.mu{mu}", {**dev, "time_shift_type": "linear"}, sigmas=linspace(4), mu=mu)
    for option in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"):
        for n in (1, 2, 4, 8, 20):
            case(f"{option}.{n}", {"shift": 3.0, option: True}, n)
            case(f"{option}.dynamic.{n}", {**dev, option: True}, sigmas=linspace(n), mu=0.9, walked=3 if n == 4 else 0)
    for n in (1, 2, 5, 20):
        case(f"shift_terminal.{n}", {"shift": 2.0, "shift_terminal": 0.1}, n)
        case(f"shift_terminal.dynamic.{n}", {**dev, "shift_terminal": 0.02}, sigmas=linspace(n), mu=1.1)
        case(f"invert_sigmas.{n}", {"invert_sigmas": True}, n, walked=3 if n == 5 else 0)
        case(f"invert_sigmas.shift.{n}", {"invert_sigmas": True, "shift": 2.5}, sigmas=linspace(n))
    case("shift_terminal.karras", {"shift": 2.0, "shift_terminal": 0.1, "use_karras_sigmas": True}, 6)
    case("invert_sigmas.beta", {"shift": 2.0, "invert_sigmas": True, "use_beta_sigmas": True}, 6)
    case("stochastic", {"shift": 3.0, "stochastic_sampling": True}, sigmas=linspace(4), walked=20)
    case("stochastic.few_values", {"stochastic_sampling": True}, 3, walked=3)
    case("stochastic.invert", {"stochastic_sampling": True, "invert_sigmas": True}, 3, walked=4)
    case("train_steps_500", {"num_train_timesteps": 500, "shift": 2.0}, 6, walked=3)
    case("sigmas.given", {"shift": 3.0}, sigmas=[1.0, 0.9, 0.55, 0.2], walked=3)
    case("sigmas.given_with_count", {"shift": 3.0}, 4, sigmas=[1.0, 0.9, 0.55, 0.2])
    case("sigmas.given_zero_last", {"shift": 3.0}, sigmas=[1.0, 0.5, 0.0])
    case("timesteps.given", {"shift": 3.0}, timesteps=[1000.0, 700.0, 300.0], walked=3)
    case("timesteps.given_with_count", {"shift": 3.0}, 3, timesteps=[1000.0, 700.0, 300.0])
    case("timesteps.given_dynamic", dev, timesteps=[1000.0, 700.0, 300.0], mu=0.7)
    case("timesteps.given_inverted", {"shift": 3.0, "invert_sigmas": True}, timesteps=[1000.0, 700.0, 300.0])
    case("timesteps.and_sigmas", {"shift": 3.0}, timesteps=[990.0, 700.0], sigmas=[0.8, 0.4], walked=3)
    # What the reference refuses.
    case("refused.no_mu", dev, 4)
    case("refused.lengths", {}, sigmas=[1.0, 0.5], timesteps=[900.0])
    case("refused.count_and_sigmas", {}, 3, sigmas=[1.0, 0.5])
    case("refused.count_and_timesteps", {}, 3, timesteps=[900.0, 100.0])
    case("refused.two_kinds", {"use_karras_sigmas": True, "use_beta_sigmas": True}, 4)
    case("refused.time_shift_type", {"time_shift_type": "cubic"}, 4)
    case("refused.nothing", {})
    for entry in cases:
        assert ("error" in entry) == entry["name"].startswith("refused"), entry
    path = FIXTURES / "schedulers" / "flow_match_euler.json"
    write_json(path, cases)
    report(path.parent, f"{len(cases)} cases, not finite: {[c['name'] for c in cases if 'not_finite' in c]}")


if __name__ == "__main__":
    main()
