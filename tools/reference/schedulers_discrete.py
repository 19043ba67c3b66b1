"""tests/fixtures/schedulers/discrete.json, few_steps.json, solvers.json: the schedulers of Diffusers over a table of
trained steps.

For every class the options that it has, one after the other, over few steps: timesteps, sigmas where it has them, and
a walk with random model outputs: what the model is shown ("scaled") and the sample after each call. Where the reference
breaks down there is no case; how often is written below, so that none gets lost. The last bits of the numbers are those
of the processor that ran this.
"""

import diffusers
import torch
from diffusers import (DDIMScheduler, DEISMultistepScheduler, DPMSolverMultistepScheduler, DPMSolverSDEScheduler,
                       DPMSolverSinglestepScheduler, EDMDPMSolverMultistepScheduler, EDMEulerScheduler,
                       EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler,
                       FlowMatchLCMScheduler, HeunDiscreteScheduler, KDPM2AncestralDiscreteScheduler,
                       KDPM2DiscreteScheduler, LCMScheduler, LMSDiscreteScheduler, PNDMScheduler, TCDScheduler,
                       UniPCMultistepScheduler)

from common import FIXTURES, generator, report, write_json
from scheduler_flow_match_euler import exact

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SIGMAS = (EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, HeunDiscreteScheduler, KDPM2DiscreteScheduler,
          KDPM2AncestralDiscreteScheduler, LMSDiscreteScheduler)
LAMBDAS = (DPMSolverMultistepScheduler, DEISMultistepScheduler, UniPCMultistepScheduler)
OTHERS = (DPMSolverSinglestepScheduler, EDMDPMSolverMultistepScheduler, EDMEulerScheduler, FlowMatchLCMScheduler)
DRAWS = (DDIMScheduler, EulerAncestralDiscreteScheduler, KDPM2AncestralDiscreteScheduler, LCMScheduler,
         DPMSolverMultistepScheduler, DPMSolverSinglestepScheduler, EDMDPMSolverMultistepScheduler, FlowMatchLCMScheduler,
         TCDScheduler)
cases, broken = [], []
width = 5  # of a sample


def walk(scheduler, seed, begin, eta):
    g, noise = generator(seed), generator(seed + 1)
    sample = torch.randn(1, width, 1, generator=g) * float(getattr(scheduler, "init_noise_sigma", 1.0))
    out = {"sample": exact(sample), "noise_seed": seed + 1, "begin": begin, "eta": eta, "scaled": [],
           "model_output": [], "after": []}
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)  # else equal timesteps are told apart by chance
    extra = {"generator": noise} if isinstance(scheduler, DRAWS) else {}
    if eta or isinstance(scheduler, TCDScheduler):  # whose own default is 0.3
        extra["eta"] = eta
    for t in scheduler.timesteps[begin:]:
        shown = scheduler.scale_model_input(sample, t) if hasattr(scheduler, "scale_model_input") else sample
        out["scaled"].append(exact(shown))
        model_output = torch.randn(1, width, 1, generator=g)
        sample = scheduler.step(model_output, t, sample, **extra).prev_sample
        out["model_output"].append(exact(model_output))
        out["after"].append(exact(sample))
    return out


def case(cls, steps, begin=0, eta=0.0, bar=2e-5, arguments=None, **config):
    arguments = arguments or {"num_inference_steps": steps}
    name = f"{cls.__name__}.{steps}.{begin}.{eta}.{sorted(config.items())}.{sorted(arguments)}"
    entry = {"name": name, "class": cls.__name__, "config": config, "set_timesteps": arguments, "bar": bar}
    try:
        scheduler = cls(**config)
        scheduler.set_timesteps(**arguments)
        entry["timesteps"] = exact(scheduler.timesteps)
        if isinstance(scheduler, SIGMAS + LAMBDAS + OTHERS) and not isinstance(
                scheduler, (KDPM2DiscreteScheduler, KDPM2AncestralDiscreteScheduler)):
            entry["sigmas"] = exact(scheduler.sigmas[:len(scheduler.timesteps) + 1])  # log_linear has one too many
        entry["init_noise_sigma"] = float(getattr(scheduler, "init_noise_sigma", 1.0))
        entry["steps"] = walk(scheduler, 900 + len(cases), begin, eta)
        flat = [x for row in entry["steps"]["after"] for x in row]
        if any(x != x or abs(x) > 1e30 for x in map(float, flat)):
            raise ArithmeticError("the reference leaves the numbers")
    except Exception as error:  # nothing to compare with
        broken.append(f"{type(error).__name__}: {error}"[:100] + " " + name)
        return
    cases.append(entry)


