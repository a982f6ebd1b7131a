"""Published figures of venues, as they stand in the sources that `presets.py` names."""

from collections.abc import Sequence

from contagion_graph.tables.schema import EVERY

Tiers = Sequence[tuple[float, float]]
HALF = 0.5  # maintenance over initial margin at the highest leverage, Hyperliquid
WIDE = ("DOGE", "kPEPE", "SUI", "WLD", "TRUMP", "LTC", "ENA", "POPCAT", "WIF", "AAVE", "kBONK", "LINK", "CRV", "AVAX",
        "ADA", "UNI", "NEAR", "TIA", "APT", "BCH", "HYPE", "FARTCOIN")  # fmt: skip
NARROW = ("OP", "ARB", "LDO", "TON", "MKR", "ONDO", "JUP", "INJ", "kSHIB", "SEI", "TRX", "BNB", "DOT")
LEVERAGE: dict[str, Tiers] = {  # notional from which it counts, highest leverage
    "BTC": ((0.0, 40.0), (150e6, 20.0)),
    "ETH": ((0.0, 25.0), (100e6, 15.0)),
    "SOL": ((0.0, 20.0), (70e6, 10.0)),
    "XRP": ((0.0, 20.0), (40e6, 10.0)),
    **dict.fromkeys(WIDE, ((0.0, 10.0), (20e6, 5.0))),
    **dict.fromkeys(NARROW, ((0.0, 10.0), (3e6, 5.0))),
}
BTC_2021: Tiers = ((0.0, 0.004), (50e3, 0.005), (250e3, 0.01), (1e6, 0.025), (10e6, 0.05), (20e6, 0.1), (50e6, 0.125),
                   (100e6, 0.15), (200e6, 0.25), (300e6, 0.5))  # fmt: skip
SMALL_2021: Tiers = ((0.0, 0.01), (5e3, 0.025), (25e3, 0.05), (100e3, 0.1), (250e3, 0.125), (1e6, 0.5))
ADA_2022: Tiers = ((0.0, 0.025), (100e3, 0.05), (500e3, 0.1), (1e6, 0.15), (2e6, 0.25), (5e6, 0.5))
ZEC_2022: Tiers = ((0.0, 0.01), (50e3, 0.025), (150e3, 0.05), (250e3, 0.1), (500e3, 0.125), (1e6, 0.25), (2e6, 0.5))
BRACKETS: dict[str, dict[str, Tiers]] = {
    "2021-03-18": {"BTC": BTC_2021, **dict.fromkeys(("XEM", "COTI", "CHR", "MANA", "HBAR", "ALICE"), SMALL_2021)},
    "2022": {"ADA": ADA_2022, "ZEC": ZEC_2022},
}
LIQUIDITY_TIERS = {  # initial margin, maintenance as a share of it
    "Large-Cap": (0.02, 0.6),
    "Small-Cap": (0.1, 0.5),
    "Long-Tail": (0.2, 0.5),
    "Safety": (1.0, 0.2),
    "Isolated": (0.05, 0.6),
    "Mid-Cap": (0.05, 0.6),
    "FX": (0.01, 0.5),
}
SPOT_SHOCKS = {  # OKX: moves up and down, by underlying
    **dict.fromkeys(("BTC", "ETH"), (0.04, 0.08, 0.12)),
    **dict.fromkeys(
        ("SOL", "DOGE", "PEPE", "XRP", "BNB", "SHIB", "LTC", "ORDI", "WLD", "BCH", "ADA"), (0.06, 0.12, 0.18)
    ),
    EVERY: (0.08, 0.16, 0.25),
}
UP, SAME, DOWN = "up", "same", "down"
DERIVE_MOVES: Sequence[tuple[float, tuple[str, ...], float]] = (  # move, moves of volatility, dampening
    (0.18, (UP,), 1.0),
    *((move, (DOWN, SAME, UP), 1.0) for move in (0.135, 0.09, 0.045, 0.0, -0.045, -0.09, -0.135)),
    (-0.18, (UP,), 1.0),
    (-0.66, (UP,), 0.03 / 0.55),
    (-0.33, (UP,), 0.06 / 0.55),
    (0.5, (UP,), 0.072),
    (1.0, (UP,), 0.036),
    (2.0, (UP,), 0.018),
    (3.0, (UP,), 0.012),
)
