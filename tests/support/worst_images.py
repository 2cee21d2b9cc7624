"""The ranking of a set's images, against which that of the page (reports/assets/ranking.js) is judged."""


def worst(found, metric, method, against="", count=5):
    """(name, value) of the `count` images on which `method` is worst in `metric`, or loses most to `against`; none without the values."""
    column = next(index for index, one in enumerate(found.metrics) if one.name == metric)
    places = {one.key: index for index, one in enumerate(found.methods)}
    ranked = []
    for image in found.images:
        value = image.tiles[places[method]].values[column]
        other = image.tiles[places[against]].values[column] if against else 0.0
        if value is not None and other is not None:
            ranked.append((image.name, value - other))
    sign = 1 if found.metrics[column].better == "higher" else -1
    return sorted(ranked, key=lambda one: sign * one[1])[:count]
