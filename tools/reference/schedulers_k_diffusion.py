"""tests/fixtures/schedulers/k_diffusion.json: the samplers of k-diffusion over a table of trained steps and on flows.

The network's outputs are random numbers that k-diffusion's own wrappers make clean samples of. Levels are k-diffusion's
(get_sigmas, karras, exponential); those that only ComfyUI and A1111 have are written out here from their definitions, and
so are the samplers of OWN, which k-diffusion does not have. Those of CFG++ are told two clean samples. Noise: where k-diffusion draws, one
draw after the other; where it grows a Brownian tree, the tree's seed is the draws' seed.
"""

import functools
import math
import sys
import types

import numpy as np
import scipy.stats
import torch
from diffusers import EulerDiscreteScheduler

sys.modules["clip"] = types.ModuleType("clip")  # of k-diffusion's evaluation, which is not needed here
from k_diffusion import sampling
from k_diffusion.external import DiscreteEpsDDPMDenoiser, DiscreteVDDPMDenoiser

from common import FIXTURES, generator, report, write_json
from scheduler_flow_match_euler import exact

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
NAMES = {"k_euler": "euler", "k_euler_a": "euler_ancestral", "k_heun": "heun", "k_dpm_2": "dpm_2",
         "k_dpm_2_a": "dpm_2_ancestral", "k_lms": "lms", "dpmpp_2s_a": "dpmpp_2s_ancestral", "k_dpmpp_sde": "dpmpp_sde",
         "k_dpmpp_2m": "dpmpp_2m", "k_dpmpp_2m_sde": "dpmpp_2m_sde", "k_dpmpp_2m_sde_heun": "dpmpp_2m_sde",
         "k_dpmpp_3m_sde": "dpmpp_3m_sde"}
cases = []


class Flow:
    """A flow's table, and the clean sample of what the network says."""

    def __init__(self, model, shift):
        self.inner_model, self.shift = model, shift
        self.sigmas = self.t_to_sigma(torch.arange(1, 1001) - 1)

    def t_to_sigma(self, t):  # from 0, as over a table
        x = (t + 1) / 1000
        return self.shift * x / (1 + (self.shift - 1) * x)

    def sigma_to_t(self, sigma):
        return sigma * 1000

    def __call__(self, x, sigma):
        return x - sigma.view(-1, 1, 1) * self.inner_model(x, self.sigma_to_t(sigma))


# ---- levels

