"""Where the lungs are when no mask says so."""

BOX_HEIGHT, BOX_WIDTH = 0.75, 0.66  # shares of the image that the central box takes


def lung_box(height: int, width: int) -> tuple[int, int, int, int]:
    """Return ``(top, bottom, left, right)`` in pixels, ends exclusive, of the central box that stands for the lungs.

    After Maguolo and Nanni (2021, arXiv:2004.12823), who blacked out the centre of radiographs.
    """
    top, left = round(height * (1 - BOX_HEIGHT) / 2), round(width * (1 - BOX_WIDTH) / 2)
    return top, height - top, left, width - left
