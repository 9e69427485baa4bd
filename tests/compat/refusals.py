"""Calls that 5.12 refuses: who makes them, the call, and the code and words of the refusal.

The objects are those of test_errors. Rows whose words the published facts do not give are not here.
"""

from typing import Any

from merope.model.errors import Code

ANN, BOB, CAROL = 2, 3, 4
NOBODY = 4711
SMALL = 'CPU="0.1"\nMEMORY="16"'
NETWORK = 'NAME="net"\nVN_MAD="dummy"\nBRIDGE="br0"\nAR=[TYPE="IP4",IP="10.0.0.1",SIZE="9"]'
Row = tuple[str, str, tuple[Any, ...], Code, str]
LONG = "n" * 129

NO_EXISTS: tuple[Row, ...] = tuple(
    ("oneadmin", f"one.{api}.info", (NOBODY,), Code.NO_EXISTS, f"Error getting {label} [{NOBODY}].")
    for api, label in {
        "vm": "virtual machine",
        "host": "host",
        "vn": "virtual network",
        "image": "image",
        "user": "user",
        "template": "virtual machine template",
        "group": "group",
        "datastore": "datastore",
        "cluster": "cluster",
        "zone": "zone",
        "secgroup": "security group",
        "vdc": "VDC",
        "market": "marketplace",
        "marketapp": "marketplaceapp",
    }.items()
)

#: The reason alone, code INTERNAL: recorded in cli.txt for users and VMs.
ALLOCATE: tuple[Row, ...] = tuple(
    (
        "ann" if method.split(".")[1] in ("image", "template") else "oneadmin",
        method,
        arguments,
        Code.INTERNAL,
        text,
    )
    for method, arguments, text in (
        ("one.user.allocate", ("ann", "x", "", []), "NAME is already taken by USER 2."),
        ("one.user.allocate", ("", "x", "", []), "Invalid NAME, it cannot be empty"),
        ("one.user.allocate", ("a:b", "x", "", []), "Invalid NAME, char ':' is not allowed"),
        ("one.group.allocate", ("users",), "NAME is already taken by GROUP 1."),
        ("one.host.allocate", ("node0", "dummy", "dummy", -1), "NAME is already taken by HOST 0."),
        ("one.host.allocate", ("", "dummy", "dummy", -1), "Invalid NAME, it cannot be empty"),
        ("one.host.allocate", (LONG, "dummy", "dummy", -1), "Invalid NAME, max length is 128 chars"),
        ("one.cluster.allocate", ("default",), "NAME is already taken by CLUSTER 0."),
        (
            "one.datastore.allocate",
            ('NAME="files"\nDS_MAD="dummy"\nTM_MAD="dummy"', -1),
            "NAME is already taken by DATASTORE 2.",
        ),
        ("one.datastore.allocate", ('NAME="x"\nTM_MAD="dummy"', -1), "No DS_MAD in template."),
        ("one.datastore.allocate", ('NAME="x"\nDS_MAD="dummy"', -1), "No TM_MAD in template."),
        (
            "one.datastore.allocate",
            ('NAME="x"\nDS_MAD="dummy"\nTM_MAD="tape"', -1),
            'TM_MAD named "tape" is not defined in oned.conf',
        ),
        (
            "one.datastore.allocate",
            ('NAME="x"\nTYPE="SYSTEM_DS"\nDS_MAD="fs"\nTM_MAD="dummy"', -1),
            "SYSTEM datastores cannot have DS_MAD defined.",
        ),
        ("one.vn.allocate", (NETWORK, -1), "NAME is already taken by NET 0."),
        ("one.vn.allocate", ('VN_MAD="dummy"', -1), "No NAME in template for Virtual Network."),
        ("one.secgroup.allocate", ('NAME="web"',), "NAME is already taken by SecurityGroup 100."),
        ("one.secgroup.allocate", ('A="b"',), "No NAME in template for Security Group."),
        ("one.vdc.allocate", ('NAME="lab"',), "NAME is already taken by Vdc 100."),
        (
            "one.image.allocate",
            ('NAME="disk"\nTYPE="DATABLOCK"\nSIZE="1"', 1),
            "NAME is already taken by IMAGE 0.",
        ),
        ("one.image.allocate", ('NAME="x"\nTYPE="CDROM"', 1), "No PATH in template."),
        (
            "one.image.allocate",
            ('NAME="x"\nTYPE="DATABLOCK"\nSIZE="1"', 0),
            "New images cannot be allocated in a system datastore.",
        ),
        ("one.template.allocate", ('NAME="web"',), "NAME is already taken by TEMPLATE 0."),
        ("one.vm.allocate", ("", False), "MEMORY attribute must be a positive integer value."),
        (
            "one.vm.allocate",
            ('MEMORY="0"\nCPU="1"', False),
            "MEMORY attribute must be a positive integer value.",
        ),
        (
            "one.vm.allocate",
            ('MEMORY="8"', False),
            "CPU attribute must be a positive float or integer value.",
        ),
        (
            "one.vm.allocate",
            (f'{SMALL}\nVCPU="-1"', False),
            "VCPU attribute must be a positive integer value.",
        ),
        (
            "one.vm.allocate",
            (f'{SMALL}\nCPU_COST="x"', False),
            "CPU_COST attribute must be a positive float or integer value.",
        ),
        (
            "one.vm.allocate",
            (f'{SMALL}\nOS=[ARCH="a"]\nOS=[ARCH="b"]', False),
            "Only one OS attribute can be defined.",
        ),
        (
            "one.vm.allocate",
            (f'{SMALL}\nDISK=[TYPE="tape",SIZE="1"]', False),
            "DISK 0: Unknown disk type tape",
        ),
        (
            "one.vm.allocate",
            (f'{SMALL}\nDISK=[TYPE="fs"]', False),
            "DISK 0: SIZE attribute must be a positive integer value.",
        ),
        (
            "one.vm.allocate",
            (f'{SMALL}\nDISK=[IMAGE="nothing"]', False),
            "User 0 does not own an image with name: nothing . "
            "Set IMAGE_UNAME or IMAGE_UID of owner in DISK.",
        ),
        ("one.vm.allocate", (f'NAME="a#b"\n{SMALL}', False), "Invalid NAME, char '#' is not allowed"),
    )
)

