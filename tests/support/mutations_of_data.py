"""Faults of data, protocols and inference, each with the number of the gate that must move."""

import numpy as np
from faults import Mutation, constant, edit, row


def low_resolution_border(patch):
    from suite.data import resize
    from suite.data.degrade import degradations

    def clamped(picture, factor):
        scale = round(1 / factor)
        padded = np.pad(picture, ((4 * scale,) * 2, (4 * scale,) * 2, (0, 0)), mode="edge")  # repeated where MATLAB mirrors
        return resize.imresize(padded, factor)[4:-4, 4:-4]

    patch.setattr(degradations, "imresize", clamped)


def averaged_errors(patch):
    from suite.records.record import Record

    def over_the_set(self, metric):
        values = np.array([score.metrics[metric] for score in self.scores])
        return float(-10 * np.log10(np.mean(10 ** (-values / 10)))) if metric.startswith("PSNR") else float(values.mean())

    patch.setattr(Record, "mean", over_the_set)


OF_DATA = (
    Mutation("LR made with the wrong border", "data", "sr-x4", "data/sr-x4/", low_resolution_border),
    Mutation("shrunk without antialiasing", "data", "resizing", "x0.5", edit("suite.data.resize:_matlab_taps", "min(scale, 1.0)", "1.0")),
    Mutation(
        "a seed not passed on to the images",
        "data",
        "derain",
        "data/derain/",
        edit("suite.data.degrade.degradations:image_rng", "(seed, *names)", "(seed, *names[:-1])"),
    ),
    Mutation(
        "a seed not passed on to the sampler",
        "data",
        "sr-x2",
        "batch 0 of seed 1",
        edit("suite.data.feed.sampler:PatchSampler._drawn", "image_rng(self.seed,", "image_rng(0,"),
    ),
    Mutation(
        "training patches not turned",
        "data",
        "sr-x2",
        "batch",
        edit("suite.data.feed.sampler:PatchSampler._symmetry", "transpose and self.rotate", "False"),
    ),
    Mutation(
        "patches a pixel off",
        "data",
        "sr-x2",
        "batch",
        edit("suite.data.feed.sampler:PatchSampler._aligned", "left * scale", "left * scale + 1"),
    ),
    Mutation(
        "batches come an iteration late",
        "data",
        "sr-x2",
        "as loaded",
        edit("suite.data.feed.loader:_Batches.__getitem__", "self.first + number", "self.first + number - 1"),
    ),
    Mutation(
        "noise in the other order of channels",
        "data",
        "denoise-15",
        "data/denoise-15/",
        edit("suite.data.degrade.noise:published_noise", 'order == "bgr"', 'order == "rgb"'),
    ),
    Mutation(
        "noise of sigma over 256",
        "data",
        "denoise-25",
        "data/denoise-25/",
        edit("suite.data.degrade.noise:published_noise", "sigma / 255", "sigma / 256"),
    ),
    Mutation(
        "JPEG quality off by one",
        "data",
        "jpeg-40",
        "data/jpeg-40/",
        edit("suite.data.degrade.jpeg:compress", "quality=quality", "quality=quality + 1"),
    ),
    Mutation(
        "Y conversion rounded",
        "protocols",
        "made-up pairs",
        "sr-y@1/colour/PSNR-Y",
        edit(
            "suite.data.colour:luma",
            "return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + 16",
            "return np.rint(LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + 16)",
        ),
    ),
    Mutation(
        "crop off by one",
        "protocols",
        "made-up pairs",
        "sr-y@1/colour/PSNR-Y",
        edit("suite.study.protocols:Protocol.border", "return scale if", "return scale + 1 if"),
    ),
    Mutation("PSNR averaged over the data set instead of over images", "protocols", "made-up pairs", "PSNR-Y/mean", averaged_errors),
    Mutation("SSIM's window too wide", "protocols", "made-up pairs", "SSIM-Y", constant("suite.measure.quality.fidelity:SIGMA", 1.6)),
    Mutation(
        "SSIM's constant of another peak",
        "protocols",
        "made-up pairs",
        "SSIM-Y",
        constant("suite.measure.quality.fidelity:C2", (0.03 * 256) ** 2),
    ),
    Mutation(
        "outputs truncated instead of rounded",
        "protocols",
        "made-up pairs",
        "PSNR-RGB",
        edit("suite.data.colour:quantise", "np.rint(clamp(image) * 255)", "(clamp(image) * 255)"),
    ),
    Mutation(
        "LPIPS fed 0..1 instead of -1..1",
        "protocols",
        "LPIPS",
        "LPIPS",
        edit("suite.measure.quality.perceptual:_centred", '2 * unit_planes(image, "LPIPS") - 1', 'unit_planes(image, "LPIPS")'),
    ),
    Mutation(
        "grey files repeated where MATLAB takes the plane",
        "protocols",
        "made-up pairs",
        "sr-y-rounded@2/grey",
        row("suite.study.protocols:PROTOCOLS", "sr-y-rounded@2", grey="repeat"),
    ),
    Mutation(
        "targets not cropped to the scale",
        "protocols",
        "baselines",
        "baselines",
        edit("suite.data.sets:PairSource.load", "_cropped(self.title, hq, scale)", "np.ascontiguousarray(hq[scale:, scale:])"),
    ),
    Mutation(
        "self-ensemble turned back the wrong way",
        "inference",
        "tiles and ensembles",
        "self-ensemble",
        edit("suite.measure.inference.ensemble:turn_back", "symmetry & 2", "symmetry & 1"),
    ),
    Mutation(
        "tiles overlap by half", "inference", "tiles and ensembles", "feathered", constant("suite.measure.inference.tiling:OVERLAP", 1 / 16)
    ),
    Mutation(
        "the authors' tiles not extended",
        "inference",
        "tiles and ensembles",
        "authors",
        edit("suite.measure.inference.tiling:authors_spans", "part // 10", "part // 9"),
    ),
    Mutation(
        "a small picture lengthened by zeros",
        "inference",
        "restorers",
        "network/small",
        edit("suite.measure.inference.restorer:restorer_of", 'mode="edge"', 'mode="constant"'),
    ),
    Mutation(
        "a grey picture's first output alone",
        "inference",
        "restorers",
        "network/grey",
        edit("suite.measure.inference.restorer:forward", ".mean(dim=1, keepdim=True)", "[:, :1]"),
    ),
)
