"""Documents for tests: real ones, small enough to be written here."""

from __future__ import annotations


def two_pages(pages: int = 2) -> bytes:
    """A PDF of so many A4 pages, each with a line of text and a black square in another place."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for number in range(1, pages + 1):
        drawn = f"BT /F 40 Tf 72 700 Td (Page {number}) Tj ET {100 * number} 200 150 150 re f"
        objects.append(f"<< /Length {len(drawn)} >> stream\n{drawn}\nendstream")
        font = "<< /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
        place = f"/Parent 2 0 R /MediaBox [0 0 595 842] /Contents {len(objects)} 0 R"
        objects.append(f"<< /Type /Page {place} /Resources << /Font {font} >> >>")
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Count {pages} /Kids [{' '.join(kids)}] >>"
    text, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(text))
        text += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(text)}\n%%EOF\n"
    return f"{text}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode("ascii")
