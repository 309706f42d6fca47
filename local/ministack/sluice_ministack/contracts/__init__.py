"""Requests of deployed functions, and the answers to them, against the service models of botocore.

``gate`` sees the requests and answers, ``senders`` knows who sent a request, ``model`` holds the
service models, ``requests`` and ``answers`` decode the wire formats (``forms`` and ``markup`` are
those of the Query and XML protocols), ``check`` compares a decoded value with a shape, ``rules``
adds what the models say only in their documentation (``rules.toml``), and ``breaches`` keeps what
was found.
"""