def levels(model, name, n):
    flow, last = isinstance(model, Flow), len(model.sigmas) - 1
    end = float(model.sigmas[0]) * 1000 - 1 if flow else 0
    low, high = float(model.sigmas[0]), float(model.sigmas[-1])
    zero = lambda x: torch.cat([torch.as_tensor(x, dtype=torch.float32), torch.zeros(1)])
    if name == "normal":
        return zero(model.t_to_sigma(torch.linspace(last, end, n))) if flow else model.get_sigmas(n)
    if name == "sgm_uniform":
        return zero(model.t_to_sigma(torch.linspace(last, end, n + 1)[:-1]))
    if name == "karras":
        return sampling.get_sigmas_karras(n, low, high)
    if name == "exponential":
        return sampling.get_sigmas_exponential(n, low, high)
    if name == "simple":
        return zero([float(model.sigmas[-(1 + int(i * len(model.sigmas) / n))]) for i in range(n)])
    if name == "ddim_uniform":
        return zero(model.sigmas[1::max(len(model.sigmas) // n, 1)].flip(0))
    if name == "beta":
        places = np.rint(scipy.stats.beta.ppf(1 - np.linspace(0, 1, n, endpoint=False), 0.6, 0.6) * last)
        return zero([float(model.sigmas[int(p)]) for i, p in enumerate(places) if i == 0 or p != places[i - 1]])
    if name == "kl_optimal":
        part = torch.arange(n, dtype=torch.float) / (n - 1)
        return zero((part * math.atan(low) + (1 - part) * math.atan(high)).tan())
    if name == "linear_quadratic":
        half, rest = n // 2, n - n // 2
        missing = half - 0.025 * n
        square, linear = missing / (half * rest ** 2), 0.025 / half - 2 * missing / rest ** 2
        x = [i * 0.025 / half for i in range(half)]
        x += [square * i ** 2 + linear * i + square * half ** 2 for i in range(half, n)]
        return zero((1 - torch.tensor(x)) * high)
    if name == "turbo":
        return zero(model.t_to_sigma((torch.arange(n, 0, -1) * 1000.0 / n - 1).round()))
    if name == "laplace":
        side = 0.5 - torch.linspace(0, 1, n)
        return zero((-0.5 * side.sign() * torch.log(1 - 2 * side.abs() + 1e-5)).exp().clamp(low, high))
    table = {"ays": [14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092, 0.9642583904,
                     0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582]}[name]
    at = np.interp(np.linspace(0, 1, n + 1), np.linspace(0, 1, len(table)), np.log(table))
    return zero(np.exp(at)[:-1])


# ---- samplers that k-diffusion does not have

def ipndm(model, x, sigmas):
    weights = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]]
    slopes = []
    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        clean = model(x, sigma[None])
        slopes = [sampling.to_d(x, sigma, clean), *slopes[:3]]
        x = x + (to - sigma) * sum(w * d for w, d in zip(weights[len(slopes) - 1], slopes)) if to > 0 else clean
    return x


def gradient_estimation(model, x, sigmas):
    before = None
    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        clean = model(x, sigma[None])
        d = sampling.to_d(x, sigma, clean)
        x = x + (to - sigma) * (d if before is None else 2 * d - before) if to > 0 else clean
        before = d
    return x


def res_multistep(model, x, sigmas):
    before = None
    for i, (sigma, to) in enumerate(zip(sigmas[:-1], sigmas[1:])):
        clean = model(x, sigma[None])
        if before is None or to == 0:
            x = x + sampling.to_d(x, sigma, clean) * (to - sigma)
        else:
            h, back = (sigma / to).log(), -(sigmas[i - 1] / sigma).log()
            phi1 = torch.expm1(-h) / -h
            phi2 = (phi1 - 1) / -h
            c2 = back / h
            x = torch.exp(-h) * x + h * ((phi1 - phi2 / c2) * clean + phi2 / c2 * before)
        before = clean
    return x


def lcm(model, x, sigmas):
    flow = isinstance(model.model, Flow)
    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        x = model(x, sigma[None])
        if to > 0:
            x = (1 - to if flow else 1) * x + to * torch.randn_like(x)
    return x


def euler_ancestral_flow(model, x, sigmas):
    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        clean = model(x, sigma[None])
        down = to * to / sigma
        if to == 0:
            x = clean
            continue
        keep = (1 - to) / (1 - down)
        x = keep * (down / sigma * x + (1 - down / sigma) * clean)
        x = x + torch.randn_like(x) * (to ** 2 - down ** 2 * keep ** 2) ** 0.5
    return x


def ddpm(model, x, sigmas):
    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        clean = model(x, sigma[None])
        a, b = 1 / (sigma ** 2 + 1), 1 / (to ** 2 + 1)
        eps, kept, alpha = sampling.to_d(x, sigma, clean), x / (1 + sigma ** 2).sqrt(), a / b
        x = (1 / alpha).sqrt() * (kept - (1 - alpha) * eps / (1 - a).sqrt())
        if to > 0:
            x = (x + ((1 - alpha) * (1 - b) / (1 - a)).sqrt() * torch.randn_like(x)) * (1 + to ** 2).sqrt()
    return x


def ipndm_v(model, x, sigmas):
    """The weights that make each polynomial through the slopes exact would be others: these are the authors' own."""
    slopes = []
    for i, (sigma, to) in enumerate(zip(sigmas[:-1], sigmas[1:])):
        clean = model(x, sigma[None])
        slopes = [sampling.to_d(x, sigma, clean), *slopes[:3]]
        h = [to - sigma, *(sigmas[i - k] - sigmas[i - k - 1] for k in range(len(slopes) - 1))]
        w = [1.0]
        if len(slopes) > 1:
            w = [(2 + h[0] / h[1]) / 2, -(h[0] / h[1]) / 2]
        if len(slopes) > 2:
            t1 = (1 - h[0] / (3 * (h[0] + h[1])) * (h[0] * (h[0] + h[1])) / (h[1] * (h[1] + h[2]))) / 2
            w = [w[0] + t1, w[1] - (1 + h[1] / h[2]) * t1, t1 * h[1] / h[2]]
        if len(slopes) > 3:
            t2 = (1 - h[0] / (3 * (h[0] + h[1]))) / 2 + (1 - h[0] / (2 * (h[0] + h[1]))) * h[0] / (6 * (h[0] + h[1] + h[2]))
            t2 = t2 * (h[0] * (h[0] + h[1]) * (h[0] + h[1] + h[2])) / (h[1] * (h[1] + h[2]) * (h[1] + h[2] + h[3]))
            far = h[1] * (h[1] + h[2]) / (h[2] * (h[2] + h[3]))
            w = [w[0] + t2, w[1] - (1 + h[1] / h[2] + far) * t2, w[2] + (h[1] / h[2] + far * (1 + h[2] / h[3])) * t2,
                 -t2 * far * h[1] / h[2]]
        x = x + (to - sigma) * sum(a * d for a, d in zip(w, slopes)) if to > 0 else clean
    return x


def res_multistep_ancestral(model, x, sigmas):
    before = before_down = None
    for i, (sigma, to) in enumerate(zip(sigmas[:-1], sigmas[1:])):
        clean = model(x, sigma[None])
        down, up = sampling.get_ancestral_step(sigma, to)
        if before is None or down == 0:
            x = x + sampling.to_d(x, sigma, clean) * (down - sigma)
        else:
            h = (sigma / down).log()
            c2 = (before_down / sigmas[i - 1]).log() / h
            phi1 = torch.expm1(-h) / -h
            phi2 = (phi1 - 1) / -h
            x = torch.exp(-h) * x + h * ((phi1 - phi2 / c2) * clean + phi2 / c2 * before)
        if to > 0:
            x = x + torch.randn_like(x) * up
        before, before_down = clean, down
    return x


def er_sde(model, x, sigmas):
    flow = isinstance(model.model, Flow)
    scaler = lambda v: v * ((v ** 0.3).exp() + 10.0)
    ratios = sigmas / (1 - sigmas) if flow else sigmas
    cleans, changes = [], []
    for i, (sigma, to) in enumerate(zip(sigmas[:-1], sigmas[1:])):
        clean = model(x, sigma[None])
        cleans.append(clean)
        if to == 0:
            return clean
        s, t = ratios[i], ratios[i + 1]
        a_s, a_t = sigma / s, to / t
        r = scaler(t) / scaler(s)
        x = a_t / a_s * r * x + a_t * (1 - r) * clean
        dt = t - s
        places = t + torch.arange(200.0) * (-dt / 200)
        if i > 0:
            changes.append((clean - cleans[-2]) / (s - ratios[i - 1]))
            x = x + a_t * (dt + (1 / scaler(places)).sum() * (-dt / 200) * scaler(t)) * changes[-1]
        if i > 1:
            bend = (changes[-1] - changes[-2]) / ((s - ratios[i - 2]) / 2)
            x = x + a_t * (dt ** 2 / 2 + ((places - s) / scaler(places)).sum() * (-dt / 200) * scaler(t)) * bend
        x = x + a_t * torch.randn_like(x) * (t ** 2 - s ** 2 * r ** 2).sqrt()


def heunpp2(model, x, sigmas):
    n = len(sigmas) - 1
    for i in range(n):
        at, looks, slopes = x, min(n - i, 3), []
        for k in range(looks):
            slopes.append(sampling.to_d(at, sigmas[i + k], model(at, sigmas[i + k][None])))
            at = at + slopes[-1] * (sigmas[i + k + 1] - sigmas[i + k])
        shares = [float(sigmas[i + k] / (looks * sigmas[0])) for k in range(1, looks)]
        d = sum(w * d for w, d in zip([1 - sum(shares), *shares], slopes))
        x = x + d * (sigmas[i + 1] - sigmas[i])
    return x


def restart(model, x, sigmas):
    steps, parts = len(sigmas) - 1, []
    again, times = (9, 1) if steps < 36 else (steps // 4, 2)
    low = None
    if steps >= 20:
        sigmas = sampling.get_sigmas_karras(steps - again * times, float(sigmas[-2]), float(sigmas[0]))
        low, high = (int((sigmas - level).abs().argmin()) for level in (0.1, 2.0))
    for i in range(len(sigmas) - 1):
        parts.append((sigmas[i], sigmas[i + 1]))
        if i + 1 == low and high < low:
            way = sampling.get_sigmas_karras(again + 1, float(sigmas[low]), float(sigmas[high]))[:-1]
            parts += list(zip(way[:-1], way[1:])) * times
    last = parts[0][0]
    for sigma, to in parts:
        if sigma > last * (1 + 1e-6):
            x = x + torch.randn_like(x) * (sigma ** 2 - last ** 2) ** 0.5
        d = sampling.to_d(x, sigma, model(x, sigma[None]))
        if to > 0:
            y = x + d * (to - sigma)
            d = (d + sampling.to_d(y, to, model(y, to[None]))) / 2
        x, last = x + d * (to - sigma), to
    return x


# ---- CFG++: model.away is the clean sample without the prompt, of the call before

def signal(model, sigma):
    return 1 - sigma if isinstance(model.model, Flow) else torch.ones(())


def euler_cfg_pp(model, x, sigmas, eta=0.0):
    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        clean = model(x, sigma[None])
        if to == 0:
            return clean
        a, b = signal(model, sigma), signal(model, to)
        down, up = sampling.get_ancestral_step(sigma / a, to / b, eta=eta) if a > 0 else (0.0, to / b) if eta else (to / b, 0.0)
        x = b * clean + b * down * sampling.to_d(x, sigma, a * model.away)
        if eta:
            x = x + b * torch.randn_like(x) * up


def euler_ancestral_cfg_pp(model, x, sigmas):
    return euler_cfg_pp(model, x, sigmas, 1.0)


def dpmpp_2m_cfg_pp(model, x, sigmas):
    before = None
    for i, (sigma, to) in enumerate(zip(sigmas[:-1], sigmas[1:])):
        clean = model(x, sigma[None])
        h, mix = (sigma / to).log(), -to / sigma * model.away
        if before is not None and to > 0:
            r = (sigmas[i - 1] / sigma).log() / h
            mix = mix - torch.expm1(-h) / (2 * r) * (clean - before)
        x, before = clean + mix + to / sigma * x, model.away
    return x


def res_multistep_cfg_pp(model, x, sigmas, eta=0.0):
    before = before_down = None
    for i, (sigma, to) in enumerate(zip(sigmas[:-1], sigmas[1:])):
        clean = model(x, sigma[None])
        down, up = sampling.get_ancestral_step(sigma, to, eta)
        if before is None or down == 0:
            x = clean + sampling.to_d(x, sigma, model.away) * down
        else:
            h = (sigma / down).log()
            c2 = (before_down / sigmas[i - 1]).log() / h
            phi1 = torch.expm1(-h) / -h
            phi2 = (phi1 - 1) / -h
            x = torch.exp(-h) * (x + clean - model.away) + h * ((phi1 - phi2 / c2) * model.away + phi2 / c2 * before)
        if eta and to > 0:
            x = x + torch.randn_like(x) * up
        before, before_down = model.away, down
    return x


def res_multistep_ancestral_cfg_pp(model, x, sigmas):
    return res_multistep_cfg_pp(model, x, sigmas, 1.0)


def gradient_estimation_cfg_pp(model, x, sigmas):
    before = None
    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        clean = model(x, sigma[None])
        d = sampling.to_d(x, sigma, model.away)
        x = clean + d * to if to > 0 else clean
        if before is not None and to > 0:
            x = x + (d - before) * (to - sigma)
        before = d
    return x


def dpmpp_2s_ancestral_cfg_pp(model, x, sigmas):
    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        clean = model(x, sigma[None])
        if to == 0:
            return clean
        down, up = sampling.get_ancestral_step(sigma, to)
        middle = (sigma * down).sqrt()
        y = middle / sigma * (x + clean - model.away) + (1 - middle / sigma) * clean
        second = model(y, middle[None])
        x = down / sigma * (x + clean - model.away) + (1 - down / sigma) * second  # away of the second call
        x = x + torch.randn_like(x) * up


def cfgpp_ud10_ab(model, x, sigmas):
    old = changes = before = None
    for i, (sigma, to) in enumerate(zip(sigmas[:-1], sigmas[1:])):
        clean = model(x, sigma[None])
        if to == 0:
            return clean if before is None else clean - sigma * (clean - before) / (sigma - sigmas[i - 1])
        slope, way = sampling.to_d(x, sigma, signal(model, sigma) * model.away), to - sigma
        u = slope if old is None else slope + 0.1 * way / (sigma - sigmas[i - 1]) * (slope - old)
        change = (signal(model, to) * clean + to * u - x) / way
        step = way * change
        if changes is not None:
            two = sum(sampling.linear_multistep_coeff(2, sigmas.numpy(), i, j) * d for j, d in enumerate((change, changes)))
            step = torch.lerp(step, two, 0.25)
        x, old, changes, before = x + step, slope, change, clean


# ---- SA-Solver (Xue et al. 2023), three of the network's words to predict with and four to correct

def adams(places, start, end, tau):
    """Integrals, in f64, of (1 + tau^2) e^((1 + tau^2)(t - end)) by the polynomials that are 1 at one of the places."""
    places, more = np.asarray(places, np.float64) - end, 1 + tau ** 2
    terms = []
    for p in range(len(places)):
        terms.append((p == 0) - (start - end) ** p * np.exp(more * (start - end)) - (p / more * terms[-1] if p else 0))
    return np.linalg.solve(np.vander(places, increasing=True).T, np.array(terms))


def sa_solver(model, x, sigmas, pece=False):
    high, low = (float(model.model.t_to_sigma(torch.tensor(left * 999))) for left in (1 - 0.2, 1 - 0.8))
    if isinstance(model.model, Flow):
        high, low = (model.model.shift * left / (1 + (model.model.shift - 1) * left) for left in (1 - 0.2, 1 - 0.8))
    n = len(sigmas) - 1
    where = [float(log_snr(model, v.double())) for v in sigmas[:-1]]
    said, noise, tau, corrected = [], 0.0, 0.0, None

    def to_level(x, i, order, tau):
        weights = adams(where[len(said) - order:len(said)], where[i], where[i + 1], tau)
        drift = sigmas[i + 1] / sigmas[i] * math.exp(-tau ** 2 * (where[i + 1] - where[i]))
        return drift * x + signal(model, sigmas[i + 1]) * sum(float(w) * c for w, c in zip(weights, said[-order:]))

    for i in range(n):
        said.append(model(x, sigmas[i][None]))
        if i and (pece or i + 1 < n):
            x = to_level(corrected, i - 1, min(4, i + 1, n - i), tau) + noise
            if pece:
                said[-1] = model(x, sigmas[i][None])
        if i + 1 == n:
            return said[-1]
        tau, corrected = float(high >= sigmas[i + 1] >= low), x
        x = to_level(x, i, min(3, i + 1, n - 1 - i), tau)
        noise = 0.0
        if tau:
            noise = torch.randn_like(x) * sigmas[i + 1] * math.sqrt(-math.expm1(2 * (where[i] - where[i + 1])))
        x = x + noise


def sa_solver_pece(model, x, sigmas):
    return sa_solver(model, x, sigmas, True)


# ---- SEEDS (Gonzalez et al. 2023) by the clean sample, r: where the second call is

def log_snr(model, v):
    return signal(model, v).log() - v.log()


def level_of_snr(model, v):
    return (-v).sigmoid() if isinstance(model.model, Flow) else (-v).exp()


def seeds_2(model, x, sigmas, eta=1.0, r=0.5, second_order=False):
    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        clean = model(x, sigma[None])
        if to == 0:
            return clean
        h = log_snr(model, to) - log_snr(model, sigma)
        middle = to if r == 1 else level_of_snr(model, log_snr(model, sigma) + h / 2)
        y = middle / sigma * (-r * h * eta).exp() * x - signal(model, middle) * torch.expm1(-r * h * (1 + eta)) * clean
        if eta:
            first = torch.randn_like(x) * (-torch.expm1(-2 * r * h * eta)).sqrt()
            y = y + middle * first
        second = model(y, middle[None])
        z = -h * (1 + eta)
        phi1, phi2 = torch.expm1(z), (torch.expm1(z) - z) / z
        said = (phi1 - phi2 / r) * clean + phi2 / r * second if second_order else phi1 * second
        x = to / sigma * (-h * eta).exp() * x - signal(model, to) * said
        if eta:
            rest = (r - 1) * h * eta
            x = x + to * (first * rest.exp() + torch.randn_like(x) * (-torch.expm1(2 * rest)).sqrt())


def seeds_3(model, x, sigmas):
    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        clean = model(x, sigma[None])
        if to == 0:
            return clean
        way = log_snr(model, to) - log_snr(model, sigma)
        at, noise, said = sigma, 0.0, clean
        for part, mend in ((1 / 3, 0.0), (2 / 3, 2.0), (1.0, 1.5)):
            s = to if part == 1 else level_of_snr(model, log_snr(model, sigma) + part * way)
            z, gone = -2 * part * way, log_snr(model, at) - log_snr(model, s)
            noise = noise * gone.exp() + torch.randn_like(x) * (-torch.expm1(2 * gone)).sqrt()
            mended = torch.expm1(z) * clean + mend * (torch.expm1(z) - z) / z * (said - clean)
            y = s / sigma * (-part * way).exp() * x - signal(model, s) * mended + s * noise
            said, at = (model(y, s[None]), s) if part < 1 else (said, at)
        x = y


def exp_heun_2_x0(model, x, sigmas):
    return seeds_2(model, x, sigmas, 0.0, 1.0, True)


def exp_heun_2_x0_sde(model, x, sigmas):
    return seeds_2(model, x, sigmas, 1.0, 1.0, True)


# ---- k-diffusion's own on flows, as ComfyUI has them

def ancestral_flow(model, x, sigmas, by_snr):
    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        clean = model(x, sigma[None])
        if to == 0:
            return clean
        down = to * to / sigma
        middle = (sigma * down).sqrt()
        if by_snr:
            middle = level_of_snr(model, (log_snr(model, sigma) + log_snr(model, down)) / 2) if sigma < 1 else torch.tensor(0.9999)
        second = model(middle / sigma * x + (1 - middle / sigma) * clean, middle[None])
        if by_snr:
            x = down / sigma * x + (1 - down / sigma) * second
        else:
            x = x + sampling.to_d(middle / sigma * x + (1 - middle / sigma) * clean, middle, second) * (down - sigma)
        keep = (1 - to) / (1 - down)
        x = keep * x + torch.randn_like(x) * (to ** 2 - down ** 2 * keep ** 2) ** 0.5


def dpm_2_ancestral_flow(model, x, sigmas):
    return ancestral_flow(model, x, sigmas, False)


def dpmpp_2s_ancestral_flow(model, x, sigmas):
    return ancestral_flow(model, x, sigmas, True)


def dpmpp_sde_flow(model, x, sigmas, noise_sampler):
    def stage(x, clean, sigma, to):
        high, low = sigma / (1 - sigma), to / (1 - to)
        down, up = sampling.get_ancestral_step(high, low)
        x = (1 - to) * (down / high * x / (1 - sigma) + (1 - down / high) * clean)
        return x + (1 - to) * noise_sampler(sigma, to) * up

    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        clean = model(x, sigma[None])
        if to == 0:
            return clean
        middle = level_of_snr(model, (log_snr(model, sigma) + log_snr(model, to)) / 2)
        x = stage(x, model(stage(x, clean, sigma, middle), middle[None]), sigma, to)


def multistep_sde_flow(model, x, sigmas, noise_sampler, kind):
    said, ways = [], []
    for sigma, to in zip(sigmas[:-1], sigmas[1:]):
        said.append(model(x, sigma[None]))
        if to == 0:
            return said[-1]
        ways.append(log_snr(model, to) - log_snr(model, sigma))
        h = 2 * ways[-1]
        phi1, phi2 = -torch.expm1(-h), torch.expm1(-h) / h + 1
        mended = phi1 * said[-1]
        changes = [(said[-k] - said[-k - 1]) / (ways[-k - 1] / ways[-1]) for k in (1, 2) if len(said) > k]
        if kind == 3 and len(changes) == 2:
            r0, r1 = ways[-2] / ways[-1], ways[-3] / ways[-1]
            bend = (changes[0] - changes[1]) / (r0 + r1)
            mended = mended + phi2 * (changes[0] + r0 * bend) - (phi2 / h - 0.5) * bend
        elif changes:
            mended = mended + (phi1 / 2 if kind == "midpoint" else phi2) * changes[0]
        x = to / sigma * (-ways[-1]).exp() * x + (1 - to) * mended
        x = x + noise_sampler(sigma, to) * to * phi1.sqrt()


ON_FLOWS = {"k_euler_a": euler_ancestral_flow, "k_dpm_2_a": dpm_2_ancestral_flow, "dpmpp_2s_a": dpmpp_2s_ancestral_flow}
SDE_ON_FLOWS = {"k_dpmpp_sde": dpmpp_sde_flow,
                "k_dpmpp_2m_sde": functools.partial(multistep_sde_flow, kind="midpoint"),
                "k_dpmpp_2m_sde_heun": functools.partial(multistep_sde_flow, kind="heun"),
                "k_dpmpp_3m_sde": functools.partial(multistep_sde_flow, kind=3)}
CFG_PP = {"euler_cfg_pp": euler_cfg_pp, "euler_ancestral_cfg_pp": euler_ancestral_cfg_pp, "dpmpp_2m_cfg_pp": dpmpp_2m_cfg_pp,
          "res_multistep_cfg_pp": res_multistep_cfg_pp, "gradient_estimation_cfg_pp": gradient_estimation_cfg_pp}
ADDED = {"k_ddpm": ddpm, "ipndm_v": ipndm_v, "res_multistep_ancestral": res_multistep_ancestral, "er_sde": er_sde,
         "heunpp2": heunpp2, "restart": restart}
OWN = {"ipndm": ipndm, "gradient_estimation": gradient_estimation, "res_multistep": res_multistep, "k_lcm": lcm}
CFG_PP_ANCESTRAL = {"res_multistep_ancestral_cfg_pp": res_multistep_ancestral_cfg_pp,
                    "dpmpp_2s_ancestral_cfg_pp": dpmpp_2s_ancestral_cfg_pp}
SEEDS = {"exp_heun_2_x0": exp_heun_2_x0, "exp_heun_2_x0_sde": exp_heun_2_x0_sde, "seeds_2": seeds_2}
LATEST = {"seeds_3": seeds_3, "sa_solver": sa_solver, "sa_solver_pece": sa_solver_pece}
EVERY = OWN | ADDED | CFG_PP | CFG_PP_ANCESTRAL | SEEDS | LATEST | {"cfgpp_ud10_ab": cfgpp_ud10_ab}


# ---- walks

class Recorder:
    """What the sampler asks of the network, with random answers; where it adapts to them, answers that hang together."""

    def __init__(self, g, calm):
        self.g, self.calm, self.t, self.scaled, self.said, self.away = g, calm, [], [], [], []

    def __call__(self, x, t):
        self.t.append(float(t.flatten()[0]))
        self.scaled.append(exact(x))
        out = torch.randn(x.shape, generator=self.g)
        if self.calm:
            out = torch.tanh(3 * x) + 0.01 * out
        self.said.append(exact(out))
        return out


class Watched:
    """The wrapped network, which notes the sample before each call."""

    def __init__(self, model, recorder=None):
        self.model, self.samples, self.recorder = model, [], recorder

    def __call__(self, x, sigma, **_):
        self.samples.append(exact(x))
        clean = self.model(x, sigma)
        if self.recorder:  # the same again, of which only the answer is kept
            t, scaled, said = (list(v) for v in (self.recorder.t, self.recorder.scaled, self.recorder.said))
            self.away = self.model(x, sigma)
            self.recorder.away.append(self.recorder.said[-1])
            self.recorder.t, self.recorder.scaled, self.recorder.said = t, scaled, said
        return clean


def case(sampler, schedule, steps, prediction="epsilon", shift=None, bar=2e-5):
    seed = 4000 + len(cases)
    g = generator(seed)
    recorder = Recorder(g, sampler == "dpm_adaptive")
    if shift is None:
        alphas = EulerDiscreteScheduler(**SD).alphas_cumprod
        wrapper = DiscreteVDDPMDenoiser if prediction == "v_prediction" else DiscreteEpsDDPMDenoiser
        model = wrapper(recorder, alphas, quantize=False)
        if prediction == "epsilon":
            model.get_eps = model.inner_model.__call__
        else:
            model.get_v = model.inner_model.__call__
        config = {"_class_name": "DDIMScheduler", "prediction_type": prediction, **SD}
    else:
        model = Flow(recorder, shift)
        config = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": shift}
    if NAMES.get(sampler, "").startswith("dpm_2"):
        sigmas = levels(model, schedule, steps + 1)
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    else:
        sigmas = levels(model, schedule, steps)
    x = torch.randn(1, 4, 1, generator=g) * (1.0 if shift else sigmas[0])
    by_tree = "sde" in sampler and sampler not in EVERY
    tree = sampling.BrownianTreeNoiseSampler(x, sigmas[sigmas > 0].min(), sigmas.max(), seed + 1) if by_tree else None
    if shift and sampler in ("er_sde", *SEEDS, *LATEST, *SDE_ON_FLOWS) and sigmas[0] >= 1:  # where there is a logarithm
        sigmas[0] = shift * (1 - 1e-4) / (1 + (shift - 1) * (1 - 1e-4))
    watched, start = Watched(model, recorder if sampler.startswith("cfgpp") or sampler.endswith("_cfg_pp") else None), exact(x)
    torch.manual_seed(seed + 1)
    extra, drawn = {}, seed + 1
    if sampler.endswith("heun") and "sde" in sampler:
        extra["solver_type"] = "heun"
    if by_tree:
        extra["noise_sampler"] = tree
    if sampler in EVERY:
        last = EVERY[sampler](watched, x, sigmas)
    elif sampler == "dpm_fast":
        last = sampling.sample_dpm_fast(watched, x, sigmas[-2], sigmas[0], steps, disable=True)
    elif sampler == "dpm_adaptive":
        last = sampling.sample_dpm_adaptive(watched, x, sigmas[-2], sigmas[0], disable=True)
    elif shift and sampler in ON_FLOWS:
        last = ON_FLOWS[sampler](watched, x, sigmas)
    elif shift and sampler in SDE_ON_FLOWS:
        last = SDE_ON_FLOWS[sampler](watched, x, sigmas, tree)
    elif sampler in ("k_euler", "k_heun", "k_dpm_2"):  # draw at every step what they then do not use
        last = getattr(sampling, f"sample_{NAMES[sampler]}")(watched, x, sigmas, disable=True)
    else:
        last = getattr(sampling, f"sample_{NAMES[sampler]}")(watched, x, sigmas, disable=True, **extra)
    cases.append({"name": f"{sampler}.{schedule}.{steps}.{prediction}.{shift}", "sampler": sampler, "schedule": schedule,
                  "config": config, "set_timesteps": {"num_inference_steps": steps}, "bar": bar,
                  "timesteps": recorder.t[:3] if recorder.calm else recorder.t, "init_noise_sigma": 1.0 if shift else float(sigmas[0]),
                  "steps": {"sample": start, "noise_seed": drawn, "begin": 0, "scaled": recorder.scaled,
                            "model_output": recorder.said, **({"away": recorder.away} if recorder.away else {}), "after": [*watched.samples[1:], exact(last)]}})


def main():
    every = [*NAMES, *OWN]
    for sampler in every:
        bar = 1e-2 if "sde" in sampler else 2e-5  # of a tree: see schedulers_discrete.py
        case(sampler, "normal", 5, bar=bar)
        case(sampler, "karras", 4, "v_prediction", bar=bar)
    for schedule in ("exponential", "beta", "sgm_uniform", "simple", "ddim_uniform", "kl_optimal", "linear_quadratic", "ays"):
        case("k_euler", schedule, 7)
        case("k_dpmpp_2m", schedule, 10)
    for sampler in ("k_euler", "k_euler_a", "k_heun", "k_dpm_2", "k_lms", "k_dpmpp_2m", *OWN):
        case(sampler, "simple", 4, shift=3.0, bar=1e-4)
    for schedule in ("normal", "karras", "exponential", "beta", "sgm_uniform", "ddim_uniform", "kl_optimal",
                     "linear_quadratic"):
        case("k_euler", schedule, 6, shift=3.0)
    case("k_euler", "normal", 1)
    for sampler in (*ADDED, *CFG_PP):
        case(sampler, "normal", 6)
        case(sampler, "karras", 5, "v_prediction")
    for sampler in ("ipndm_v", "er_sde", "heunpp2", *CFG_PP):
        case(sampler, "simple", 5, shift=3.0, bar=1e-4)
    for steps in (20, 23, 37):
        case("restart", "karras", steps)
    for steps in (2, 3, 7, 8, 9):
        case("dpm_fast", "normal", steps)
    case("dpm_fast", "karras", 10, "v_prediction")
    case("k_euler", "laplace", 7)
    case("k_euler", "turbo", 7)
    case("k_euler", "turbo", 6, shift=3.0)
    for sampler in (*CFG_PP_ANCESTRAL, *SEEDS):
        case(sampler, "normal", 6)
        case(sampler, "karras", 5, "v_prediction")
    for sampler in ("exp_heun_2_x0", "exp_heun_2_x0_sde"):
        case(sampler, "simple", 5, shift=3.0, bar=1e-4)
    for sampler in (*LATEST, "cfgpp_ud10_ab"):
        case(sampler, "normal", 7, bar=1e-4)
        case(sampler, "karras", 5, "v_prediction", bar=1e-4)
        case(sampler, "simple", 5, shift=3.0, bar=1e-4)
        case(sampler, "normal", 1)
    case("seeds_2", "simple", 5, shift=3.0, bar=1e-4)
    case("sa_solver", "normal", 2)
    case("sa_solver", "normal", 6, bar=1e-4)  # noise from the very level on that the second step goes to
    case("sa_solver_pece", "karras", 2)
    case("dpm_adaptive", "normal", 2, bar=1e-4)
    case("dpm_adaptive", "karras", 4, "v_prediction", bar=1e-4)
    for sampler in ("k_dpm_2_a", "dpmpp_2s_a", *SDE_ON_FLOWS):
        bar = 1e-3 if sampler in SDE_ON_FLOWS else 1e-4
        case(sampler, "simple", 5, shift=3.0, bar=bar)
        case(sampler, "beta", 4, shift=1.0, bar=bar)
    path = FIXTURES / "schedulers" / "k_diffusion.json"
    write_json(path, cases)
    report(path.parent, f"{len(cases)} cases")


if __name__ == "__main__":
    main()
