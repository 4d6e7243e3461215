"""The ground over HTTP: a live page, OGC API Features for GIS programs, Prometheus metrics, pictures by SHA-256.

One thread of its own with an event loop; what it asks the store is asked in worker threads over connections of their
own, so that a slow question never holds up the collector. Everything is read; what people say of the findings
(``PUT /reviews/ID``) is the only thing that is written.

======================================= ==============================================================
``/``                                    the live page for a browser, the landing page of the service else
``/api`` ``/conformance`` ``/collections`` …  OGC API Features (``features``, ``documents``, ``asking``, ``columns``)
``/messages/ID``                         a message as the drone sent it
``/pictures/SHA256``                     a picture, with ranges
``/reviews``                             what people said of a flight's findings, and ``PUT /reviews/ID`` (``reviews``)
``/live/…``                              what the page shows (``live``), and when to ask again (``events``)
``/metrics``                             Prometheus (``metrics``)
``/files/…`` ``/tiles/Z/X/Y.png``         the page's own files (``files``), and the map's background where there is one
======================================= ==============================================================

``site`` is the server and its routes, ``access`` says who may look.
"""
