"""Tables on a terminal, and figures beside their aims."""


def heading(text):
    print(f"\n## {text}\n")


def table(columns, rows):
    """Markdown: the first column to the left, figures to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]

    def line(cells):
        first, *others = zip(cells, widths)
        print("| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |")

    line(columns)
    print("| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |")
    for row in rows:
        line(row)
    print(flush=True)


def target(what, figure, limit, *, at_least=False, unit="×"):
    """A figure beside what issue 2 asks for. It is printed, never asserted: machines differ."""
    reached = figure >= limit if at_least else figure <= limit
    wanted = f"{'at least' if at_least else 'at most'} {limit:g} {unit}"
    print(f"{what}: {figure:.2f} {unit} (aim: {wanted}: {'reached' if reached else 'MISSED'})", flush=True)
