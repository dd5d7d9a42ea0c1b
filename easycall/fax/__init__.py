"""Fax: documents to send, pages that came in, and the lines they go over.

* :mod:`~easycall.fax.desk` – what conduct asks: a free line, a document, a fax to send or to receive
* :mod:`~easycall.fax.callers` – callers who are machines, by their choice or by their tone
* :mod:`~easycall.fax.documents` – what was sent in to be faxed
* :mod:`~easycall.fax.inbox` – what machines have sent us
* :mod:`~easycall.fax.files`, :mod:`~easycall.fax.tiff` – folders, commands, and counting pages
"""

from easycall.fax.desk import FaxDesk
from easycall.fax.documents import Document, Documents, Unreadable
from easycall.fax.inbox import Inbox, ReceivedFax

__all__ = ["Document", "Documents", "FaxDesk", "Inbox", "ReceivedFax", "Unreadable"]
