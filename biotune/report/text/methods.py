"""The methods of a study, written from its actual settings: a text for a paper, and what to cite."""

from collections.abc import Mapping, Sequence
from typing import Any

from biotune.report import formatting
from biotune.report.formatting import count, number, percent, several
from biotune.report.results.looks import planned_looks
from biotune.results import GAIN_KEYS
from biotune.results.documents import State, UsedConnectome
from biotune.statistics import (
    EXACT_PAIRS,
    FAMILY_CONFIDENCE,
    FIRST_SHARE,
    FLIPS,
    LEAST_DRAWS,
    LEAST_SHARE_CONVERGED,
    RESAMPLES,
    look_confidence,
)
from biotune.topology import NULLS, rounding_of

CONTROLS = {
    "frozen": "the reference arm with its recurrent weights left as they were drawn",
    "quarter_radius": "the reference arm at a quarter of its spectral radius",
}
"""Positive control -> what it is, in words."""

SOFTWARE = (
    "Ray Tune: Liaw et al. 2018, arXiv:1807.05118.",
    "ASHA: Li et al. 2020, A system for massively parallel hyperparameter tuning, MLSys 2:230.",
    "Optuna: Akiba et al. 2019, KDD 2623, 10.1145/3292500.3330701.",
    "PyTorch: Paszke et al. 2019, NeurIPS 32:8024.",
    "lifelines: Davidson-Pilon 2019, J. Open Source Softw. 4:1317, 10.21105/joss.01317.",
)
PREDECESSOR = (
    "Recurrent networks from connectomes on working-memory tasks: Goulas, Damicelli & Hilgetag 2021, Neural Networks "
    "142:608, 10.1016/j.neunet.2021.07.011."
)


def methods(study: Mapping[str, Any], state: State, *, dosed: bool, measured: bool) -> list[str]:
    """The paragraphs of the methods.

    Args:
        study: content of study.yaml. state: of the study.
        dosed: whether there is a trend over doses. measured: whether measures were correlated with speed.
    """
    analysis = " ".join([*_analysis(study, state), *_property(dosed, measured)])
    return [_networks(study, state), _search(study), *_conditions(study), analysis]


def citations(state: State) -> list[str]:
    """What to cite: each connectome that was used, without repeats, then the method and the software."""
    used = [used.citation for used in state.connectomes.values() if used.citation]
    return [*dict.fromkeys(used), PREDECESSOR, *SOFTWARE]


def kernels_seen(environment: Mapping[str, Any]) -> str:
    """Which kernels computed the networks, and how far they deviate from the definition; empty if not recorded."""
    seen = [
        f"by at most {max(entry['deviation'].values()):.1g} ({entry['tolerance']:g} allowed) with backend "
        f"{entry['backend']} on {entry['gpu'] or entry['processor']}"
        for entry in environment["kernels"]
    ]
    start = "Compared with their definition in float64, hidden states and gradients deviated in relative norm"
    return f"{start} {'; '.join(dict.fromkeys(seen))}." if seen else ""


def describe_arm(arm: Mapping[str, Any]) -> str:
    """What an arm changes, in a few words: its null and what that keeps, then each key that it sets."""
    parts = []
    null = arm.get("null")
    if null:
        name, fraction = null["name"], null.get("fraction", 1.0)
        share = "" if fraction == 1 else f", {percent(fraction, 1)} of the edges"
        dealt = ", its weights then shuffled" if null.get("weights") == "shuffled" else ""
        keeps = f", which keeps {NULLS[name].keeps}" if name in NULLS else ""
        level = null.get("level", "region")
        # the expansion is ours, the regions are the connectome's
        ours = ": this asks about the layout over neurons, not about the connectome" if level == "neuron" else ""
        parts.append(f"{name.replace('_', ' ')} null of the {level}s{share}{keeps}{dealt}{ours}")
    for section in ("connectome", "topology", "network"):
        parts += [
            f"{key.replace('_', ' ')} {formatting.value(value)}" for key, value in (arm.get(section) or {}).items()
        ]
    return "; ".join(parts) or "as it is"


def _connectome(used: UsedConnectome) -> str:
    return f"{used.name} (in place of {used.asked}, which could not be obtained)" if used.substituted else used.name


