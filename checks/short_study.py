"""A study of many short trials: with the smallest networks and the fewest epochs, so that most of a trial's time is
what running it costs."""

from pathlib import Path

SHORT = """# What does it cost to run a trial?
name: {name}
seed: 1
task: {{name: seq_mem, pattern_length: 2, trials: 20, batch: 16}}
connectome: {{name: "distance_rule:mouse_gamanut"}}
topology: {{neurons_per_region: 1}}
arms: {{{arms}}}
reference_arm: arm0
tune:
  learning_rate: {{loguniform: [1.0e-3, 1.0e-1]}}
  nonlinearity: {{choice: [tanh, relu]}}
search:
  {{trials_per_arm: {each}, shared_settings: {shared}, replicates: {replicates}, max_epochs: {epochs}, grace: {grace}}}
confirm: {{replicates: 2, max_epochs: 2}}
"""


def write_short_study(
    file: Path, name: str, trials: int, *, arms: int = 2, replicates: int = 1, epochs: int = 9, grace: int = 1
) -> None:
    """Writes the YAML of a study with `trials` trials in all, the same number in each arm."""
    if trials % arms:
        raise ValueError(f"{trials} trials can't be divided evenly among {arms} arms")
    names = ", ".join(f"arm{number}: {{}}" for number in range(arms))
    each = trials // arms
    sizes = {"each": each, "shared": min(8, each), "replicates": replicates, "epochs": epochs, "grace": grace}
    file.write_text(SHORT.format(name=name, arms=names, **sizes))
