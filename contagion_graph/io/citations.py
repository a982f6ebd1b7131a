"""Whose work a model, a rule or a measure rests on, as BibTeX; the entries stand in references.bib."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import pandas as pd

from contagion_graph.errors import ParameterError, nearest

# the names of records, functions and measures; () where there is no single source
CITED: dict[str, tuple[str, ...]] = {
    "MarginCascade": (),
    "Equilibria": ("tarski1955",),
    "VulnerableBanks": ("greenwood2015",),
    "RegulatedBanks": ("farmer2020", "cont2017"),
    "EisenbergNoe": ("eisenberg2001", "elsinger2009"),
    "RogersVeraart": ("rogers2013",),
    "CommonAssetClearing": ("cifuentes2005", "amini2016"),
    "DebtRank": ("bardoscia2015", "bardoscia2016", "battiston2012"),
    "Furfine": ("furfine2003",),
    "ThresholdCascade": ("gai2010", "watts2002"),
    "NetworkValuation": ("barucca2020",),
    "RecoveryValue": ("furfine2003",),
    "EisenbergNoeValue": ("eisenberg2001",),
    "RogersVeraartValue": ("rogers2013",),
    "DebtRankValue": ("bardoscia2015",),
    "MertonValue": ("merton1974",),
    "BlackCoxValue": ("black1976",),
    "RecoveryMertonValue": ("merton1974",),
    "FailureCost": ("elliott2014",),
    "LinearImpact": ("kyle1985", "greenwood2015"),
    "ExponentialImpact": ("cifuentes2005",),
    "FloorExponentialImpact": ("cont2017",),
    "SquareRootImpact": ("breuer2023",),
    "ConstantProductImpact": ("angeris2020",),
    "OrderBookImpact": ("cont2014",),
    "FullLiquidation": (),
    "TargetMargin": (),
    "CloseFactor": ("aave2025",),
    "LeverageTarget": ("cont2017",),
    "RepayAndSeize": ("aave2025", "warmuz2022"),
    "TransferSlice": (),
    "CapitalRatio": ("farmer2020",),
    "ProRata": (),
    "cont_schaanning": ("cont2017",),
    "breuer_summer_urosevic": ("breuer2023",),
    "caccioli": ("caccioli2014",),
    "caccioli_stability": ("caccioli2014",),
    "farmer": ("farmer2020",),
    "greenwood_landier_thesmar": ("greenwood2015",),
    "huang": ("huang2013",),
    "spectral_radius": ("caccioli2014", "greenwood2015"),
    "critical_notional": ("brunnermeier2009",),
    "backbone": ("serrano2009",),
    "knockout": (),
    "systemicness": ("greenwood2015",),
    "indirect_vulnerability": ("greenwood2015",),
    "indirect_contagion_index": ("cont2019",),
    "endogenous_risk_index": ("cont2019",),
    "debtrank": ("bardoscia2015", "battiston2012", "cont2019"),
    "debtrank_impact": ("bardoscia2015", "battiston2012", "cont2019"),
    "shapley": ("shapley1953", "castro2009", "tarashev2016"),
    "shapley_values": ("shapley1953", "castro2009"),
    "aumann_shapley": ("aumann1974",),
    "hits": ("kleinberg1999",),
    "eigenvector": ("bonacich1972",),
    "katz": ("katz1953",),
    "fitness_complexity": ("tacchella2012", "pugliese2016"),
    "birank": ("he2017",),
    "cohits": ("deng2009",),
    "pagerank": ("brin1998",),
    "betweenness": ("brandes2001", "brandes2007"),
    "closeness": ("wasserman1994",),
    "coreness": ("seidman1983",),
    "sinkrank": ("soramaki2013",),
    "degree": (),
    "strength": (),
    "concentration": ("hirschman1964",),
    "overlap": ("cont2019",),
    "overlap_pairs": ("cont2019",),
    "compare": ("kendall1945",),
    "stability": ("kendall1945",),
}


def cite(*used: object) -> str:
    """Return the references of what was used, as BibTeX: this software first, then each work once.

    Parameters
    ----------
    *used : result, model, rule, Series of a measure, function, or name
        A result stands for its model, a model for all its rules, a Series for the measure that it is named after.

    Returns
    -------
    str
        Entries, ready for a .bib file. Rules of your own have none.

    Raises
    ------
    ParameterError
        A name that is not known; a result that does not hold its model.

    Examples
    --------
    >>> import re
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0]], price=[10.0], depth=100.0)
    >>> result = cg.MarginCascade(impact=cg.SquareRootImpact(0.5)).run(graph)
    >>> re.findall("@.*{(.*),", cg.cite(result, cg.importance.hits), re.MULTILINE)
    ['contagion_graph', 'breuer2023', 'kleinberg1999']
    """
    keys: dict[str, None] = {}
    for thing in used:
        names = list(_names(thing))
        if type(thing).__module__.startswith("contagion_graph.") and not CITED.keys() & names:
            raise ParameterError(f"a {type(thing).__name__} does not say which model it came from; cite the model")
        keys |= dict.fromkeys(key for name in names for key in CITED.get(name, ()))
    return "\n".join([_software(), *(entries()[key] for key in keys)])


def _names(thing: Any) -> Iterator[str]:
    """Yield the names that a thing stands for; a record's own, then those of the records in its fields."""
    if isinstance(thing, str | pd.Series) or callable(thing):
        name = thing if isinstance(thing, str) else str(getattr(thing, "__name__", getattr(thing, "name", None)))
        if name not in CITED:
            raise ParameterError(f"no reference is known of {name!r}{nearest(name, CITED)}")
        yield name
        return
    if not hasattr(thing, "model") and not is_dataclass(thing):
        raise ParameterError(f"a {type(thing).__name__} is no result, model, rule, measure or name")
    yield type(thing).__name__
    if hasattr(thing, "model"):  # a result: its arrays stand for nothing
        yield from _names(thing.model)
        return
    for field in fields(thing):
        value = getattr(thing, field.name)
        if is_dataclass(value):
            yield from _names(value)


@cache
def entries() -> dict[str, str]:
    """Return every entry of references.bib by its key."""
    text = (files("contagion_graph.io") / "references.bib").read_text(encoding="utf-8")
    return {entry[1]: entry[0] for entry in re.finditer(r"^@\w+{(\w+),\n.*?^}\n", text, re.MULTILINE | re.DOTALL)}


def _software() -> str:
    return (
        "@software{contagion_graph,\n"
        "  author = {{The contagion_graph developers}},\n"
        "  title = {contagion\\_graph: graph-based contagion analytics for pooled collateral},\n"
        f"  version = {{{version('contagion-graph')}}},\n"
        "}\n"
    )
