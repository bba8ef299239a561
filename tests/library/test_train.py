"""Populations trained in this process, and their networks."""

from pathlib import Path

import numpy as np
import pytest
import torch

import biotune as bt

TASK = {"name": "seq_mem", "pattern_length": 2, "trials": 60, "batch": 16}
CORTEX = bt.load_connectome("distance_rule:mouse_gamanut", rng=1)
TOPOLOGY = bt.expand(CORTEX, neurons_per_region=2, rng=1)
REWIRED = bt.rewire(TOPOLOGY, "degree_preserving", rng=1)
FAST = {"learning_rate": 0.03}


@pytest.fixture(scope="module")
def trained() -> bt.Training:
    return bt.train([TOPOLOGY, REWIRED], TASK, epochs=6, network=FAST, kernels="torch_csr")


def test_curves_have_a_row_per_network_and_epoch(trained: bt.Training) -> None:
    epochs = 6 + 3 - 1 + 1  # the budget, two more to see whether a criterion holds, and before training
    assert list(trained.curves) == ["network", "epoch", "updates", "training_loss", "validation_loss"]
    assert trained.curves.groupby("network").size().to_dict() == {0: epochs, 1: epochs}
    assert trained.curves["updates"].max() == 8 * 3
    assert trained.curves["training_loss"].isna().sum() == 2
    last = trained.curves[trained.curves["epoch"] == 6].set_index("network")["validation_loss"]
    assert last.tolist() == pytest.approx(trained.convergence["final_loss"].tolist())
    assert (last < 0.5 * trained.curves["validation_loss"][0]).all()


def test_only_edges_have_weights(trained: bt.Training) -> None:
    for network, topology in zip(trained.networks, [TOPOLOGY, REWIRED], strict=True):
        assert network.topology.digest == topology.digest
        matrix = network.W.toarray()
        absent = np.ones_like(matrix, bool)
        absent[topology.target, topology.source] = False
        assert not matrix[absent].any()
        assert (matrix[topology.target, topology.source] == network.values).all()


def test_a_network_alone_is_trained_as_in_company(trained: bt.Training) -> None:
    alone = bt.train(TOPOLOGY, TASK, epochs=6, network=FAST, kernels="torch_csr")
    np.testing.assert_allclose(alone.networks[0].values, trained.networks[0].values, rtol=1e-4, atol=1e-6)
    again = bt.train(TOPOLOGY, TASK, epochs=6, network=FAST, kernels="torch_csr", rng=1)
    assert not np.allclose(again.networks[0].W_in, alone.networks[0].W_in, atol=1e-3)


def test_networks_of_two_calls_share_all_but_their_topology() -> None:
    one, other = (bt.train(t, TASK, epochs=1, network={"learning_rate": 1e-30}) for t in (TOPOLOGY, REWIRED))
    assert (one.networks[0].W_in == other.networks[0].W_in).all()
    assert (one.networks[0].W_out == other.networks[0].W_out).all()


def test_outputs_have_the_loss_that_training_says(trained: bt.Training) -> None:
    network = trained.networks[0]
    inputs, targets = (getattr(network.task.trials(30, np.random.default_rng(7)), n) for n in ("inputs", "targets"))
    outputs = network(inputs)
    assert outputs.shape == (30, network.task.time, 1)
    loss = float(np.mean((outputs[:, network.task.scored] - targets) ** 2))
    assert loss == pytest.approx(trained.convergence["test_loss"][0], rel=0.5)
    assert network.states(inputs).shape == (30, network.task.time, TOPOLOGY.size)
    np.testing.assert_array_equal(network(inputs[3]), outputs[3])


def test_a_dense_network_of_pytorch_has_the_same_outputs_and_a_warning(trained: bt.Training) -> None:
    network = trained.networks[1]
    inputs = network.task.trials(20, np.random.default_rng(7)).inputs
    with pytest.warns(UserWarning, match=r"edges that the wiring doesn't have are weights of 0"):
        rnn, readout = network.to_torch()
    with torch.no_grad():
        outputs = readout(rnn(torch.from_numpy(inputs))[0]).numpy()
    np.testing.assert_allclose(outputs, network(inputs), atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"readout": 0.5}, {"signs": 0.2, "dale": True, "remap": "magnitude"}])
