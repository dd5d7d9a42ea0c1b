"""Contacts that do not begin with a call: chats, messages, voice mails and faxes, and customers who want to be called."""
