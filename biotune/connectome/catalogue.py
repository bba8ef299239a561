"""The connectomes that are known by name: what each one is, where its file lies, and which way it is stored.

A wrong orientation goes unnoticed, so each entry gives the evidence for its own. FLN (fraction of labelled neurons) is
normalised per target region, the one that was injected: summed over the sources of one target it is at most 1. So if
all column sums are below 1, columns are targets, and if all row sums are, rows are targets.
"""

from dataclasses import dataclass, field

from biotune.connectome.readers.reading import Reading
from biotune.io.published import DataFile

BIO2ART = "AlGoulas/bio2art/e46de2b7cb9b4063cb7b3728ef9d1b709be78c79/bio2art/connectomes"
"""Repository, commit and folder of the bio2art files, as GitHub's raw addresses have them."""

C302 = "openworm/c302/9cccbab97fbaa5e682e128b0e819a5fb6c129618/c302/data"
GRASPOLOGIC = "graspologic-org/graspologic/0aab4e0dd9a3387b0d761b4a0bb7ffd2a1a5ea25/graspologic/datasets/drosophila"

_PACKAGE = "https://doi.org/10.1016/j.neunet.2021.07.011"


@dataclass(frozen=True)
class Entry:
    """One connectome of the catalogue.

    Args:
        name: what a study calls it.
        species: in English.
        size, edges: number of nodes, and of directed edges between them (or from a node to itself).
        file: who connects to whom.
        names: the file of the region names, a pickled list of strings, if they are in a file of their own.
        transposed: whether the file is a matrix stored `[target, source]`.
        evidence: how the orientation is known.
        citation: the paper that published the data, with its DOI.
        licence: as stated where the file is published.
        nodes: what the nodes are, in the plural: regions, cells or neurons.
        cell_types: a text file with the type of one cell per line, if the cells have no names.
        reading: how the file is read, apart from its orientation.
    """

    name: str
    species: str
    size: int
    edges: int
    file: DataFile
    names: DataFile | None
    transposed: bool
    evidence: str
    citation: str
    licence: str = f"MIT, as part of bio2art (Goulas, Damicelli & Hilgetag 2021, {_PACKAGE})"
    nodes: str = "regions"
    cell_types: DataFile | None = None
    reading: Reading = field(default_factory=Reading)

    @property
    def orientation(self) -> str:
        """How the file is stored, with the evidence."""
        if self.reading.rows:
            return self.evidence
        return f"stored [{'target, source' if self.transposed else 'source, target'}]: {self.evidence}"


def _bio2art(stem: str, matrix_sha256: str, names_sha256: str) -> tuple[DataFile, DataFile]:
    matrix, names = f"C_{stem}.npy", f"Names_{stem}.lst"
    return (
        DataFile(f"bio2art/{matrix}", matrix_sha256, f"{BIO2ART}/{matrix}"),
        DataFile(f"bio2art/{names}", names_sha256, f"{BIO2ART}/{names}"),
    )


_ENTRIES = (
    Entry(
        "macaque",
        "macaque",
        29,
        536,
        *_bio2art(
            "Macaque_Normalized",
            "a035600c31457640b7eb625df6f8feb171a696b11c420743096cb6dfc79cc380",
            "9820446d064d3d6afa372d35d450419d3b0c8bfb4f7d195a28b8c32c428c0072",
        ),
        transposed=False,
        evidence="FLN; every column sums to less than 1 (at most 0.951), rows reach 1.352",
        citation="Markov et al. 2014, Cerebral Cortex 24:17, https://doi.org/10.1093/cercor/bhs270",
    ),
    Entry(
        "marmoset",
        "marmoset",
        55,
        1862,
        *_bio2art(
            "Marmoset_Normalized",
            "399898de2f1aadf4f16b15fc18c468ef34d37e8dfc875ad2d48858ac6b42841f",
            "1f6979d831a11a05e61ba78b8334384773a787b3b7ec33641b3b0725a471f97f",
        ),
        transposed=False,
        evidence="FLN; every column sums to less than 1 (at most 0.972), rows reach 1.988",
        citation="Majka et al. 2016, Journal of Comparative Neurology 524:2161, https://doi.org/10.1002/cne.24023",
    ),
    Entry(
        "mouse_gamanut",
        "mouse",
        19,
        329,
        *_bio2art(
            "Mouse_Gamanut_Normalized",
            "6ef106c8f11ed51596e40aacd18986e743e772a67d7b55ab07c7e405d326069b",
            "7f9d814be7808f656681c986b7d3c60272e6a176cf92adc2d65a9931791ed6b9",
        ),
        transposed=True,
        evidence="FLN; every row sums to less than 1 (at most 0.795), columns reach 2.264",
        citation="Gămănuţ et al. 2018, Neuron 97:698, https://doi.org/10.1016/j.neuron.2017.12.037",
    ),
    Entry(
        "mouse_ypma_oh",
        "mouse",
        56,
        1975,
        *_bio2art(
            "Mouse_Ypma_Oh",
            "779deaf06102fe153f472121777846463a4a9c46754fbbacef6c9f9effa07863",
            "e56807c9d87e43103d3a0e712a0e8640988963cee6943b349458099cc9fa9947",
        ),
        transposed=False,
        evidence="not FLN, so the numbers do not show it; taken as in bio2art",
        citation=(
            "Rubinov, Ypma et al. 2015, PNAS 112:10032, https://doi.org/10.1073/pnas.1420315112; "
            "Oh et al. 2014, Nature 508:207, https://doi.org/10.1038/nature13186"
        ),
    ),
    Entry(
        "drosophila",
        "fruit fly",
        49,
        1950,
        *_bio2art(
            "Drosophila",
            "98a0348f936e12f9a73c7ff411bb19afd41ef3323347dd0cdc42cac93e752c0a",
            "008636c771e0d0877d984948a3d1d8e3696e79f563a04f7989d9aacb04da34d2",
        ),
        transposed=False,
        evidence="counts, not FLN, so the numbers do not show it; taken as in bio2art",
        citation="Chiang et al. 2011, Current Biology 21:1, https://doi.org/10.1016/j.cub.2010.11.056",
    ),
    Entry(
        "human",
        "human",
        57,
        632,
        *_bio2art(
            "Human_Betzel_Normalized",
            "6e1355b4cd92a3f82c65338c8e8df5203e2d7a3d29c9a33bf5470fdf733ca1ed",
            "ea2c35627aa48969ce3ef31390e505df8757c143997ddaacec8d2361bc3c6bb4",
        ),
        transposed=False,
        evidence="symmetric (diffusion tractography has no direction)",
        citation="Betzel & Bassett 2018, PNAS 115:E4880, https://doi.org/10.1073/pnas.1720186115",
    ),
)

