"""Records of numbers that Python writes and kernels read, each made of one table of names, units and meanings.

A kernel that took arrays would be compiled anew for every combination of their layouts. It takes addresses, strides and
sizes instead, in records that are the same for every problem, and is compiled once for each type it computes with.
"""

from typing import NamedTuple

import numba
import numpy as np
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import intrinsic, lower_getattr_generic, models, register_model

from .llvm import INTP


class Field(NamedTuple):
    """One number of a record, or another record in its place."""

    name: str
    unit: str
    meaning: str
    kind: "type | Record" = np.int64


class Record:
    """A record as NumPy and Numba know it. In compiled functions `at(address)` is the record at an address."""

    def __init__(self, name: str, *fields: Field):
        self.fields = {field.name: field for field in fields}
        kinds = [(field.name, field.kind.dtype if isinstance(field.kind, Record) else field.kind) for field in fields]
        self.dtype = np.dtype(kinds, align=True)
        self.bytes = self.dtype.itemsize
        self.reference = Reference(name, self)
        self.at = _reader(self.reference)

    def pack(self, **values) -> np.ndarray:
        """An array of no dimensions with a value for every field. Raises `TypeError` for a missing or an unknown one."""
        if values.keys() != self.fields.keys():
            raise TypeError(f"fields missing or unknown: {', '.join(sorted(values.keys() ^ self.fields.keys()))}")
        record = np.zeros((), self.dtype)
        for name, value in values.items():
            record[name] = value
        return record

    def word(self, name: str) -> int:
        """The index of a field in an array of 64-bit words that holds the record."""
        return self.dtype.fields[name][1] // 8


class Reference(numba.types.Type):
    """Numba's type of a record: its address, with the record's fields as attributes."""

    def __init__(self, name: str, record: Record):
        super().__init__(f"Reference({name})")
        self.kinds = {
            field.name: field.kind.reference if isinstance(field.kind, Record) else numba.from_dtype(np.dtype(field.kind))
            for field in record.fields.values()
        }
        self.offsets = {field: record.dtype.fields[field][1] for field in record.fields}


@register_model(Reference)
class _ReferenceModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, INTP)


@infer_getattr
class _ReferenceFields(AttributeTemplate):
    key = Reference

    def generic_resolve(self, kind, name):
        return kind.kinds.get(name)


@lower_getattr_generic(Reference)
def _load_field(context, builder, kind, address, name):
    address = builder.add(address, INTP(kind.offsets[name]))
    if isinstance(kind.kinds[name], Reference):
        return address
    return builder.load(builder.inttoptr(address, context.get_value_type(kind.kinds[name]).as_pointer()))


def _reader(kind):
    @intrinsic
    def at(typing, address):
        def generate(context, builder, signature, arguments):
            return arguments[0]

        return kind(numba.types.intp), generate

    return at