FROM_ANOTHER: tuple[Row, ...] = (
    (
        "ann",
        "one.template.clone",
        (0, "web"),
        Code.ALLOCATE,
        "Error allocating a new virtual machine template. NAME is already taken by TEMPLATE 0.",
    ),
    (
        "ann",
        "one.template.instantiate",
        (0, "", True, 'MEMORY="0"', False),
        Code.ALLOCATE,
        "Error allocating a new virtual machine template. MEMORY attribute must be a positive integer value.",
    ),
    (
        "ann",
        "one.image.clone",
        (0, "disk", -1),
        Code.ALLOCATE,
        "Error allocating a new image. NAME is already taken by IMAGE 0.",
    ),
    (
        "oneadmin",
        "one.secgroup.clone",
        (100, "web"),
        Code.ALLOCATE,
        "Error allocating a new security group. NAME is already taken by SecurityGroup 100.",
    ),
)

NAMES: tuple[Row, ...] = (
    (
        "oneadmin",
        "one.host.rename",
        (1, "node0"),
        Code.ACTION,
        "host cannot be renamed to node0 because it collides with host 0",
    ),
    (
        "oneadmin",
        "one.cluster.rename",
        (100, "default"),
        Code.ACTION,
        "cluster cannot be renamed to default because it collides with cluster 0",
    ),
    (
        "ann",
        "one.template.rename",
        (1, "web"),
        Code.ACTION,
        "virtual machine template cannot be renamed to web because it collides with "
        "virtual machine template 0",
    ),
    (
        "ann",
        "one.image.rename",
        (2, "disk"),
        Code.ACTION,
        "image cannot be renamed to disk because it collides with image 0",
    ),
    ("ann", "one.image.rename", (2, ""), Code.ACTION, "Invalid NAME, it cannot be empty"),
    ("ann", "one.image.rename", (2, "a{b"), Code.ACTION, "Invalid NAME, char '{' is not allowed"),
    ("ann", "one.image.rename", (2, LONG), Code.ACTION, "Invalid NAME, max length is 128 chars"),
    (
        "oneadmin",
        "one.image.chown",
        (1, ANN, -1),
        Code.INTERNAL,
        "user [2] already owns image [0] with NAME disk",
    ),
)

