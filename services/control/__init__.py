"""The control plane: REST, and what it keeps running.

`app` puts it together, `command` serves it. Below it there is one package per resource, each with its `routes`:
`sessions` and the workers behind them, `decoders`, `recordings` and their recorders, `jobs`, `events`, and `metrics`.
They stand on `storage` (the database, and the files beside it), `rest` (errors, pages, tags, uploads, the OpenAPI
document) and `access` (tokens and encryption).
"""
