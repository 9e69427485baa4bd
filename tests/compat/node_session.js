// Drives a cloud with the `opennebula` package of npm and prints what it saw, as JSON.
// node node_session.js ENDPOINT USER:PASSWORD
const Client = require("opennebula");
const { promisify } = require("util");

const [endpoint, auth] = process.argv.slice(2);
const one = new Client(auth, endpoint);
const ask = (object, method, ...words) => promisify(object[method].bind(object))(...words);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// The client takes the answer 0 for none and gives {} in its place; most of what it makes has no connection.
async function idOf(made) {
  const { id } = await made;
  return typeof id === "object" ? 0 : id;
}

async function until(machine, lcm) {
  for (let turn = 0; turn < 200; turn += 1) {
    const { VM } = await ask(machine, "info");
    if (VM.LCM_STATE === lcm) return VM;
    await pause(50);
  }
  throw new Error(`the machine did not reach ${lcm}`);
}

async function refusal(call) {
  try {
    await call;
    return null;
  } catch (error) {
    return error.message;
  }
}

async function main() {
  const saw = { version: await ask(one, "version") };
  // Its hosts are those of a time before 5.0: the fourth word was a network driver.
  const host = one.getHost(await idOf(ask(one, "createHost", "node", "dummy", "dummy", -1, -1)));
  saw.host = (await ask(host, "info")).HOST.NAME;
  const range = 'AR = [TYPE = "IP4", IP = "192.0.2.1", SIZE = "8"]';
  const bridged = `NAME = "net"\nVN_MAD = "dummy"\nBRIDGE = "br0"\n${range}`;
  const net = one.getVNet(await idOf(ask(one, "createVNet", bridged, -1)));
  saw.leases = (await ask(net, "info")).VNET.USED_LEASES;
  const size = "CPU = 0.1\nMEMORY = 64\n";
  const wanted = `NAME = "a (b), c"\n${size}NIC = [NETWORK = "net"]`;
  const machine = one.getVM(await idOf(ask(one, "createVM", wanted, false)));
  const running = await until(machine, "3");
  saw.machine = { name: running.NAME, ip: running.TEMPLATE.NIC.IP };
  saw.listed = (await promisify((done) => one.getVMs(done))()).map((vm) => vm.ID);
  await ask(machine, "rename", "renamed");
  await ask(machine, "update", 'COLOUR = "blue & <green>"', 1);
  await ask(machine, "lock", 1);
  saw.locked = await refusal(ask(machine, "action", "terminate-hard"));
  await ask(machine, "unlock");
  const changed = (await ask(machine, "info")).VM;
  saw.changed = { name: changed.NAME, colour: changed.USER_TEMPLATE.COLOUR };
  await ask(machine, "action", "terminate-hard");
  const template = one.getTemplate(await idOf(ask(one, "createTemplate", `NAME = "app"\n${size}`)));
  saw.template = (await ask(template, "info")).VMTEMPLATE.TEMPLATE.MEMORY;
  saw.instance = await idOf(ask(template, "instantiate", "from-template", true, ""));
  saw.users = (await ask(one, "getUsers")).map((user) => user.NAME);
  saw.nobody = await refusal(ask(one.getVM(4711), "info"));
  saw.stranger = await refusal(ask(new Client("nobody:wrong", endpoint), "getHosts"));
  console.log(JSON.stringify(saw));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
