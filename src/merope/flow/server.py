"""OneFlow as a server: the REST interface, the manager of services, and the core's events."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import tzinfo

from aiohttp import web

from merope.client.async_client import AsyncClient
from merope.flow.events import Events
from merope.flow.manager import Manager
from merope.flow.requests import RequestError
from merope.flow.schema import TemplateError
from merope.flow.service_api import ServiceApi
from merope.flow.settings import FlowSettings
from merope.flow.template_api import TemplateApi
from merope.services.core import ServerCore
from merope.services.web import Counted, application, serve, tls

log = logging.getLogger("merope.flow")


class FlowServer:
    """Must be made within a running loop. `login` is "serveradmin:password" of the server's user."""

    def __init__(self, settings: FlowSettings, login: str, zone: tzinfo) -> None:
        self._settings = settings
        # Requests of users do not wait for those of services.
        self._core = ServerCore(AsyncClient(settings.one_xmlrpc, settings.concurrency), login)
        self._door = ServerCore(AsyncClient(settings.one_xmlrpc, settings.concurrency), login)
        self.manager = Manager(self._core, settings, lambda: int(time.time()), zone)
        self._events = Events(
            settings.subscriber_endpoint,
            self._core,
            self.manager.hear,
            self.manager.read_all,
            self._deaf,
            self.manager.look_who_is_ready,
        )
        self.manager.want_updates = self._events.want_updates
        self._counted = Counted("oneflow")

    def _deaf(self) -> None:
        self.manager.down = "the core's events are not heard"

    def application(self) -> web.Application:
        errors = (TemplateError, RequestError)
        app = application(self._counted, lambda: self.manager.down, self._metrics, errors)
        for api in (ServiceApi, TemplateApi):
            api(self._door, self.manager, self._settings).add_to(app.router)
        return app

    def _metrics(self) -> Iterator[str]:
        manager = self.manager
        states = Counter(keeper.service.state.name for keeper in manager.keepers.values())
        yield "# TYPE merope_oneflow_services gauge"
        for state, count in sorted(states.items()):
            yield f'merope_oneflow_services{{state="{state}"}} {count}'
        yield "# TYPE merope_oneflow_vms gauge"
        yield f"merope_oneflow_vms {len(manager.world.views)}"
        yield "# TYPE merope_oneflow_events_total counter"
        yield f"merope_oneflow_events_total {manager.world.messages}"
        yield "# TYPE merope_oneflow_reactions_total counter"
        yield f"merope_oneflow_reactions_total {manager.reactions}"
        yield "# TYPE merope_oneflow_up gauge"
        yield f"merope_oneflow_up {int(not manager.down)}"

    async def run(self) -> None:
        """Until the process is asked to end. Raises OSError where the port is taken."""
        settings = self._settings
        listening = asyncio.get_running_loop().create_task(self._events.run())
        try:
            await serve(
                self.application(), settings.host, settings.port, tls(settings.ssl_cert, settings.ssl_key)
            )
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            await self.manager.stop()
            await self._core.close()
            await self._door.close()
