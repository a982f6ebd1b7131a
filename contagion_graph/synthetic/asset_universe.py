"""The assets of the synthetic venues: listed parameters of real ones, dated, and depth from what is held.

Every figure has its source and date beside it, or is called an assumption. Currency is USD.
"""

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray

# Tickers and prices by maximum leverage. Leverage: hyperliquid.gitbook.io/hyperliquid-docs/trading/margin-tiers, page
# undated, read November 2026. A graph has one margin rate an asset, so the first tier holds at any size (in the second,
# from 150M BTC has 20, from 100M ETH 15, from 70M SOL 10, from 40M XRP 10). Assumptions: prices, near January 2026; the
# order within a class; which of the rarer assets, called A37 and so on, are in class 5 and which in 3.
PERPETUALS = {
    40: "BTC 91000",
    25: "ETH 3100",
    20: "SOL 140, XRP 2.1",
    10: "HYPE 26, BNB 900, DOGE 0.14, SUI 1.8, kPEPE 0.006, LINK 13.5, ENA 0.23, AVAX 14, ADA 0.4, LTC 80, AAVE 170, "
    "TRX 0.29, FARTCOIN 0.4, UNI 5.8, NEAR 1.7, TRUMP 5.4, BCH 620, WLD 0.6, kBONK 0.011, CRV 0.4, DOT 2.1, ARB 0.21, "
    "OP 0.32, TON 1.8, ONDO 0.43, APT 1.9, INJ 5.2, LDO 0.63, SEI 0.12, JUP 0.21, TIA 0.55, kSHIB 0.0088",
}
RARE_LEVERAGE, RAREST_LEVERAGE, RAREST_AFTER = 5, 3, 100

# Asset, price, liquidation threshold [%], liquidation bonus [%]: Aave v3 Ethereum, base mode, committed 2023-11-08 in
# reports/AaveV3Ethereum_UpgradeAaveV3ETHPooolWETHParameters_20231031_before.json of
# github.com/aave-dao/aave-proposals-v3, as are the prices of WETH and WBTC. Assumptions: the other prices, the order,
# and everything about further assets, called A18 and so on.
LENDING = (
    "WETH 1816.85 83 5, USDC 1 80 4.5, WBTC 34814.14 78 5, USDT 1 76 4.5, wstETH 2070 81 6, DAI 1 80 5, LINK 11 68 7, "
    "rETH 1980 77 7.5, AAVE 90 73 7.5, cbETH 1910 77 7.5, MKR 1350 70 8.5, UNI 4.5 77 10, CRV 0.5 41 8.3, "
    "LDO 1.9 50 9, SNX 2.3 65 8.5, BAL 3.5 62 8.3, ENS 8 49 8"
)
STABLECOINS = ("USDC", "USDT", "DAI")
RARE_COLLATERAL = "1 50 10"

# Depth = c ADV / sigma sqrt(tau), c = 0.4, tau in days: Cont & Schaanning (2017), Norges Bank Working Paper 2/2017.
# Assumptions: forced sales have an hour; sigma, a day, grows with rank; ADV = open interest, or deposits, over 1.5
# (Hyperliquid, about January 2026: 3,022M of open interest in BTC, 2,621M of volume a day).
DEPTH_FACTOR, TAU, TURNOVER = 0.4, 1 / 24, 1.5
LEAST_VOLATILITY, MOST_VOLATILITY, STABLE_VOLATILITY = 0.03, 0.08, 0.003


def perpetual_assets(n_assets: int) -> pd.DataFrame:
    """Return the assets of a perpetuals exchange: asset, price, max_leverage, margins, volatility (a day)."""
    rows = [[*entry.split(), leverage] for leverage, listed in PERPETUALS.items() for entry in listed.split(", ")]
    rare = range(len(rows) + 1, n_assets + 1)
    rows += [[f"A{rank}", 1, RARE_LEVERAGE if rank <= RAREST_AFTER else RAREST_LEVERAGE] for rank in rare]
    assets = pd.DataFrame(rows[:n_assets], columns=["asset", "price", "max_leverage"])
    assets = assets.astype({"price": float, "max_leverage": float})
    maintenance = 0.5 / assets["max_leverage"]
    return assets.assign(margin_long=maintenance, margin_short=maintenance, volatility=_volatility(n_assets))


def lending_assets(n_assets: int) -> pd.DataFrame:
    """Return the assets of a lending protocol: asset, price, margin_long, liquidation_bonus, volatility (a day)."""
    rows = [entry.split() for entry in LENDING.split(", ")]
    rows += [f"A{rank} {RARE_COLLATERAL}".split() for rank in range(len(rows) + 1, n_assets + 1)]
    assets = pd.DataFrame(rows[:n_assets], columns=["asset", "price", "threshold", "bonus"])
    price, threshold, bonus = (assets[name].astype(float) for name in ("price", "threshold", "bonus"))
    volatility = np.where(assets["asset"].isin(STABLECOINS), STABLE_VOLATILITY, _volatility(n_assets))
    return assets[["asset"]].assign(
        price=price, margin_long=1.0 - threshold / 100.0, liquidation_bonus=bonus / 100.0, volatility=volatility
    )


def _volatility(n_assets: int) -> FloatArray:
    return np.minimum(LEAST_VOLATILITY * np.arange(1.0, n_assets + 1.0) ** 0.25, MOST_VOLATILITY)


def with_depth(assets: pd.DataFrame, held: FloatArray) -> pd.DataFrame:
    """Add daily volume and depth, from the value of each asset that is held."""
    volume = held / TURNOVER
    return assets.assign(daily_volume=volume, depth=DEPTH_FACTOR * volume / assets["volatility"] * np.sqrt(TAU))
