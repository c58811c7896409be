"""Where the lungs are when no mask says so."""

HEIGHT, WIDTH = 0.66, 0.75  # shares of the image that the central box takes


def lung_box(height: int, width: int) -> tuple[int, int, int, int]:
    """Return ``(top, bottom, left, right)`` of the central box that stands for the lungs, ends exclusive.

    After Maguolo and Nanni (2021), who blacked out the centre of radiographs.
    """
    top, left = round(height * (1 - HEIGHT) / 2), round(width * (1 - WIDTH) / 2)
    return top, height - top, left, width - left