def _networks(study: Mapping[str, Any], state: State) -> str:
    task, topology, network = (study[section] for section in ("task", "topology", "network"))
    arms = study["arms"]
    used = list(dict.fromkeys(map(_connectome, state.connectomes.values())))
    # a tuned key has no single value to state here
    tuned = set(study["tune"])
    layout = {key: value for key, value in topology.items() if key not in (*GAIN_KEYS, "gain") and key not in tuned}
    training = {key: value for key, value in network.items() if key != "readout" and key not in tuned}
    options = {key: value for key, value in task.items() if key not in ("name", "trials", "train_share", "batch")}
    shown = f" ({formatting.setting(options)})" if options else ""
    sentences = [
        f"Elman networks were trained on {formatting.task(task['name'])}{shown}, each on {task['trials']} trials of "
        f"its own, {percent(task['train_share'], 1)} of them for training in batches of {task['batch']} and the rest "
        "for validation.",
        f"Their recurrent connections followed {'the connectome' if len(used) == 1 else 'the connectomes'} "
        f"{several(used)}, laid out over neurons ({formatting.setting(layout)}); only connections that are present in "
        "the topology were trained.",
    ]
    neurons, sparsity = topology.get("neurons_per_region"), topology.get("target_sparsity")
    if isinstance(neurons, int) and isinstance(sparsity, int | float) and (came := rounding_of(sparsity, neurons)):
        sentences.append(
            f"A target_sparsity of {formatting.value(sparsity)} means that a neuron reached, of the neurons of a "
            f"target region, {came}."
        )
    if not tuned & set(GAIN_KEYS):
        sentences.append(_gain(topology, arms))
    changes = [(arm or {}).get("network") or {} for arm in arms.values()]
    signed = "signs" in tuned or any(part.get("signs", "none") != "none" for part in (network, *changes))
    shared_values = (
        "the magnitudes of its initial recurrent values" if signed else "the set of its initial recurrent values"
    )
    sentences += [
        f"Networks and their training: {formatting.setting(training)}.",
        *_readout(study),
        f"The arms were {several(f'{name} ({describe_arm(arm or {})})' for name, arm in arms.items())}.",
        f"A replicate is one network with its own draw of topology, weights and data, all from seed {study['seed']}; "
        f"replicate r of every arm shares its data, its input weights and {shared_values}.",
    ]
    return " ".join(sentences)


def _gain(topology: Mapping[str, Any], arms: Mapping[str, Any]) -> str:
    """What the initial recurrent matrix was scaled to."""
    radius, norm = (topology.get(key) for key in GAIN_KEYS)
    own = {key for arm in arms.values() for key in (arm or {}).get("topology") or {}} & set(GAIN_KEYS)
    if norm is not None:
        was = f"The initial recurrent matrix was scaled to a Frobenius norm of {formatting.value(norm)}"
        same = "frobenius_norm"
    else:
        gain = "not set" if radius is None else f"scaled to {formatting.value(radius)}"
        was, same = f"The spectral radius of the initial recurrent matrix was {gain}", "spectral_radius"
    unless = (
        "" if not own else ", unless the arm sets another" if own == {same} else ", unless the arm sets its own scale"
    )
    factor = topology.get("gain", 1.0)
    times = "" if factor == 1 else f" It was then multiplied by {formatting.value(factor)}."
    return f"{was}{unless}.{times}"


def _conditions(study: Mapping[str, Any]) -> list[str]:
    """A paragraph on the conditions; none if there is the primary alone."""
    others = list(study["conditions"].items())[1:]
    sweep, sentences = study.get("gain"), []
    if others:
        described = [f"{name} ({_condition(condition or {})})" for name, condition in others]
        sentences.append(
            f"Besides this primary condition, all arms were confirmed under {several(described)}, at the same tuned "
            "setting but for what the condition sets, and on the same replicates."
        )
    if sweep:
        scales, rates = (several(map(formatting.value, sweep[key])) for key in ("scales", "learning_rates"))
        sentences.append(
            f"For the curves of gain, the initial recurrent matrix of each arm was multiplied by {scales}, each at the "
            f"learning rates {rates}. Each arm's own best point was chosen on the seeds of the search, by restricted "
            "mean updates to criterion, and compared on those of the confirmation."
        )
    if not sentences:
        return []
    sentences.append(
        "Outside the primary condition, networks that were trained together ended once all of them had met the "
        "criterion and held it."
    )
    if others:
        sentences.append(
            "A direction is said to hold in every condition if each condition's interval shows it (Berger 1982, "
            "Technometrics 24:295), in at least u of K by the partial-conjunction p (Benjamini & Heller 2008, "
            "Biometrics 64:1215), and a single condition is an exception only by intervals that hold together over "
            f"arms and conditions: their critical value is that of the least p over {FLIPS:,} random signs of whole "
            "replicates (Westfall & Young 1993)."
        )
    return [" ".join(sentences)]


def _condition(condition: Mapping[str, Any]) -> str:
    """What a condition sets, and on how many replicates."""
    setting = {k: v for section in ("task", "topology", "network") for k, v in (condition.get(section) or {}).items()}
    pairs = condition.get("replicates")
    return formatting.setting(setting) + (f", {pairs} replicates" if pairs else "")