def sweep(cls, predictions, spacings=("linspace", "leading", "trailing"), zero_snr=True):
    for spacing in spacings:
        for steps in (4, 7):
            case(cls, steps, timestep_spacing=spacing, steps_offset=1, **SD)
    for prediction in predictions:
        case(cls, 5, prediction_type=prediction, **SD)
        case(cls, 6, begin=2, prediction_type=prediction, timestep_spacing="leading", **SD)
    case(cls, 3, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="leading")
    case(cls, 16, **SD)
    case(cls, 1, **SD)
    case(cls, 4)
    if zero_snr:
        case(cls, 4, rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing", bar=2e-4,
             **SD)


def tcd():
    for eta in (0.0, 0.3, 1.0):
        for prediction in ("epsilon", "sample", "v_prediction"):
            for steps in (1, 4, 7):
                case(TCDScheduler, steps, eta=eta, prediction_type=prediction)
        case(TCDScheduler, 5, begin=2, eta=eta, original_inference_steps=100, clip_sample=True, thresholding=True)
    case(TCDScheduler, 4, eta=0.5, rescale_betas_zero_snr=True, prediction_type="v_prediction", bar=2e-4)
    case(TCDScheduler, 50, eta=0.7, beta_schedule="linear", steps_offset=1, set_alpha_to_one=False)


def brownian():
    # The tree's grid is 1e-6: a level that differs in its last bit gives noise that differs by up to a hundredth.
    for prediction in ("epsilon", "v_prediction"):
        for spacing in ("linspace", "leading", "trailing"):
            for steps in (1, 4, 7):
                case(DPMSolverSDEScheduler, steps, bar=1e-2, noise_sampler_seed=17 * steps, prediction_type=prediction,
                     timestep_spacing=spacing, steps_offset=1, **SD)
    for key in ("karras", "exponential", "beta"):
        case(DPMSolverSDEScheduler, 8, bar=1e-2, noise_sampler_seed=2**40 + 5, **{f"use_{key}_sigmas": True})
    case(DPMSolverSDEScheduler, 6, bar=1e-2, begin=4, noise_sampler_seed=0, **SD)


def flow_heun():
    for shift in (1.0, 3.0, 0.4):
        for steps in (1, 2, 5, 8):
            case(FlowMatchHeunDiscreteScheduler, steps, shift=shift)
    case(FlowMatchHeunDiscreteScheduler, 5, begin=3, shift=2.0, num_train_timesteps=500)


def single():
    S = DPMSolverSinglestepScheduler
    for order in (1, 2, 3):
        for solver in ("midpoint", "heun"):
            for algorithm in ("dpmsolver++", "dpmsolver", "sde-dpmsolver++"):
                for steps in (6, 7):
                    case(S, steps, solver_order=order, solver_type=solver, algorithm_type=algorithm,
                         final_sigmas_type="sigma_min" if algorithm == "dpmsolver" else "zero", **SD)
    for lower in (False, True):
        for steps in (6, 8):
            case(S, steps, solver_order=3, lower_order_final=lower, final_sigmas_type="sigma_min", **SD)
    for prediction in ("sample", "v_prediction"):
        case(S, 5, prediction_type=prediction, **SD)
        case(S, 4, prediction_type=prediction, algorithm_type="dpmsolver", final_sigmas_type="sigma_min", **SD)
    for key in ("karras", "exponential", "beta"):
        case(S, 5, **SD, **{f"use_{key}_sigmas": True})
    case(S, 6, use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0, bar=2e-4)
    case(S, 6, begin=3, solver_order=3, **SD)
    case(S, 5, thresholding=True, sample_max_value=2.0, **SD)
    case(S, 5, lambda_min_clipped=-5.1, beta_schedule="squaredcos_cap_v2")
    case(S, 1, **SD)
    case(S, 3, arguments={"timesteps": [900, 500, 20]}, **SD)