_WORM_SYNAPSES = DataFile(
    "celegans/herm_full_edgelist.csv",
    "142693f17556148d7f962835b18ac6dd5af18b7467eef61815ebc1dd5474c0ca",
    f"{C302}/herm_full_edgelist.csv",
)


def _worm(name: str, cells: int, edges: int, types: list[str], evidence: str) -> Entry:
    return Entry(
        name,
        "nematode (C. elegans, hermaphrodite)",
        cells,
        edges,
        _WORM_SYNAPSES,
        None,
        transposed=False,
        evidence=f"an edge list with the columns Source and Target; {evidence}",
        citation="Cook et al. 2019, Nature 571:63, https://doi.org/10.1038/s41586-019-1352-7",
        licence="MIT, as part of c302 (OpenWorm)",
        nodes="cells",
        reading=Reading(rows={"Type": types}),
    )


_WORM = (
    _worm(
        "celegans",
        448,
        6625,
        ["chemical", "electrical"],
        "chemical synapses and gap junctions of the same pair are summed",
    ),
    _worm(
        "celegans_chemical",
        419,
        4681,
        ["chemical"],
        "121 muscles and other end organs have inputs and no outputs, as is expected of targets",
    ),
    _worm(
        "celegans_electrical",
        443,
        2698,
        ["electrical"],
        "gap junctions: 2652 of 2684 have an equal in reverse",
    ),
)


def _mushroom_body(side: str, cells: int, edges: int, matrix_sha256: str, types_sha256: str) -> Entry:
    matrix, types = f"{side}_adjacency.csv", f"{side}_cell_labels.csv"
    return Entry(
        f"mushroom_body_{side}",
        "fruit fly larva",
        cells,
        edges,
        DataFile(f"larva_mb/{matrix}", matrix_sha256, f"{GRASPOLOGIC}/{matrix}"),
        None,
        transposed=False,
        evidence="inferred: the projection neurons (P), which bring the input, have empty columns and no empty row",
        citation="Eichler et al. 2017, Nature 548:175, https://doi.org/10.1038/nature23455",
        licence="MIT, as part of graspologic",
        nodes="neurons",
        cell_types=DataFile(f"larva_mb/{types}", types_sha256, f"{GRASPOLOGIC}/{types}"),
    )


_LARVA = (
    _mushroom_body(
        "left",
        209,
        7425,
        "f23ba630f10dff95164ddbbdccf7d4fe1ac01a9a8ed77db26069af4a6248a1cf",
        "a733652a33d5dde5c7cbdc9d8c0e679680cd000dc11edf3ea762a4da43b764c9",
    ),
    _mushroom_body(
        "right",
        213,
        7536,
        "b9684d323e3f91ac5bf8c3691ff3e0635ef40fa2dee8e048161633760c84791d",
        "80547ac9df6b3fc5abe5844c04bc5da56b48c7cac5eb13ab3cc2f8695cd6de1d",
    ),
)

CATALOGUE = {entry.name: entry for entry in (*_ENTRIES, *_WORM, *_LARVA)}
"""Name -> entry."""