def _readout(study: Mapping[str, Any]) -> list[str]:
    """Which neurons the readout saw; nothing if it saw all of them in every arm."""
    share, tuned = study["network"].get("readout", 1.0), "readout" in study["tune"]
    differs = any("readout" in ((arm or {}).get("network") or {}) for arm in study["arms"].values())
    if share == 1 and not tuned and not differs:
        return []
    saw = "a tuned share" if tuned else "all" if share == 1 else percent(share, 1)
    unless = ", unless the arm sets another share" if differs else ""
    return [
        f"The readout saw {saw} of the neurons{unless}, drawn at random in each replicate; in replicate r they are the "
        "same neurons in every arm of the same size."
    ]


def _search(study: Mapping[str, Any]) -> str:
    search, tune = study["search"], study["tune"]
    domains = []
    for key, domain in tune.items():
        [(kind, values)] = domain.items()
        if kind == "choice":
            domains.append(f"{key} (one of {several([formatting.value(v) for v in values], 'or')})")
        else:
            domains.append(f"{key} ({kind}, {number(values[0])} to {number(values[1])})")
    shared, trials = search["shared_settings"], search["trials_per_arm"]
    if search["sampler"] == "grid":
        proposals = "Every arm tried every combination of these values once"
    else:
        later = {"tpe": "a tree-structured Parzen estimator", "random": "random draws"}[search["sampler"]]
        proposals = f"The first {count(shared, 'trial')} of every arm used the same quasi-random (Sobol) settings"
        if shared < trials:
            proposals += (
                f", the other {trials - shared} proposed by {later} (Optuna) that used the trials of that arm alone"
            )
    if search["grace"] >= search["max_epochs"]:
        stopping, rungs = "No trial was stopped early.", ""
    else:
        stopping = (
            f"Asynchronous successive halving (ASHA, grace {search['grace']} epochs, reduction {search['reduction']}) "
            "stopped trials by comparison with trials of the same arm only."
        )
        rungs = (
            " At a rung a network that had not met the criterion yet counted with the whole budget, so that the loss "
            "decided between trials in which none had."
        )
    return (
        f"Search: within each arm, {several(domains)} {'was' if len(domains) == 1 else 'were'} tuned over "
        f"{count(trials, 'trial')} of {count(search['replicates'], 'replicate')} and at most {search['max_epochs']} "
        f"epochs. {proposals}. {stopping} Sampler, early stopping and the choice of settings had one objective: the "
        "mean over a trial's networks of their updates to criterion, with the budget for a network that had not met "
        "it, plus l / (1 + l), l the median of their best validation losses, which is less than one update and so "
        f"decides only where updates are equal.{rungs}"
    )


