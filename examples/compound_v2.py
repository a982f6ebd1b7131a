"""
Compound v2 in May 2023: who can be liquidated when ETH falls, and who loses without holding any
================================================================================================

29,369 accounts of the lending protocol, 8-9 May 2023, from its subgraph, as collected at github.com/rtuchman/
compound-risk-optimization (f7b808a, Apache-2.0). Currency: the ETH of before the shock; a unit of an asset is what one
ETH bought then. Deposits are long, debts short, margin_long = 1 - collateral factor: E < M says that the debt exceeds
the weighted collateral, which is the protocol's own test. Most of what accounts without ETH lose comes from one account
that held COMP beside its ETH and has to sell it into a thin market.

Sources and assumptions:

- Deposits: balance x coll_w of the data (exchange rate x collateral factor x price), exact. The factors only set sizes.
  They are the "from" values of Gauntlet's proposals at comp.xyz/t/4700 of 29 September 2023 (AAVE, COMP, LINK, SUSHI,
  YFI, ZRX), 4930 of 10 January 2024 (BAT), 5163 of 12 April 2024 (UNI), 5516 of 1 August 2024 (USDC), 5850 of 7 October
  2024 (WBTC); of ETH, DAI and the old WBTC market as the data implies.
- Debts: stored balance x price of the data, scaled by 0.5 to 2 to the recorded debt (interest). Debts in YFI have no
  price in the data and are left out, as in the reference: one of the 1,375 accounts that the records show in breach
  without a shock, with 0.00002 ETH of debt, is not in breach here.
- Depth = c ADV sqrt(tau) / sigma, c = 0.4 (Cont & Schaanning 2017, Norges Bank Working Paper 2/2017). ADV: mean of
  volume x close, 9 April to 8 May 2023, Binance spot against USDT (SUSHI: turnover of Bybit's perpetual), as kept at
  github.com/Abhishek-TN/trading-backtest (aef84a2) and jumpotsa/Bybit_Cross_Momentum (2e938a3). sigma: the data's
  hourly prices, Binance, 24 February to 27 March 2023. Assumed: all is sold within tau = 1 hour (a quarter of the depth
  is then 4 minutes, four times is 16 hours); WBTC trades like BTC; YFI, not in the prices, has the mean sigma;
  stablecoins, and SAI, FEI and REP (3 ETH in all), move no price.
- Liquidation: Compound v2 protocol parameters, close factor 50 %, incentive 8 % of the debt repaid. The protocol repays
  half of one debt and seizes collateral worth 1.08 times that; here half of everything is closed, and the penalty is
  taken on its gross value: 8 % x the debt's share in it at the edge, w / (1 + w) with w the factor of ETH. Bad debt
  stays with the lenders; those who never borrowed are not in the data, so it is not shared here. Impact is e^-x.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from real_data import data_folder

import contagion_graph as cg

DATA = "compound_v2_2023"

FACTOR = {"AAVE": 0.73, "BAT": 0.60, "COMP": 0.60, "DAI": 0.83, "ETH": 0.823, "LINK": 0.79, "SUSHI": 0.67, "UNI": 0.75}
FACTOR |= {"USDC": 0.855, "WBTC": 0.70, "YFI": 0.75, "ZRX": 0.65}
SAI, OLD_WBTC, OLD_WBTC_FACTOR = 4, 15, 0.58  # two markets whose cToken has the symbol of another
VOLUME = {"AAVE": 4.90, "BAT": 1.91, "COMP": 2.03, "ETH": 955.5, "LINK": 32.7, "SUSHI": 5.96}  # million USD a day
VOLUME |= {"UNI": 7.53, "WBTC": 1654.1, "YFI": 3.73, "ZRX": 2.02}
USD_PER_ETH = 1847.56  # Binance, close of 8 May 2023
DUST = 1e-6  # ETH
REFERENCE = "independent_reference_ETH_shock"
PENALTY = 0.08 * FACTOR["ETH"] / (1.0 + FACTOR["ETH"])
MODEL = cg.MarginCascade(
    liquidation=cg.CloseFactor(0.5), waterfall=(cg.InsuranceFund(),), penalty=PENALTY, penalty_cap=None
)


def market_depth(folder: Path, hours: float = 1.0) -> "pd.Series[float]":
    """Return depth c ADV sqrt(tau) / sigma [ETH] of the assets whose volume is known."""
    prices = pd.read_csv(folder / "prices_hourly_usd.csv.gz", index_col="time_utc").rename(columns={"BTC": "WBTC"})
    volume = pd.Series(VOLUME) * 1e6 / USD_PER_ETH
    sigma = np.log(prices).diff().std().reindex(volume.index) * np.sqrt(24.0)
    return 0.4 * volume * np.sqrt(hours / 24.0) / sigma.fillna(sigma.mean())


def read_positions(folder: Path) -> pd.DataFrame:
    """Return deposits (+) and debts (-) as table positions."""
    markets = pd.read_csv(folder / "markets.csv", index_col="market_id")
    markets["asset"] = markets["ctoken"].str[1:].mask(markets.index == SAI, "SAI")
    markets["factor"] = markets["asset"].map(FACTOR).mask(markets.index == OLD_WBTC, OLD_WBTC_FACTOR)
    accounts = pd.read_parquet(folder / "accounts.parquet").set_index("account_id")
    held = pd.read_parquet(folder / "positions.parquet").join(markets, on="market_id")
    held = held.join(accounts["borrow_value_eth"], on="account_id").rename(columns={"account_id": "trader"})
    debt = held["borrow_balance_stored"] * held["bor_w"]
    debt *= (held["borrow_value_eth"] / debt.groupby(held["trader"]).transform("sum")).clip(0.5, 2.0)
    deposit = held["ctoken_balance"].clip(lower=0.0) * held["coll_w"] / held["factor"]  # two are below 0 by mistake
    own_margin = np.where(held["market_id"] == OLD_WBTC, 1.0 - OLD_WBTC_FACTOR, np.nan)
    both = pd.concat([held.assign(quantity=deposit, margin=own_margin), held.assign(quantity=-debt, margin=np.nan)])
    return both.loc[both["quantity"].abs() > 0.0, ["trader", "asset", "quantity", "margin"]]


def build_graph(folder: Path) -> cg.ExposureGraph:
    """Return all accounts with their deposits and debts."""
    accounts = pd.read_parquet(folder / "accounts.parquet").rename(columns={"account_id": "trader"})
    positions = read_positions(folder)
    assets = pd.DataFrame({"price": 1.0}, index=pd.Index(positions["asset"].unique(), name="asset"))
    assets = assets.assign(margin_long=1.0 - pd.Series(FACTOR), depth=market_depth(folder)).reset_index()
    return cg.ExposureGraph.from_tables(positions, assets, accounts=accounts[["trader", "address", "borrow_value_eth"]])


def liquidatable(graph: cg.ExposureGraph, fall: float) -> tuple[int, float]:
    """Return how many accounts, dust apart, can be liquidated when ETH alone falls, and their debt after the fall."""
    shocked = graph.assign(price={"ETH": 1.0 - fall})
    owes = graph.attributes["accounts"]["borrow_value_eth"] > DUST
    breached = shocked.slack[(shocked.slack < 0.0) & owes].index.get_level_values("trader")
    positions = shocked.to_frames()["positions"]
    debts = positions[positions["trader"].isin(breached) & (positions["quantity"] < 0.0)]
    return len(breached), -float(debts["quantity"] @ debts["asset"].map(pd.Series(shocked.price, shocked.assets)))


def cascades(graph: cg.ExposureGraph, fall: float, times: float) -> tuple[cg.CascadeResult, cg.CascadeResult]:
    """Return the cascade without a shock and the one after a fall of ETH, at so many times the depth."""
    market = graph.assign(depth=graph.depth * times)
    return MODEL.run(market), MODEL.run(market, {"ETH": -fall})


def bystander_losses(calm: cg.CascadeResult, shocked: cg.CascadeResult) -> "pd.Series[float]":
    """Return what traders without net ETH lose more than without the shock, above dust, the largest first."""
    more = shocked.traders["loss"] - calm.traders["loss"]
    return more[(shocked.traders["direct"] == 0.0) & (more > DUST)].sort_values(ascending=False, kind="stable")


def figures(calm: cg.CascadeResult, shocked: cg.CascadeResult) -> dict[str, float]:
    """Return what main prints of a pair of cascades."""
    before, after, more = calm.summary(), shocked.summary(), bystander_losses(calm, shocked)
    rows = {"rounds": after["rounds"]}
    for name in ("breached", "impact", "penalty", "uncovered"):  # breached: accounts, dust included
        rows |= {name: after[name], f"  {name} without a shock": before[name]}
    move = shocked.assets["price_after"] / shocked.assets["price_shocked"] - 1.0
    rows |= {f"{name} moved by sales, %": 100.0 * move[name] for name in ("ETH", "COMP", "WBTC")}
    return rows | {"accounts without ETH that lose": len(more), "  their loss": more.sum(), "  largest": more.max()}


def main() -> None:
    """Print both parts."""
    folder = data_folder(DATA)
    graph = build_graph(folder)
    print(f"{graph}\n\nETH falls by  can be liquidated  debt [ETH]  reference")
    print(f"{'no shock':>12}{liquidatable(graph, 0.0)[0]:18,}")
    for fall, (accounts, owed) in json.loads((folder / "truth.json").read_text())[REFERENCE].items():
        count, debt = liquidatable(graph, float(fall))
        print(f"{float(fall):12.0%}{count:18,}{debt:12,.1f}  {accounts:,} accounts, {owed:,.1f} ETH")
    table = pd.DataFrame({f"depth x {times:g}": figures(*cascades(graph, 0.30, times)) for times in (0.25, 1.0, 4.0)})
    print(f"\nThe cascade after ETH falls by 30 % [ETH]\n{table.to_string(float_format='{:,.6g}'.format)}")


if __name__ == "__main__":
    main()
