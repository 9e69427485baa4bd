"""Jobs as drivers need them: what is stored encrypted of their objects is decrypted."""

import json
from dataclasses import replace
from typing import TypeVar

from merope.engine.job import Job
from merope.model import secret_attributes
from merope.model.addressing import attributes_of, revealed
from merope.model.document import Document
from merope.model.effect import Effect
from merope.model.settings import Settings

D = TypeVar("D", bound=Document)


def opened(job: Job, settings: Settings) -> Job:
    """The job with objects of its own, where some are stored encrypted; else the job itself."""
    if "range" in job.effect.arguments:
        return replace(job, effect=_with_plain_range(job.effect, settings))
    vm = _plain(job.vm, settings)
    host, datastore = _plain(job.host, settings), _plain(job.datastore, settings)
    if (vm, host, datastore) == (job.vm, job.host, job.datastore):
        return job
    return replace(job, vm=vm, host=host, datastore=datastore)


def _with_plain_range(effect: Effect, settings: Settings) -> Effect:
    plain = revealed(attributes_of(str(effect.arguments["range"])), settings)
    return replace(effect, arguments={**effect.arguments, "range": json.dumps(plain)})


def _plain(value: D | None, settings: Settings) -> D | None:
    if value is None or not secret_attributes.is_concealed(value, settings):
        return value
    own = type(value).from_xml(value.to_xml())
    secret_attributes.reveal(own, settings)
    return own
