"""Datastores: what their drivers make of them, their images, their capacity."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import Core, example, flat, sentence

from merope.core import datastore as datastores
from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.errors import Code
from merope.model.image import Image
from merope.model.states import DatastoreState, DiskType


def allocate(core: Core, text: str, cluster: int = -1) -> Datastore:
    oid = core.call(0, "one.datastore.allocate", text.replace(" ", "\n"), cluster)
    return core.get(Datastore, oid)


def test_an_image_datastore_has_the_targets_of_its_transfer_driver(core: Core) -> None:
    template = allocate(core, "NAME=a DS_MAD=fs TM_MAD=shared").template
    found = {name: template.get(name) for name in template.names()}
    assert found == {
        "ALLOW_ORPHANS": "NO",
        "CLONE_TARGET": "SYSTEM",
        "CLONE_TARGET_SSH": "SYSTEM",
        "DISK_TYPE": "FILE",
        "DISK_TYPE_SSH": "FILE",
        "DS_MAD": "fs",
        "LN_TARGET": "NONE",
        "LN_TARGET_SSH": "SYSTEM",
        "RESTRICTED_DIRS": "/",
        "SAFE_DIRS": "/var/tmp",
        "TM_MAD": "shared",
        "TM_MAD_SYSTEM": "ssh",
        "TYPE": "IMAGE_DS",
    }


def test_the_format_of_the_transfer_driver_is_the_datastores(core: Core) -> None:
    assert allocate(core, "NAME=a DS_MAD=fs TM_MAD=qcow2").template.get("DRIVER") == "qcow2"


def test_a_system_datastore_says_whether_it_is_shared(core: Core) -> None:
    made = allocate(core, "NAME=s TYPE=system_ds TM_MAD=shared")
    assert (made.ds_mad, made.template.get("SHARED"), made.template.get("DS_MIGRATE")) == ("-", "YES", "YES")
    assert "LN_TARGET" not in made.template
    assert "DS_MAD" not in made.template


def test_an_own_list_of_directories_is_kept(core: Core) -> None:
    made = allocate(core, 'NAME=a DS_MAD=fs TM_MAD=ssh SAFE_DIRS="/srv"')
    assert made.template.get("SAFE_DIRS") == "/srv"
    assert "RESTRICTED_DIRS" not in made.template


def test_it_lies_where_the_cloud_keeps_datastores_and_its_group_may_use_it(core: Core) -> None:
    made = allocate(core, 'NAME=a DS_MAD=fs TM_MAD=ssh BASE_PATH="/etc"')
    assert made.base_path == f"/var/lib/one//datastores/{made.id}"
    assert "BASE_PATH" not in made.template
    assert made.permissions.to_octal() == "640"


def test_it_joins_the_default_cluster_or_the_one_that_is_named(core: Core) -> None:
    edge = core.call(0, "one.cluster.allocate", "edge")
    first = allocate(core, "NAME=a DS_MAD=fs TM_MAD=ssh")
    second = allocate(core, "NAME=b DS_MAD=fs TM_MAD=ssh", edge)
    assert (first.clusters, second.clusters) == ({0}, {edge})
    assert core.get(Cluster, edge).datastores == {second.id}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("DS_MAD=fs TM_MAD=ssh", "Invalid NAME, it cannot be empty"),
        ("NAME=default DS_MAD=fs TM_MAD=ssh", "NAME is already taken by DATASTORE 1."),
        ("NAME=a TM_MAD=ssh", "No DS_MAD in template."),
        ("NAME=a DS_MAD=fs", "No TM_MAD in template."),
        ("NAME=a TYPE=SYSTEM_DS DS_MAD=fs TM_MAD=ssh", "SYSTEM datastores cannot have DS_MAD defined."),
        ("NAME=a DS_MAD=fs TM_MAD=tape", 'TM_MAD named "tape" is not defined in oned.conf'),
        ("NAME=a DS_MAD=tape TM_MAD=ssh", 'DS_MAD named "tape" is not defined in oned.conf'),
        (
            "NAME=a DS_MAD=ceph TM_MAD=ceph DISK_TYPE=RBD",
            'Datastore template is missing the "BRIDGE_LIST" attribute or it\'s empty.',
        ),
        ("NAME=a DS_MAD=fs TM_MAD=ssh DISK_TYPE=PUNCHCARD", "Unknown DISK_TYPE in template."),
        ("NAME=a DS_MAD=fs TM_MAD=ssh DISK_TYPE=RBD_CDROM", "Invalid DISK_TYPE in template."),
        (
            "NAME=a DS_MAD=fs TM_MAD=ssh TYPE=TAPE",
            'Unknown TYPE "TAPE" in template, it must be one of IMAGE_DS, SYSTEM_DS, FILE_DS.',
        ),
        (
            "NAME=a TYPE=SYSTEM_DS TM_MAD=ssh REPLICA_HOST=-oProxyCommand",
            'REPLICA_HOST is "-oProxyCommand", and must be the name or address of one host.',
        ),
        (
            "NAME=a TYPE=SYSTEM_DS TM_MAD=ssh REPLICA_HOST=n1 REPLICA_MAX_USED_PERC=0",
            'REPLICA_MAX_USED_PERC is "0", and must be a whole number from 1 to 100.',
        ),
        (
            "NAME=a TYPE=SYSTEM_DS TM_MAD=ssh REPLICA_HOST=n1 REPLICA_MAX_SIZE_MB=1G",
            'REPLICA_MAX_SIZE_MB is "1G", and must be a whole number from 0 to 8796093022208.',
        ),
    ],
)
def test_bad_datastores_are_refused(core: Core, text: str, detail: str) -> None:
    error = core.fails(0, "one.datastore.allocate", text.replace(" ", "\n"), -1)
    assert sentence(error) == (Code.INTERNAL, detail)


def test_a_template_that_does_not_parse_names_line_and_column(core: Core) -> None:
    error = core.fails(0, "one.datastore.allocate", "NAME=a\nDS_MAD=[", -1)
    assert error.code is Code.INTERNAL
    assert "line 2" in error.message


def test_an_update_follows_the_new_transfer_driver_and_keeps_what_it_does_not_name(core: Core) -> None:
    made = allocate(core, "NAME=a DS_MAD=fs TM_MAD=ssh")
    core.call(0, "one.datastore.update", made.id, "TM_MAD=shared", 0)
    updated = core.get(Datastore, made.id)
    assert (updated.tm_mad, updated.ds_mad, updated.template.get("LN_TARGET")) == ("shared", "fs", "NONE")


def test_a_datastore_turned_into_the_recorded_sandbox_one() -> None:
    core = Core(sandbox=False, datastore_location="/var/lib/one//datastores")
    core.call(0, "one.datastore.update", 0, "TM_MAD=dummy", 1)
    recorded = example("datastore-system.xml")
    for name in ("TOTAL_MB", "FREE_MB", "USED_MB"):
        recorded.find(name).text = "0"  # type: ignore[union-attr]
    assert flat(ElementTree.fromstring(core.call(0, "one.datastore.info", 0))) == flat(recorded)


def test_an_update_to_a_driver_that_is_not_configured_is_refused(core: Core) -> None:
    error = core.fails(0, "one.datastore.update", 1, "TM_MAD=tape", 1)
    text = 'Cannot update template. TM_MAD named "tape" is not defined in oned.conf'
    assert sentence(error) == (Code.INTERNAL, text)


def test_the_type_stays_while_there_are_images(core: Core) -> None:
    core.call(0, "one.image.allocate", "NAME=i\nTYPE=DATABLOCK\nSIZE=1", 1)
    error = core.fails(0, "one.datastore.update", 1, "TYPE=FILE_DS", 1)
    assert (
        error.message == "Cannot update template. The TYPE of datastore 1 cannot change while it has images."
    )


def test_only_system_datastores_are_disabled(core: Core) -> None:
    core.call(0, "one.datastore.enable", 0, False)
    assert core.get(Datastore, 0).state == DatastoreState.DISABLED
    core.call(0, "one.datastore.enable", 0, True)
    assert core.get(Datastore, 0).state == DatastoreState.READY
    assert core.fails(0, "one.datastore.enable", 1, False).code is Code.INTERNAL


def test_a_renamed_datastore_shows_on_its_images(core: Core) -> None:
    oid = core.call(0, "one.image.allocate", "NAME=i\nTYPE=DATABLOCK\nSIZE=1", 1)
    core.call(0, "one.datastore.rename", 1, "main")
    assert core.get(Image, oid).datastore == "main"


def test_a_datastore_with_images_stays(core: Core) -> None:
    core.call(0, "one.image.allocate", "NAME=i\nTYPE=DATABLOCK\nSIZE=1", 1)
    error = core.fails(0, "one.datastore.delete", 1)
    assert sentence(error) == (Code.ACTION, "Cannot delete datastore. Datastore 1 is not empty.")


def test_a_deleted_datastore_leaves_its_clusters(core: Core) -> None:
    made = allocate(core, "NAME=a DS_MAD=fs TM_MAD=ssh")
    core.call(0, "one.datastore.delete", made.id)
    assert core.get(Cluster, 0).datastores == {0, 1, 2}
    assert not core.exists(Datastore, made.id)


def test_a_measurement_is_stored_only_when_it_says_something_new(core: Core) -> None:
    for expected in (True, False):
        tx = core.transaction(core.caller(0))
        assert datastores.monitored(tx, 1, 100, 40, 60) is expected
        core.commit(tx)
    found = core.get(Datastore, 1)
    assert (found.total_mb, found.used_mb, found.free_mb) == (100, 40, 60)


def test_users_of_its_group_see_a_datastore(core: Core) -> None:
    ann = core.user("ann", 1)
    assert core.call(ann, "one.datastorepool.info").count("<DATASTORE>") == 3
    assert core.fails(ann, "one.datastore.update", 1, "A=b", 1).code is Code.AUTHORIZATION


def test_files_have_no_disk_type_of_their_own(core: Core) -> None:
    made = allocate(core, "NAME=f TYPE=FILE_DS DS_MAD=fs TM_MAD=ssh DISK_TYPE=RBD")
    assert made.disk_type == DiskType.FILE
    assert "DISK_TYPE" not in made.template
