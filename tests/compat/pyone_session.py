"""What a stock pyone does with a cloud; run by an interpreter that has it: ENDPOINT AUTH. Prints one JSON
object of what it saw. Not part of the typed tree: pyone has no types."""

import json
import sys
import time

import pyone

one = pyone.OneServer(sys.argv[1], session=sys.argv[2])
saw = {}

saw["version"] = one.system.version()
host = one.host.allocate("node-" + str(time.time_ns()), "dummy", "dummy", -1)
for _ in range(200):
    if one.host.info(host).STATE == 2:
        break
    time.sleep(0.02)
saw["host_state"] = one.host.info(host).STATE
saw["host_hypervisor"] = one.host.info(host).TEMPLATE["HYPERVISOR"]

vm = one.vm.allocate({"TEMPLATE": {"NAME": "from-pyone", "CPU": "0.5", "MEMORY": "64"}}, True)
info = one.vm.info(vm)
saw["vm_name"], saw["vm_state"], saw["vm_memory"] = info.NAME, info.STATE, info.TEMPLATE["MEMORY"]
saw["vm_owner"] = info.UNAME

one.vm.update(vm, {"TEMPLATE": {"COLOUR": "blue & <green>"}}, 1)
saw["user_template"] = one.vm.info(vm).USER_TEMPLATE["COLOUR"]

one.vm.lock(vm, 4)
saw["locked"] = one.vm.info(vm).LOCK.LOCKED
try:
    one.vm.chown(vm, 0, 0)
    one.vm.chmod(vm, 1, 1, 1, 0, 0, 0, 0, 0, 0)
    saw["locked_refusal"] = "none"
except pyone.OneException as error:
    saw["locked_refusal"] = type(error).__name__
one.vm.unlock(vm)

one.vm.action("release", vm)
for _ in range(300):
    if one.vm.info(vm).LCM_STATE == 3:
        break
    time.sleep(0.02)
saw["running"] = one.vm.info(vm).LCM_STATE
saw["history_host"] = host == one.vm.info(vm).HISTORY_RECORDS.HISTORY[0].HID or "another"

pool = one.vmpool.info(-2, -1, -1, -1)
saw["in_pool"] = vm in [each.ID for each in pool.VM]
extended = one.vmpool.infoextended(-2, -1, -1, -1)
saw["in_extended_pool"] = vm in [each.ID for each in extended.VM]

for name, call in {
    "no_exists": lambda: one.vm.info(987654),
    "action": lambda: one.vm.action("resume", vm),
    "authentication": lambda: pyone.OneServer(sys.argv[1], session="oneadmin:wrong").vm.info(vm),
}.items():
    try:
        call()
        saw[name] = "none"
    except pyone.OneException as error:
        saw[name] = type(error).__name__

network = one.vn.allocate(
    f'NAME="net-{time.time_ns()}"\nVN_MAD="dummy"\nBRIDGE="br0"\nAR=[TYPE="IP4",IP="10.9.0.10",SIZE="5"]',
    -1,
)
saw["leases"] = one.vn.info(network).USED_LEASES
saw["datastores"] = sorted(each.NAME for each in one.datastorepool.info().DATASTORE)
saw["users"] = sorted(each.NAME for each in one.userpool.info().USER)[:2]
saw["groups"] = sorted(each.NAME for each in one.grouppool.info().GROUP)
saw["cluster_has_host"] = host in one.cluster.info(0).HOSTS.ID
saw["zone"] = one.zone.info(0).NAME
saw["acl_rules"] = len(one.acl.info().ACL)

unique = f"n-{time.time_ns()}"
document = one.document.allocate({"TEMPLATE": {"NAME": "doc", "BODY": "{}"}}, 100)
copy = one.document.clone(document, "copy")
saw["document"] = one.document.info(copy).TEMPLATE["BODY"]
# pyone 5.12 has no classes for pools of documents and for hooks, and reads them as something else.
listed = getattr(one.documentpool.info(-2, -1, -1, 100), "DOCUMENT", ())
saw["documents"] = [each.ID for each in listed if each.ID in (document, copy)] == [copy, document]
group = one.vmgroup.allocate(f'NAME="{unique}"\nROLE=[NAME="db",POLICY="AFFINED"]')
member = one.vm.allocate(f'CPU="0.1"\nMEMORY="16"\nVMGROUP=[VMGROUP_ID="{group}",ROLE="db"]', True)
saw["role"] = one.vmgroup.info(group).ROLES.ROLE[0].POLICY
try:
    one.vmgroup.delete(group)
    saw["group_refusal"] = "none"
except pyone.OneException as error:
    saw["group_refusal"] = type(error).__name__
one.vm.action("terminate", member)
one.vmgroup.delete(group)
plan = one.vntemplate.allocate(f'NAME="{unique}"\nVN_MAD="dummy"\nBRIDGE="b0"')
saw["instance"] = one.vn.info(one.vntemplate.instantiate(plan, unique, "")).BRIDGE
hook = one.hook.allocate(f'NAME="{unique}"\nTYPE="api"\nCALL="one.vm.allocate"\nCOMMAND="x"')
saw["hook"] = getattr(one.hook.info(hook), "TYPE", "")
one.hook.delete(hook)

one.vm.action("terminate-hard", vm)
for _ in range(300):
    if one.vm.info(vm).STATE == 6:
        break
    time.sleep(0.02)
saw["done"] = one.vm.info(vm).STATE
print(json.dumps(saw))
