"""Images, and the marketplaces that they come from and go to."""

from merope.simulation.deeds.call import Call, Deed, any_of
from merope.simulation.draws import Draw
from merope.simulation.genesis import OWN_MARKET


def _image(draw: Draw) -> Call:
    oid, user = draw.oid("image"), draw.user()
    return any_of(
        draw,
        ("one.image.allocate", [draw.image_template(), draw.one((1, 1, 101, 0)), True], user),
        ("one.image.allocate", [draw.image_template(), draw.one((1, 101)), True], user),
        ("one.image.clone", [oid, f"clone{draw.chance.randrange(4)}", draw.one((-1, 1, 101))], user),
        ("one.image.delete", [oid], user),
        ("one.image.enable", [oid, draw.likely(0.6)], user),
        ("one.image.persistent", [oid, draw.likely(0.5)], user),
    )


def _market(draw: Draw) -> Call:
    """Images are offered, what is offered becomes images."""
    app, image, user = draw.oid("marketapp"), draw.oid("image"), draw.user()
    name = f"app{draw.chance.randrange(4)}"
    market = OWN_MARKET if draw.likely(0.9) else draw.oid("market")
    offered = f"NAME={name}\nORIGIN_ID={image}\nTYPE={draw.one(('IMAGE', 'IMAGE', 'VMTEMPLATE'))}"
    made = f"NAME=of{draw.chance.randrange(3)}\nFROM_APP={app}"
    return any_of(
        draw,
        ("one.marketapp.allocate", [offered, market], user),
        ("one.marketapp.allocate", [offered, market], 0),
        ("one.image.allocate", [made, draw.one((1, 101)), True], user),
        ("one.image.allocate", [made, draw.one((1, 101)), True], 0),
        ("one.marketapp.enable", [app, draw.likely(0.6)], user),
        ("one.marketapp.delete", [app], user),
        ("one.marketapp.delete", [app], 0),
        ("one.marketapp.update", [app, "DESCRIPTION=d\nVERSION=2", draw.one((0, 1))], user),
        ("one.market.delete", [draw.one((1, market))], 0),
        ("one.image.chtype", [image, draw.one(("OS", "DATABLOCK", "CDROM", "KERNEL"))], user),
    )


DEEDS: tuple[tuple[Deed, int], ...] = ((_image, 7), (_market, 5))
