"""The cover's charts: native ones, which Excel draws from the cover's own cells."""

from typing import Any

from openpyxl.chart import BarChart, Reference
from openpyxl.chart.label import DataLabelList
from openpyxl.chart.series import DataPoint
from openpyxl.drawing.spreadsheet_drawing import AnchorMarker, TwoCellAnchor

#: How many rows a chart takes.
ROWS = 16

_DROPOUT = "C8553D"
_WAYS = ("4C78A8", "E0A526", "5B9E6F", "8A8F98", _DROPOUT)


def by_step(sheet: Any, title: str, head: tuple[int, int], last: int) -> BarChart:
    """Columns of dropouts: `head` is the row and column (from 1) of their header, the steps stand in column A."""
    row, column = head
    chart = _bars(title, "col")
    chart.add_data(Reference(sheet, min_col=column, min_row=row, max_row=last), titles_from_data=True)
    chart.set_categories(Reference(sheet, min_col=1, min_row=row + 1, max_row=last))
    chart.series[0].graphicalProperties.solidFill = _DROPOUT
    return chart


def ways_out(sheet: Any, title: str, head: tuple[int, int], values: int) -> BarChart:
    """Bars of the five ways out: `head` is the row and first column of their names, `values` the row of the figures."""
    row, column = head
    chart = _bars(title, "bar")
    across = {"min_col": column, "max_col": column + len(_WAYS) - 1}
    chart.add_data(Reference(sheet, min_row=values, **across), from_rows=True)
    chart.set_categories(Reference(sheet, min_row=row, **across))
    chart.series[0].dPt = [_coloured(place, colour) for place, colour in enumerate(_WAYS)]
    chart.x_axis.scaling.orientation = "maxMin"  # the first way on top
    return chart


def put(sheet: Any, chart: BarChart, row: int, columns: tuple[int, int]) -> None:
    """Lay the chart over `columns` (first, and the one after the last; from 0), from `row` (from 1) on.

    By cells, not by centimetres: columns are as wide as the workbook's font makes them.
    """
    first, last = columns
    begin, end = AnchorMarker(col=first, row=row - 1), AnchorMarker(col=last, row=row + ROWS - 2)
    chart.anchor = TwoCellAnchor(editAs="oneCell", _from=begin, to=end)
    sheet.add_chart(chart)


def _bars(title: str, kind: str) -> BarChart:
    chart = BarChart()
    chart.type, chart.title, chart.legend = kind, title, None
    chart.gapWidth = 60
    chart.dataLabels = DataLabelList(showVal=True)
    for name in ("showSerName", "showCatName", "showLegendKey", "showPercent"):
        setattr(chart.dataLabels, name, False)
    chart.y_axis.number_format, chart.y_axis.majorGridlines = "#,##0", None
    # openpyxl leaves it out, and Excel then takes the axes away
    chart.x_axis.delete = False
    chart.y_axis.delete = True
    return chart


def _coloured(place: int, colour: str) -> DataPoint:
    point = DataPoint(idx=place)
    point.graphicalProperties.solidFill = colour
    return point
