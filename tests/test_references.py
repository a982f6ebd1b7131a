"""What is cited: every rule and measure is listed, every entry is whole."""

import inspect
import re
from importlib import import_module

import pytest

import contagion_graph as cg
from contagion_graph._solution import Solution, Status
from contagion_graph.io.citations import CITED, entries
from contagion_graph.rules.impact import ImpactRecord
from contagion_graph.rules.liquidation import LiquidationRule

WHERE = {"article": "journal", "book": "publisher", "inproceedings": "booktitle", "incollection": "booktitle"}
WHERE |= {"techreport": "institution", "misc": "howpublished|eprint"}


def keys(bibtex: str) -> list[str]:
    return re.findall(r"^@\w+{(\w+),$", bibtex, re.MULTILINE)


def test_every_reference_is_used_and_every_use_has_one():
    assert {key for cited in CITED.values() for key in cited} == set(entries())


@pytest.mark.parametrize("key", entries())
def test_an_entry_is_whole(key: str):
    text = entries()[key]
    kind = re.match(r"@(\w+)", text)[1]
    found = dict(re.findall(r"^  (\w+) = {(.+)},$", text, re.MULTILINE))
    assert {"author", "title", "year"} <= found.keys()
    assert re.search(WHERE[kind], " ".join(found))
    assert re.search(r"\d{4}", key)[0] == found["year"]
    assert text.count("{") == text.count("}")
    assert text.isascii()
    assert not re.search(r"(?<!\\)&", text)
    assert len(text.splitlines()) == len(found) + 2


def test_rules_and_measures_are_listed():
    modules = [
        import_module(f"contagion_graph.rules.{name}")
        for name in ("impact", "square_root", "order_book", "liquidation")
    ]
    rules = {
        name
        for module in modules
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, ImpactRecord | LiquidationRule)
    }
    assert rules - {"ImpactRecord", "LiquidationRule"} <= set(CITED)
    measures = {name for name in cg.importance.__all__ if name[0].islower()}
    assert measures <= set(CITED)


def test_a_result_stands_for_its_rules():
    graph = cg.generate.lending(50, 4, rng=0)
    model = cg.MarginCascade(liquidation=cg.RepayAndSeize(0.5, bonus=0.1), impact=cg.ConstantProductImpact())
    result = model.run(graph)
    assert keys(cg.cite(result)) == ["contagion_graph", "aave2025", "warmuz2022", "angeris2020"]
    assert cg.cite(model) == cg.cite(result)
    both = cg.MarginCascade(impact=cg.LinearImpact()).equilibria(graph, two_sided="conservative")
    assert keys(cg.cite(both)) == ["contagion_graph", "tarski1955", "kyle1985", "greenwood2015"]


def test_measures_and_names_and_each_work_once():
    graph = cg.generate.perpetuals(30, 4, rng=0)
    series = cg.importance.pagerank(graph)
    assert keys(cg.cite(series, "pagerank", cg.importance.pagerank)) == ["contagion_graph", "brin1998"]
    both = cg.cite(cg.importance.indirect_contagion_index(graph), cg.importance.overlap, cg.backbone)
    assert keys(both) == ["contagion_graph", "cont2019", "serrano2009"]


def test_a_rule_of_ones_own_has_no_reference():
    class Mine(cg.FullLiquidation):
        """Sell at the weekend."""

    assert keys(cg.cite(cg.MarginCascade(liquidation=Mine()))) == ["contagion_graph", "cifuentes2005"]


def test_models_of_obligations():
    network = cg.ObligationNetwork.from_arrays([[0.0, 1.0], [1.0, 0.0]], external_assets=[1.0, 1.0])
    result = cg.DebtRank().run(network, losses={"0": 0.5})
    assert keys(cg.cite(result)) == ["contagion_graph", "bardoscia2015", "bardoscia2016", "battiston2012"]
    assert keys(cg.cite(cg.EisenbergNoe())) == ["contagion_graph", "eisenberg2001", "elsinger2009"]
    assert cg.cite(cg.EisenbergNoe().run(network)) == cg.cite(cg.EisenbergNoe())
    costly = cg.RogersVeraart(alpha=0.5, beta=0.5)
    assert keys(cg.cite(costly.run(network))) == ["contagion_graph", "rogers2013"]
    assert cg.cite(costly.equilibria(network)) == cg.cite(costly)


def test_a_result_that_does_not_say_its_model_is_refused():
    with pytest.raises(cg.ParameterError, match="a Solution does not say which model it came from; cite the model"):
        cg.cite(Solution(Status.CONVERGED, 1, 0.0))


def test_common_assets():
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=[10.0], depth=100.0)
    result = cg.CommonAssetClearing().run(graph)
    assert keys(cg.cite(result)) == ["contagion_graph", "cifuentes2005", "amini2016"]


def test_what_is_not_known_is_refused():
    with pytest.raises(cg.ParameterError, match=r"no reference is known of 'pagernk' \(did you mean 'pagerank'\?\)"):
        cg.cite("pagernk")
    with pytest.raises(cg.ParameterError, match="a list is no result, model, rule, measure or name"):
        cg.cite([])
    assert f"version = {{{cg.__version__}}}" in cg.cite()
