"""What cloud-init's own data source makes of the CONTEXT image of a VM that the core made."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.core.conftest import Core

from guest import build
from merope.drivers.context import build as build_image
from merope.drivers.context import context_of
from merope.drivers.paths import Allowed
from merope.model.vm import VM

SYSTEM_PYTHON = Path("/usr/bin/python3")
PACKAGES = ("cloud-init", "python3-configobj")
READER = Path(__file__).with_name("read_by_cloud_init.py")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEq ops@example.org"
OTHER_KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDY it's@example.org"
USER_DATA = '#cloud-config\npackages: [nginx]\nruncmd:\n - echo "it\'s $HOME"\n'

pytestmark = [
    pytest.mark.skipif(not shutil.which("isoinfo"), reason="needs isoinfo to unpack the image"),
    pytest.mark.skipif(not SYSTEM_PYTHON.exists(), reason="needs the distribution's Python for cloud-init"),
]


@pytest.fixture(scope="session")
def cloud_init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where cloud-init's modules are. Installed, it would set this machine up at its next boot: they are
    downloaded and unpacked."""
    place = tmp_path_factory.mktemp("cloud-init")
    try:
        for package in PACKAGES:
            archive = build.package_archive(package, place)
            build.run("dpkg-deb", "--extract", str(archive), str(place))
    except build.BuildError as error:
        pytest.skip(f"cloud-init cannot be had: {error}")
    return place / "usr/lib/python3/dist-packages"


@pytest.fixture(scope="session")
def found(cloud_init: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What cloud-init finds on the image of `vm`."""
    place = tmp_path_factory.mktemp("image")
    vm = allocated()
    build_image(place / "disk.1", context_of(vm), Allowed((), ()))
    unpacked = place / "unpacked"
    unpacked.mkdir()
    script = build.run("isoinfo", "-R", "-i", str(place / "disk.1"), "-x", "/context.sh")
    (unpacked / "context.sh").write_text(script)
    interfaces = {nic["MAC"]: f"ens{3 + int(nic['NIC_ID'])}" for nic in vm.template.vectors("NIC")}
    done = subprocess.run(
        [SYSTEM_PYTHON, READER, unpacked, json.dumps(interfaces)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(cloud_init)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def allocated() -> VM:
    core = Core()
    front = core.call(
        0,
        "one.vn.allocate",
        "NAME=front\nVN_MAD=bridge\nBRIDGE=br0\nGATEWAY=192.0.2.254\nNETWORK_MASK=255.255.255.128\n"
        'DNS="192.0.2.53 192.0.2.54"\nSEARCH_DOMAIN="example.org example.net"\nGUEST_MTU=1400\n'
        "AR=[TYPE=IP4,IP=192.0.2.130,SIZE=5]",
        -1,
    )
    inner = core.call(
        0,
        "one.vn.allocate",
        "NAME=inner\nVN_MAD=bridge\nBRIDGE=br1\nGATEWAY6=2001:db8::1\nNETWORK_MASK=255.255.0.0\n"
        "AR=[TYPE=IP4_6_STATIC,IP=10.7.0.9,IP6=2001:db8::9,PREFIX_LENGTH=96,SIZE=5]",
        -1,
    )
    user_data = base64.b64encode(USER_DATA.encode()).decode()
    template = (
        f"NAME=web\nCPU=1\nMEMORY=64\nNIC=[NETWORK_ID={front}]\nNIC=[NETWORK_ID={inner}]\n"
        f'CONTEXT=[NETWORK=YES,SSH_PUBLIC_KEY="{KEY}\n{OTHER_KEY}",SET_HOSTNAME="$NAME-$VMID",'
        f'USER_DATA="{user_data}",USER_DATA_ENCODING=base64,GREETING="it\'s $(reboot) `x` \\"two\\""]'
    )
    return core.get(VM, core.call(0, "one.vm.allocate", template, True))


def test_each_interface_has_its_addresses_and_the_mask_of_its_network(found: dict[str, Any]) -> None:
    ethernets = found["network-interfaces"]["ethernets"]
    assert ethernets["ens3"]["addresses"] == ["192.0.2.130/25"]
    assert ethernets["ens4"]["addresses"] == ["10.7.0.9/16", "2001:db8::9/96"]


def test_each_interface_has_the_gateways_of_its_network(found: dict[str, Any]) -> None:
    ethernets = found["network-interfaces"]["ethernets"]
    assert ethernets["ens3"]["gateway4"] == "192.0.2.254"
    assert "gateway6" not in ethernets["ens3"]
    assert ethernets["ens4"]["gateway6"] == "2001:db8::1"


def test_name_servers_search_domains_and_mtu_are_those_of_the_network(found: dict[str, Any]) -> None:
    front = found["network-interfaces"]["ethernets"]["ens3"]
    assert front["nameservers"] == {
        "addresses": ["192.0.2.53", "192.0.2.54"],
        "search": ["example.org", "example.net"],
    }
    assert front["mtu"] == "1400"


def test_every_key_is_a_public_key_of_the_guest(found: dict[str, Any]) -> None:
    assert found["metadata"]["public-keys"] == [KEY, OTHER_KEY]


def test_the_guest_is_named_as_the_context_says(found: dict[str, Any]) -> None:
    assert found["metadata"]["local-hostname"] == "web-0"


def test_user_data_is_read_as_it_was_written(found: dict[str, Any]) -> None:
    assert found["userdata"] == USER_DATA


def test_what_a_shell_could_run_is_a_value(found: dict[str, Any]) -> None:
    assert found["metadata"]["GREETING"] == 'it\'s $(reboot) `x` "two"'