def _analysis(study: Mapping[str, Any], state: State) -> list[str]:
    confirm, criterion = study["confirm"], study["criterion"]
    reference, margin = study["reference_arm"], study["equivalence_margin"]
    level, budget = state.criterion.level, state.budget
    compared = len(study["arms"]) - 1
    replicates, common = confirm["replicates"], study["search"]["shared_settings"]
    looks = planned_looks(study)
    over_looks, unadjusted = (", and over the looks", " for arms or looks") if len(looks) > 1 else ("", "")
    if looks[0] > EXACT_PAIRS:
        p = "by seeded Monte Carlo over random sign flips"
    elif len(looks) > 1:
        p = f"exact, over all sign flips, up to {EXACT_PAIRS} pairs, otherwise by seeded Monte Carlo over random ones"
    else:
        p = f"exact, over all 2^{replicates} sign flips"
    sentences = [
        f"Confirmation: {count(replicates, 'new replicate')} per arm, with seeds and data that the search had not "
        f"used, were trained for {confirm['max_epochs']} epochs ({number(budget)} updates) without early stopping "
        f"(and {count(criterion['sustain'] - 1, 'evaluation')} more, so that a late crossing could be seen to hold), "
        + (
            f"in two ways. First, at a setting chosen for each arm and {reference}: of the {common} common settings "
            "the one of minimax regret, which minimises the larger of the two arms' regrets, log of an arm's updates "
            "to criterion there over its least at any of them, in the search; a setting at which one of the two did "
            "not train was taken only if there was no other. Second, each arm at its own best of the same common "
            "settings. Both are primary, and a direction is claimed only if both have it, so no further adjustment is "
            "needed (intersection-union test, Berger 1982). What a pair is compared at depends on these two arms alone."
            if compared
            else f"at the best of the {common} common settings."
        ),
        f"The criterion was a validation loss of {number(level)} ({percent(criterion['fraction_of_null'], 2)} of the "
        f"null predictor's), held for {count(criterion['sustain'], 'evaluation')} in a row; updates to criterion are "
        "optimiser steps to the first such crossing, interpolated in log loss between evaluations, and censored at "
        "the budget.",
    ]
    if compared:
        sentences.append(
            f"The effect is the ratio of updates to criterion, arm to {reference}, as the geometric mean over pairs of "
            f"replicates, with a paired t interval on the log ratio at {_levels(looks, compared)} (95 % over "
            f"{count(compared, 'comparison')}, Bonferroni{over_looks}). An arm is faster if the interval lies "
            f"wholly below {number(1 / (1 + margin))}, slower if wholly above {number(1 + margin)}; faster or slower "
            "with its size open if the interval lies on one side of 1 but not wholly beyond the margin; slightly "
            "faster or slower if it lies on one side of 1 and wholly within the margin; equivalent if it contains 1 "
            "and lies wholly within the margin; otherwise it is undecided. The margin was part of the study's file "
            f"before the run. It is not comparable if fewer than {percent(LEAST_SHARE_CONVERGED)} of the replicates of "
            "the faster side met the criterion. If only replicates of the slower side did not, the difference is a "
            "lower bound; if a few of the faster side did not, a direction is said only if a two-sided sign test of "
            "the pairs at the same confidence agrees, and the size is left open. For equivalent and slightly faster or "
            "slower, all replicates must have met it. "
            f"The p values are two-sided sign-flip tests of the log ratios ({p}), "
            f"not adjusted{unadjusted}; shares have Wilson intervals (95 %), and Kaplan–Meier curves show the "
            "replicates that met the criterion over time. Beside the paired t intervals, bootstrap-t intervals are "
            f"given ({RESAMPLES:,} resamples of the pairs)."
        )
        if len(looks) > 1:
            sentences.append(_looks(looks))
        if compared > 1:
            pairs = compared * (compared + 1) // 2
            sentences.append(
                f"Every arm was compared with every other, each at its own best setting, with intervals at "
                f"{_levels(looks, pairs)} (95 % over {pairs} pairs of arms{over_looks})."
            )
        nulls = any((arm or {}).get("null") for arm in study["arms"].values())
        if nulls and replicates >= LEAST_DRAWS:
            sentences.append(
                f"The rank of {reference} among the {replicates} draws of each null is given with a two-sided "
                "permutation p, (1 + number of draws at least as far from the mean of all) / (draws + 1); each draw is "
                "compared with the reference's network of the same pair, at the setting of the pair."
            )
    if control := study.get("positive_control"):
        sentences.append(
            f"As a positive control, {CONTROLS[control]} was trained in the same way as the arms, had "
            "no part in the settings of the arms, and was compared with {reference} on its own, at "
            f"{percent(FAMILY_CONFIDENCE)}."
        )
    return sentences


def _levels(looks: Sequence[int], compared: int) -> str:
    """98.33 %; or 98.67, 99.8 and 99.71 % at the looks."""
    levels = [percent(look_confidence(looks, look, compared), 2) for look in looks]
    return levels[0] if len(looks) == 1 else f"{several(levels)} at {several(map(str, looks))} pairs"


def _looks(looks: Sequence[int]) -> str:
    return (
        f"Looks at {several(map(str, looks))} pairs were planned before the run. The error probability of each "
        f"interval was spent over them, {percent(FIRST_SHARE)} at the first and the rest in proportion to the pairs "
        "that are added (Lan & DeMets 1983, Biometrika 70:659), so that the intervals of all looks hold together "
        "(repeated confidence intervals, Jennison & Turnbull 1989, J. R. Stat. Soc. B 51:305). An arm went on to the "
        "next look only if one of its two verdicts was undecided or had its size open, and the reference as long as "
        "any arm did; the comparison of arms with each other uses the pairs that both have. The other conditions have "
        "pairs of the first look alone. Pairs past the last planned look are a replication, and are analysed alone."
    )


def _property(dosed: bool, measured: bool) -> list[str]:
    sentences = []
    if dosed:
        sentences.append(
            "The trend over doses is the slope of log updates within each replicate on the share of the matrix's "
            "entries that the null changed (an arm's mean over its draws), with a t interval over replicates."
        )
    if measured:
        sentences.append(
            "Measures of the topologies, and of the networks before training, were correlated with updates to "
            "criterion (Spearman) within arms, with jackknife intervals over replicates of Fisher's z, and over all "
            "networks, without an interval, since arms were chosen and differ in many measures at once; these are "
            "associations."
        )
    return sentences