def test_a_saved_network_is_read_to_the_last_bit(options: dict, tmp_path: Path) -> None:
    [network] = bt.train(TOPOLOGY, TASK, epochs=2, network=FAST | options | {"nonlinearity": "relu"}).networks
    read = bt.load_network(network.save(tmp_path / "net.npz"))
    inputs = network.task.trials(5, np.random.default_rng(0)).inputs
    np.testing.assert_array_equal(read(inputs), network(inputs))
    assert read.topology.digest == network.topology.digest
    assert (read.details, read.labels, repr(read)) == (network.details, network.labels, repr(network))
    for name in ("read", "signs"):
        np.testing.assert_array_equal(getattr(read, name), getattr(network, name))
    assert (network.read is None) == ("readout" not in options)
    if "dale" in options:
        assert ((network.signs * network.values) >= 0).all()
    if network.read is not None:
        assert not np.delete(network.W_out, network.read, axis=1).any()


def test_labels_are_regions_and_places_in_them(trained: bt.Training) -> None:
    labels = trained.networks[0].labels
    assert labels[:3] == ["0.0", "0.1", "1.0"]
    assert len(set(labels)) == TOPOLOGY.size
    names = [f"area {number}" for number in range(CORTEX.size)]
    [named] = bt.train(TOPOLOGY, TASK, epochs=1, regions=names).networks
    assert named.labels[:3] == ["area 0.0", "area 0.1", "area 1.0"]


def test_inputs_that_are_none_are_named(trained: bt.Training) -> None:
    for inputs, found in (("seq_mem", "found str"), (np.zeros((3, 4)), r"found \[3, 4\]")):
        with pytest.raises(bt.UserError, match=rf"\[trials, time, 2\], or \[time, 2\] of one trial is needed, {found}"):
            trained.networks[0](inputs)


def test_a_large_network_is_not_made_dense() -> None:
    large = bt.load_connectome("watts_strogatz", size=5000, neighbours=2, rewiring=0.0)
    topology = bt.expand(large, neurons_per_region=1, intrinsic=False, rng=1)
    [network] = bt.train(topology, TASK, epochs=1, kernels="torch_csr", spectral_radius=None).networks
    with pytest.raises(bt.UserError, match=r"5,000 neurons make a dense matrix of 25,000,000 weights; .*4,096"):
        network.to_torch()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"task": {"name": "seq_mem", "patern_length": 2}}, "did you mean 'pattern_length'"),
        ({"task": "seqmem"}, "task.name: unknown task 'seqmem'; did you mean 'seq_mem'"),
        ({"network": {"learning_rate": -1, "momentun": 2}}, "(?s)network.momentun: unknown key.*network.learning_rate"),
        ({"network": {"start_from": {"results": "x"}}}, "start_from"),
        ({"spectral_radius": -1.0}, "topology.spectral_radius: input should be greater than 0, found -1"),
        ({"epochs": 0}, "epochs: a whole number of at least 1 is needed, found 0"),
        ({"fraction_of_null": 2}, r"within \(0, 1\), and at least 1; found 2"),
        ({"device": "tpu"}, "device: 'tpu' is not there; this machine has cpu"),
        ({"kernels": "fast"}, "unknown kernels 'fast'"),
        ({"topologies": []}, "topologies: none is given"),
        ({"topologies": CORTEX}, "Topology objects are needed, found a Connectome"),
        ({"rng": -1}, "rng: .* found -1"),
        ({"regions": ["a"]}, "regions: 1 names for more regions"),
        ({"topologies": [CORTEX]}, "Topology objects are needed, found a Connectome"),
        (
            {"topologies": [TOPOLOGY, bt.expand(CORTEX, rng=1)]},
            r"found 38 neurons and \d+ edges; 76 neurons and \d+ edges; those of one call",
        ),
    ],
)
def test_bad_input_is_named(options: dict, said: str) -> None:
    given = {"topologies": [TOPOLOGY], "task": TASK, "epochs": 1} | options
    with pytest.raises(bt.UserError, match=said):
        bt.train(**given)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04"])
def test_a_file_that_holds_no_network_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "net.npz"
    file.write_bytes(content)
    with pytest.raises(bt.UserError, match=r"net.npz: holds no network"):
        bt.load_network(file)
    with pytest.raises(bt.UserError, match="no such file"):
        bt.load_network(tmp_path / "other.npz")
    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
    with pytest.raises(bt.UserError, match=r"arrays.npz: holds no network"):
        bt.load_network(tmp_path / "arrays.npz")
