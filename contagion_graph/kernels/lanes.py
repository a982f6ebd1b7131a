"""Numbers of several cases that are worked on together, one vector of the processor: what loops alone do not become.

A row of an array, shape (rows, lanes), is loaded as one value, calculated with, and stored. How many lanes there are is
part of the type: the same function is compiled for one case and for several, and each lane is rounded as if alone.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable


class LanesType(types.Type):  # numba's cache on users' disks names these classes
    """One double for each lane."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Lanes({count})")


class MaskType(types.Type):
    """One truth value for each lane."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Mask({count})")


def _model(element: Any) -> Any:
    class Model(models.PrimitiveModel):
        def __init__(self, manager: Any, kind: Any) -> None:
            super().__init__(manager, kind, ir.VectorType(element, kind.count))  # type: ignore[no-untyped-call]

    return Model


register_model(LanesType)(_model(ir.DoubleType()))
register_model(MaskType)(_model(ir.IntType(1)))


def _compiled(function: Any) -> Any:
    """Return a function that compiled ones can call, written as the instructions that it becomes."""
    return intrinsic(function)


def lanes_of(count: int) -> tuple[float, ...]:
    """Return what tells a compiled function how many lanes there are: a tuple of so many."""
    return (0.0,) * count


@_compiled
def load(typing: Any, array: Any, row: Any, lanes: Any) -> Any:
    """Return a row of an array whose rows lie one after the other."""
    kind = LanesType(lanes.count)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], args, kind.count), align=8)

    return kind(array, types.intp, lanes), generate


@_compiled
def store(typing: Any, array: Any, row: Any, value: Any) -> Any:
    """Set a row of an array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _place(context, builder, signature.args[0], args, value.count), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


def _place(context: Any, builder: Any, array: Any, args: Any, count: int) -> Any:
    data = context.make_array(array)(context, builder, args[0]).data
    start = builder.mul(args[1], ir.Constant(ir.IntType(64), count))
    return builder.bitcast(builder.gep(data, [start]), ir.VectorType(ir.DoubleType(), count).as_pointer())


@_compiled
def fill(typing: Any, number: Any, lanes: Any) -> Any:
    """Return a number in every lane."""
    kind = LanesType(lanes.count)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, first = ir.VectorType(ir.DoubleType(), kind.count), ir.Constant(ir.IntType(32), 0)
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), args[0], first)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
        return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), everywhere)

    return kind(types.float64, lanes), generate


@_compiled
def choose(typing: Any, mask: Any, one: Any, other: Any) -> Any:
    """Return one value in the lanes of a mask, another elsewhere."""
    return one(mask, one, other), lambda context, builder, signature, args: builder.select(*args)


@_compiled
def every(typing: Any, mask: Any) -> Any:
    """Say whether a mask holds in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = ir.IntType(mask.count)
        return builder.icmp_unsigned("==", builder.bitcast(args[0], bits), ir.Constant(bits, -1))

    return types.boolean(mask), generate


@_compiled
def exp(typing: Any, value: Any) -> Any:
    """Return e to the power of each lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = args[0].type
        kind = ir.FunctionType(vector, [vector])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.exp.v{value.count}f64")  # type: ignore[no-untyped-call]
        return builder.call(function, args)

    return value(value), generate


def _operator(symbol: Any, kind: Any, result: Any, build: Any) -> None:
    """Give two values of one kind an operator."""

    @type_callable(symbol)
    def typing(context: Any) -> Any:
        return lambda one, other: result(one.count) if isinstance(one, kind) and one == other else None

    @lower_builtin(symbol, kind, kind)  # type: ignore[no-untyped-call]
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return build(builder, *args)


for _symbol, _name in (
    (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")
):  # fmt: skip
    _operator(_symbol, LanesType, LanesType, lambda b, x, y, name=_name: getattr(b, name)(x, y))
for _symbol, _name in ((operator.gt, ">"), (operator.ge, ">="), (operator.eq, "==")):
    _operator(_symbol, LanesType, MaskType, lambda b, x, y, name=_name: b.fcmp_ordered(name, x, y))
_operator(operator.and_, MaskType, MaskType, lambda b, x, y: b.and_(x, y))
_operator(operator.or_, MaskType, MaskType, lambda b, x, y: b.or_(x, y))
