"""Numbers as short text."""


def short_count(value: float) -> str:
    """`1500000` → `1.5 M`."""
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        # What would be rounded to 1000 of the next smaller unit is one of this.
        if abs(value) >= 0.9995 * unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:.3g}"


def percent(part: float, whole: float) -> str:
    """`0.4 %`, `37 %`; `–` of nothing; never `0 %` of something nor `100 %` of less than all."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.5 <= share < 100:
        return f"{min(share, 99.9):.1f} %"
    return f"{share:.0f} %" if share >= 9.95 or share == 0 else f"{share:.1f} %"


def change(before: float, after: float) -> str:
    """`−4.8 %`, `+0.4 %`: by how much something shrank or grew; as `percent` otherwise."""
    size = percent(abs(after - before), before)
    if after == before or size.startswith("<"):
        return size
    return ("+" if after > before else "−") + size


def format_bytes(size: float) -> str:
    """`3.1 MB`, in powers of ten, as disks and downloads count."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= 0.9995 * unit:
            return f"{size / unit:.3g} {name}"
    return f"{size:.0f} bytes"
