"""The numbers behind a chart or table, with their origin, as a file: csv, json, txt or a figure.

    export(plotted, origin, "csv", Path.cwd())

The terminal UI hands over a `Plotted` and an `Origin`; nothing here knows of Textual. A new file
each time: what is there is never overwritten. numpy and matplotlib are imported for figures only.
"""

from nccli.export.parts import Diagram, Matrix, Origin, Plotted, Table
from nccli.export.saving import FORMS, export, exported, forms

__all__ = [
    "FORMS",
    "Diagram",
    "Matrix",
    "Origin",
    "Plotted",
    "Table",
    "export",
    "exported",
    "forms",
]