RIGHTS: tuple[Row, ...] = tuple(
    (who, method, arguments, Code.AUTHORIZATION, text)
    for who, method, arguments, text in (
        ("bob", "one.image.info", (0,), "User [3] : Not authorized to perform USE IMAGE [0]."),
        ("bob", "one.image.delete", (0,), "User [3] : Not authorized to perform MANAGE IMAGE [0]."),
        (
            "bob",
            "one.template.instantiate",
            (0, ""),
            "User [3] : Not authorized to perform USE TEMPLATE [0].",
        ),
        ("bob", "one.host.info", (0,), "User [3] : Not authorized to perform USE HOST [0]."),
        ("bob", "one.host.delete", (0,), "User [3] : Not authorized to perform ADMIN HOST [0]."),
        ("bob", "one.user.info", (0,), "User [3] : Not authorized to perform USE USER [0]."),
        ("bob", "one.user.passwd", (ANN, "x"), "User [3] : Not authorized to perform MANAGE USER [2]."),
        ("bob", "one.group.info", (100,), "User [3] : Not authorized to perform USE GROUP [100]."),
        ("bob", "one.acl.info", (), "User [3] : Not authorized to perform MANAGE ACL."),
        ("bob", "one.user.allocate", ("x", "y", "", []), "User [3] : Not authorized to perform CREATE USER."),
        ("bob", "one.cluster.allocate", ("x",), "User [3] : Not authorized to perform CREATE CLUSTER."),
        (
            "bob",
            "one.host.allocate",
            ("x", "dummy", "dummy", -1),
            "User [3] : Not authorized to perform CREATE HOST; Not authorized to perform ADMIN CLUSTER [0].",
        ),
        ("ann", "one.image.chown", (0, BOB, -1), "User [2] : Not authorized to perform MANAGE USER [3]."),
        ("ann", "one.image.chown", (0, -1, 0), "User [2] : Not authorized to perform USE GROUP [0]."),
        (
            "ann",
            "one.image.chmod",
            (0, -1, -1, 1, -1, -1, -1, -1, -1, -1),
            "User [2] : Not authorized to perform ADMIN IMAGE [0].",
        ),
        ("bob", "one.system.config", (), "User [3] not authorized to perform action on system."),
        (
            "bob",
            "one.userquota.update",
            ('VM=[VMS="1"]',),
            "User [3] not authorized to perform action on user.",
        ),
        (
            "bob",
            "one.groupquota.update",
            ('VM=[VMS="1"]',),
            "User [3] not authorized to perform action on group.",
        ),
    )
)

RESTRICTED: tuple[Row, ...] = (
    (
        "ann",
        "one.vm.allocate",
        (f'{SMALL}\nRAW=[TYPE="kvm",DATA="x"]', True),
        Code.AUTHORIZATION,
        "User [2] : VM Template includes a restricted attribute RAW.",
    ),
    (
        "ann",
        "one.vm.allocate",
        (f'{SMALL}\nNIC=[NETWORK_ID="0",MAC="02:00:00:00:00:01"]', True),
        Code.AUTHORIZATION,
        "User [2] : VM Template includes a restricted attribute NIC/MAC.",
    ),
    (
        "ann",
        "one.template.allocate",
        ('NAME="x"\nCPU_COST="1"',),
        Code.AUTHORIZATION,
        "User [2] : Template includes a restricted attribute CPU_COST.",
    ),
    (
        "ann",
        "one.image.allocate",
        ('NAME="x"\nSOURCE="a"\nSIZE="1"', 1),
        Code.AUTHORIZATION,
        "User [2] : Template includes a restricted attribute SOURCE.",
    ),
    (
        "ann",
        "one.template.instantiate",
        (0, "", True, 'EMULATOR="/x"', False),
        Code.AUTHORIZATION,
        "User [2] : User Template includes a restricted attribute EMULATOR.",
    ),
    (
        "ann",
        "one.image.update",
        (0, 'SOURCE="x"', 1),
        Code.INTERNAL,
        "Cannot update template. Tried to change restricted attribute: SOURCE",
    ),
    (
        "ann",
        "one.user.update",
        (ANN, 'VM_ADMIN_OPERATIONS="hold"', 1),
        Code.INTERNAL,
        "Cannot update template. Tried to change restricted attribute: VM_ADMIN_OPERATIONS",
    ),
)

