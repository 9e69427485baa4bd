"""oneflow-server.conf: 5.12's options in its syntax (spec oned_conf.yaml `oneflow-server`)."""

from dataclasses import dataclass

from merope.model.option import Choice, Integer, Option, Text


@dataclass(frozen=True)
class FlowSettings:
    """Times in seconds. `action_number` VMs each `action_period` get an action, where only one is said."""

    one_xmlrpc: str = "http://localhost:2633/RPC2"
    subscriber_endpoint: str = "tcp://localhost:2101"
    autoscaler_interval: int = 90
    host: str = "127.0.0.1"
    port: int = 2474
    default_cooldown: int = 300
    concurrency: int = 10
    shutdown_action: str = "terminate"
    action_number: int = 1
    action_period: int = 60
    vm_name_template: str = "$ROLE_NAME_$VM_NUMBER_(service_$SERVICE_ID)"
    vn_name_template: str = "$ROLE_NAME(service_$SERVICE_ID)"
    debug_level: int = 2
    ssl_cert: str = ""
    ssl_key: str = ""


_SECONDS = Integer(0, 2**31 - 1)
_SHUTDOWN = Choice(("terminate", "terminate-hard", "shutdown", "shutdown-hard"))

OPTIONS: dict[str, Option] = {
    "one_xmlrpc": Option("one_xmlrpc", Text("https?://.+", "a URL"), None, "The core's endpoint."),
    "subscriber_endpoint": Option(
        "subscriber_endpoint", Text(), None, "Where the core publishes its events (ZeroMQ)."
    ),
    "autoscaler_interval": Option(
        "autoscaler_interval", Integer(1, 2**31 - 1), "90", "Seconds between evaluations, without a period."
    ),
    "host": Option("host", Text(), "127.0.0.1", "Address to listen at."),
    "port": Option("port", Integer(1, 65535), "2474", "Port to listen at."),
    "force_deletion": Option("force_deletion", Text(), "false", "Accepted: see recover --delete."),
    "retries": Option("retries", Integer(0, 1000), "5", "Accepted: what was interrupted goes on."),
    "lcm_interval": Option("lcm_interval", Integer(1), "30", "Accepted: nothing is polled."),
    "wait_timeout": Option("wait_timeout", Integer(1), "30", "Accepted, as lcm_interval."),
    "default_cooldown": Option("default_cooldown", _SECONDS, "300", "Seconds of COOLDOWN after a scaling."),
    "concurrency": Option("concurrency", Integer(1, 1000), "10", "Requests to the core at a time."),
    "shutdown_action": Option("shutdown_action", _SHUTDOWN, "terminate", "How VMs end, by default."),
    "action_number": Option("action_number", Integer(1), "1", "VMs that get an action in each period."),
    "action_period": Option("action_period", _SECONDS, "60", "Seconds between two such groups."),
    "vm_name_template": Option(
        "vm_name_template",
        Text(".+", "text"),
        "$ROLE_NAME_$VM_NUMBER_(service_$SERVICE_ID)",
        "Names of VMs: $SERVICE_ID, $SERVICE_NAME, $ROLE_NAME, $VM_NUMBER.",
    ),
    "vn_name_template": Option(
        "vn_name_template", Text(".+", "text"), "$ROLE_NAME(service_$SERVICE_ID)", "Names of networks."
    ),
    "core_auth": Option("core_auth", Choice(("cipher",)), "cipher", "How the server logs in to the core."),
    "debug_level": Option("debug_level", Integer(0, 3), "2", "0 errors, 1 warnings, 2 information, 3 all."),
    "ssl_cert": Option("ssl_cert", Text(), None, "Certificate (PEM) to serve HTTPS with; with ssl_key."),
    "ssl_key": Option("ssl_key", Text(), None, "Its private key (PEM)."),
}  # fmt: skip