def edm():
    for cls in (EDMEulerScheduler, EDMDPMSolverMultistepScheduler):
        for schedule in ("karras", "exponential"):
            for prediction in ("epsilon", "v_prediction"):
                for final in ("zero", "sigma_min"):
                    case(cls, 5, sigma_schedule=schedule, prediction_type=prediction, final_sigmas_type=final)
        case(cls, 1)
        case(cls, 4, begin=2, sigma_min=0.1, sigma_max=20.0, sigma_data=1.3, rho=5.0)
    for order in (1, 2, 3):
        for algorithm in ("dpmsolver++", "sde-dpmsolver++"):
            for solver in ("midpoint", "heun"):
                case(EDMDPMSolverMultistepScheduler, 5, solver_order=order, algorithm_type=algorithm, solver_type=solver)
    case(EDMDPMSolverMultistepScheduler, 5, thresholding=True, dynamic_thresholding_ratio=0.7, sample_max_value=2.0)
    case(EDMDPMSolverMultistepScheduler, 16, euler_at_final=True, final_sigmas_type="sigma_min")
    case(EDMDPMSolverMultistepScheduler, 5, lower_order_final=False, solver_order=3)


def flow_lcm():
    for cls in (*LAMBDAS, DPMSolverSinglestepScheduler):  # shifted by the picture's size
        case(cls, 3, arguments={"num_inference_steps": 3, "mu": 0.46}, use_flow_sigmas=True, flow_shift=3.0,
             prediction_type="flow_prediction", use_dynamic_shifting=True, bar=2e-4)
    for final in ("zero", "sigma_min"):
        case(UniPCMultistepScheduler, 5, use_flow_sigmas=True, use_karras_sigmas=True, prediction_type="flow_prediction",
             final_sigmas_type=final, bar=1e-4)
    for steps in (1, 4):
        for shift in (1.0, 3.0):
            case(FlowMatchLCMScheduler, steps, shift=shift)
    case(FlowMatchLCMScheduler, 5, begin=2, shift=2.0, shift_terminal=0.1, use_karras_sigmas=True)
    case(FlowMatchLCMScheduler, 4, arguments={"num_inference_steps": 4, "mu": 0.7}, use_dynamic_shifting=True)


def write(name, expected):
    """expected: how many cases the reference breaks down in."""
    path = FIXTURES / "schedulers" / name
    if len(broken) != expected:
        raise SystemExit("\n".join([f"{name}: {len(broken)} cases break down, not {expected}", *broken]))
    write_json(path, cases)
    report(path.parent, f"{len(cases)} cases in {name}")
    cases.clear()
    broken.clear()