REQUESTS: tuple[Row, ...] = (
    ("oneadmin", "one.vmpool.info", (-5, -1, -1, -1), Code.XML_RPC_API, "Incorrect filter_flag"),
    ("oneadmin", "one.imagepool.info", (-5, -1, -1), Code.XML_RPC_API, "Incorrect filter_flag"),
    ("oneadmin", "one.vmpool.info", (-2, -1, -1, -3), Code.XML_RPC_API, "Incorrect filter_flag, state"),
    ("ann", "one.template.update", (0, 'A="b"', 2), Code.XML_RPC_API, "Wrong update type"),
    (
        "ann",
        "one.template.update",
        (0, "<A", 0),
        Code.INTERNAL,
        "Cannot update template. Parse error: XML Template malformed.",
    ),
    (
        "ann",
        "one.image.chmod",
        (0, 2, -1, -1, -1, -1, -1, -1, -1, -1),
        Code.INTERNAL,
        "New permission values must be -1, 0 or 1",
    ),
    (
        "oneadmin",
        "one.acl.addrule",
        ("100000002", "1100000fff", "1"),
        Code.INTERNAL,
        "Rule #2 VM/#4095 USE #0 already exists",
    ),
    ("oneadmin", "one.acl.delrule", (NOBODY,), Code.INTERNAL, f"Rule {NOBODY} does not exist"),
    (
        "oneadmin",
        "one.user.quota",
        (ANN, 'VM=[VMS="-5"]'),
        Code.ACTION,
        "Negative limits or bad format in quota VM = [ VMS=-5 ]",
    ),
)

DELETES: tuple[Row, ...] = tuple(
    ("oneadmin", f"one.{api}.delete", (oid,), Code.ACTION, f"Cannot delete {label}. {detail}")
    for api, oid, label, detail in (
        ("user", 0, "user", "oneadmin cannot be deleted."),
        ("secgroup", 0, "security group", "The default security group (ID 0) cannot be deleted."),
        ("host", 0, "host", "Can not remove a host with running VMs"),
        ("datastore", 1, "datastore", "Datastore 1 is not empty."),
    )
)

LOCKS: tuple[Row, ...] = (
    ("oneadmin", "one.image.rename", (3, "x"), Code.AUTHORIZATION, "User [0] : IMAGE is locked. [3]."),
    ("oneadmin", "one.image.delete", (3,), Code.AUTHORIZATION, "User [0] : IMAGE is locked. [3]."),
    (
        "oneadmin",
        "one.vm.allocate",
        (f'{SMALL}\nDISK=[IMAGE_ID="3"]', True),
        Code.AUTHORIZATION,
        "User [0] : IMAGE is locked. [3].",
    ),
)

QUOTAS: tuple[Row, ...] = (
    (
        "carol",
        "one.vm.allocate",
        (SMALL, True),
        Code.AUTHORIZATION,
        "User [4] : user [4] limit of 0 reached for VMS quota in VM..",
    ),
    (
        "carol",
        "one.image.allocate",
        ('NAME="x"\nTYPE="DATABLOCK"\nSIZE="1"', 1),
        Code.AUTHORIZATION,
        "User [4] : user [4] limit of 0 reached for IMAGES quota in DATASTORE with ID: 1..",
    ),
)

ROWS = NO_EXISTS + ALLOCATE + FROM_ANOTHER + NAMES + RIGHTS + RESTRICTED + REQUESTS + DELETES + LOCKS + QUOTAS
