"""What a rule declares about itself, and whether the declaration still holds for a subclass.

An analysis that is valid for some rules only asks what a rule declares; it never asks for the class. A declaration
describes methods. It holds for a subclass that keeps these methods, and for one that replaces them and declares again.
"""

from typing import Any

CLOSING = ("closed_share", "closed_sides", "margin_units")
PRICE = ("price_factor", "for_assets")
DESCRIBED = {
    "closed_values": CLOSING,
    "monotone": CLOSING,
    "quotient": CLOSING,
    "distance_to_jump": CLOSING,
    "any_margin": CLOSING,
    "one_share": ("closed_sides",),
    "margins": ("margin_units",),
    "slope": PRICE,
    "kinks": PRICE,
    "average_slope": (*PRICE, "average_factor", "slope"),
    "fixed": ("weights",),
    "by_account": ("weights",),
    "proportional": ("weights",),
}


def declared(rule: Any, name: str) -> Any:
    """Return what a rule declares under a name, or None.

    Parameters
    ----------
    rule : object
        A rule of liquidation, impact or loss sharing.
    name : str
        An attribute or method; `DESCRIBED` names the methods that each one describes.

    Returns
    -------
    object
        The attribute, or None where there is none, or where a class below the one that declares it replaces a method
        that it describes.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> class Half(cg.FullLiquidation):
    ...     def closed_share(self, accounts):
    ...         return 0.5 + 0.0 * accounts.equity
    >>> declared(cg.FullLiquidation(), "closed_values"), declared(Half(), "closed_values")
    ((0.0, 1.0), None)
    """
    holders = [getattr(rule, "__dict__", {}), *(vars(each) for each in type(rule).__mro__)]

    def place(*names: str) -> int:
        return next((k for k, holder in enumerate(holders) if any(each in holder for each in names)), len(holders))

    return getattr(rule, name, None) if place(name) <= place(*DESCRIBED[name]) else None