def main():
    global width
    diffusers.logging.set_verbosity_error()
    threes = ("epsilon", "sample", "v_prediction")
    sweep(DDIMScheduler, threes)
    for clip in (True, False):
        case(DDIMScheduler, 5, eta=0.7, clip_sample=clip, set_alpha_to_one=False, **SD)
    case(DDIMScheduler, 5, thresholding=True, dynamic_thresholding_ratio=0.8, sample_max_value=1.5, **SD)
    sweep(LCMScheduler, threes)
    case(LCMScheduler, 8, original_inference_steps=100, timestep_scaling=7.0, clip_sample=True)
    for skip in (True, False):
        for spacing in ("linspace", "leading", "trailing"):
            for steps in (4, 6, 9):
                case(PNDMScheduler, steps, skip_prk_steps=skip, timestep_spacing=spacing, steps_offset=1, **SD)
        case(PNDMScheduler, 5, skip_prk_steps=skip, prediction_type="v_prediction", set_alpha_to_one=True)
    case(PNDMScheduler, 8, begin=3, skip_prk_steps=True, **SD)
    case(PNDMScheduler, 1, skip_prk_steps=True, **SD)
    for cls in SIGMAS:
        some = threes if cls in (EulerDiscreteScheduler, HeunDiscreteScheduler, LMSDiscreteScheduler) else (
            "epsilon", "v_prediction")
        sweep(cls, some, zero_snr=cls in SIGMAS[:2])
        if cls is EulerAncestralDiscreteScheduler:
            continue
        for key in ("karras", "exponential", "beta"):
            for spacing in ("linspace", "leading"):
                case(cls, 6, timestep_spacing=spacing, **SD, **{f"use_{key}_sigmas": True})
    case(EulerDiscreteScheduler, 5, use_karras_sigmas=True, sigma_min=0.05, sigma_max=20.0, **SD)
    case(EulerDiscreteScheduler, 5, final_sigmas_type="sigma_min", interpolation_type="log_linear", **SD)
    case(EulerDiscreteScheduler, 5, interpolation_type="log_linear", **SD)
    case(EulerDiscreteScheduler, 5, timestep_type="continuous", prediction_type="v_prediction", **SD)
    case(EulerDiscreteScheduler, 3, arguments={"timesteps": [900, 500, 20]}, **SD)
    case(EulerDiscreteScheduler, 3, arguments={"sigmas": [14.0, 6.0, 1.5, 0.0]}, **SD)
    case(HeunDiscreteScheduler, 5, clip_sample=True, clip_sample_range=0.7)
    case(HeunDiscreteScheduler, 5, beta_schedule="exp")
    for cls in LAMBDAS:
        sweep(cls, threes, zero_snr=cls is not DEISMultistepScheduler)
        for order in (1, 2, 3):
            for final in (True, False):
                for steps in (5, 17):
                    case(cls, steps, solver_order=order, lower_order_final=final, **SD)
        for key in ("karras", "exponential", "beta"):
            case(cls, 6, solver_order=3, **SD, **{f"use_{key}_sigmas": True})
        case(cls, 6, use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0,
             bar=2e-4)  # the clean sample's share is nearly 0 at first
        case(cls, 5, thresholding=True, sample_max_value=2.0, **SD)
        case(cls, 4, use_karras_sigmas=True, beta_schedule="squaredcos_cap_v2")
    for algorithm in ("dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver"):
        for solver in ("midpoint", "heun"):
            for order in (2, 3):
                for prediction in threes:
                    case(DPMSolverMultistepScheduler, 6, algorithm_type=algorithm, solver_type=solver,
                         solver_order=order, prediction_type=prediction, final_sigmas_type="sigma_min", **SD)
    case(DPMSolverMultistepScheduler, 5, use_lu_lambdas=True, **SD)
    case(DPMSolverMultistepScheduler, 5, lambda_min_clipped=-5.1, beta_schedule="squaredcos_cap_v2")
    case(DPMSolverMultistepScheduler, 20, euler_at_final=True, final_sigmas_type="sigma_min", **SD)
    case(DPMSolverMultistepScheduler, 3, arguments={"timesteps": [900, 500, 20]}, **SD)
    for solver in ("bh1", "bh2", "midpoint"):
        for predict_x0 in (True, False):
            for order in (2, 3):
                case(UniPCMultistepScheduler, 7, solver_type=solver, predict_x0=predict_x0, solver_order=order,
                     final_sigmas_type="zero" if predict_x0 else "sigma_min", **SD)
    case(UniPCMultistepScheduler, 6, disable_corrector=[0, 2], **SD)
    case(UniPCMultistepScheduler, 6, use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0,
         final_sigmas_type="sigma_min", shift_terminal=0.1)
    write("discrete.json", 12)
    tcd()
    flow_heun()
    brownian()
    write("few_steps.json", 0)
    width = 3
    single()
    edm()
    flow_lcm()
    write("solvers.json", 2)


if __name__ == "__main__":
    main()
