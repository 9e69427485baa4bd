#!/bin/sh
# Makes what the project needs on this machine: scripts/setup.sh test | cloud | all
#
#   test   the Python environment (.venv) with the tools of developers
#   cloud  the Python environment, and the system packages of a host with QEMU and libvirt
#   all    both, and the database servers that tests start for themselves
#
# It asks before it installs system packages when a person sits at the terminal, and does nothing where
# nothing is missing. PYTHON names another interpreter than the one that would be found.
set -eu

cd "$(dirname "$0")/.."
what=${1:-all}
case $what in
test) extras=dev,auth,flow,gate,mysql,postgresql,yaml,zstd ;;
cloud) extras=auth,flow,gate,kvm,yaml,zstd ;;
all) extras=dev,auth,bmc,flow,gate,kvm,ldap,mysql,postgresql,yaml,zstd ;;
*)
    echo "usage: scripts/setup.sh test | cloud | all" >&2
    exit 2
    ;;
esac

# Debian's name of each package and why it is needed; `test` needs those of `python` only.
packages='
python  python3              Merope is a Python program
python  python3-venv         its libraries go into a directory of their own, .venv
headers python3-dev          the Python binding of libvirt is compiled
kvm     qemu-system-x86      runs the virtual machines
kvm     seabios              what they boot with
kvm     ipxe-qemu            their network cards
kvm     qemu-utils           makes and copies their disks (qemu-img)
kvm     libvirt-daemon-system  starts and watches QEMU
kvm     libvirt-clients      virsh, to look at them
kvm     libvirt-dev          the Python binding of libvirt is compiled
kvm     gcc                  the same
kvm     pkg-config           the same
kvm     genisoimage          writes the CONTEXT disk
kvm     e2fsprogs            makes file systems on volatile disks
kvm     busybox-static       the user space of the guest image
kvm     syslinux             the boot loader of the guest image
kvm     syslinux-common      the same
kvm     mtools               puts it on the image
kvm     iproute2             bridges and addresses
kvm     iptables             security groups
kvm     nftables             filters of spoofed addresses
kvm     curl                 looks at the page that the guest serves
kvm     openssh-client       reaches other hosts
servers openvswitch-switch   tests of networks; they start switches of their own
servers openssh-server       tests of hosts; they start one of their own
servers python3-libvirt      the Python of the hosts in the test bed is the system one
servers mariadb-server       tests of the store; they start one of their own
servers postgresql           the same
servers prometheus           the alerts are checked by its promtool
servers ipmitool             tests of switching hosts off; they start controllers of their own
servers kmod                 modules of the helper VM, which tests of storage and networks run in
servers lxd                  containers in tests; they start one of their own
servers lxd-client           the same
servers tigervnc-standalone-server  terminals of containers and microVMs shown by VNC
servers tigervnc-tools       the same
servers ovmf                 tests of machines with UEFI
servers lz4                  kernels in tests of microVMs
servers screen               the console of microVMs
servers xterm                the same
servers ceph-mon             tests of Ceph; they start a cluster of their own in memory
servers ceph-osd             the same
servers ceph-mgr             the same
servers ceph-common          the same
servers qemu-block-extra     QEMU reaches volumes of Ceph and targets of iSCSI
servers tgt                  tests of iSCSI; they start a target of their own
servers lvm2                 logical volumes, in the helper VM
servers slapd                tests of logins by a directory; they start one of their own
servers libldap2-dev         the Python binding of OpenLDAP is compiled
servers libsasl2-dev         the same
'

say() { printf '%s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root and there is no sudo; run as root: $*"
    fi
}

have_package() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
        -o DPkg::Lock::Timeout=900 "$@"
}

# install_packages NAME... : all of them are missing
install_packages() {
    say "These system packages are missing:"
    for name in "$@"; do
        say "$packages" | awk -v name="$name" '$2 == name { $1 = ""; $2 = ""; sub(/^ +/, ""); \
            printf "  %-22s %s\n", name, $0 }'
    done
    if ! command -v apt-get >/dev/null; then
        fail "this system has no apt-get: install what does the same with its package manager, then run this again"
    fi
    if [ -t 0 ] && [ -t 1 ]; then
        printf 'Install them now? [Y/n] '
        read -r answer
        case $answer in
        '' | [Yy]*) ;;
        *) fail "without them this cannot go on: apt-get install $*" ;;
        esac
    fi
    log=$(mktemp)
    say "Installing them with apt-get (its output: $log) …"
    # Lists of what there is may be missing or old: fetch them only then.
    {
        apt install --print-uris "$@" >/dev/null 2>&1 || apt update
        apt install "$@" || { apt update && apt install "$@"; }
    } >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        fail "apt-get could not install them"
    }
    rm -f "$log"
}

# missing_packages KIND : the packages of a kind that are not there
missing_packages() {
    say "$packages" | while read -r kind name _; do
        if [ "$kind" = "$1" ] && ! have_package "$name"; then
            say "$name"
        fi
    done
}

usable_python() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 /usr/bin/python3}; do
        if usable_python "$candidate"; then
            say "$candidate"
            return 0
        fi
    done
    return 1
}

# needed_packages : the names of all packages that are missing for what was asked
needed_packages() {
    base=/usr
    if [ -x .venv/bin/python ]; then
        base=$(.venv/bin/python -c 'import sys; print(sys.base_prefix)')
    elif python=$(find_python); then
        base=$("$python" -c 'import sys; print(sys.base_prefix)')
    else
        missing_packages python
    fi
    [ "$what" != test ] || return 0
    missing_packages kvm
    [ "$what" != all ] || missing_packages servers
    # The headers are a package of their own only for the distribution's Python.
    if [ "$base" = /usr ]; then
        missing_packages headers
    fi
}

setup_packages() {
    if command -v dpkg-query >/dev/null; then
        missing=$(needed_packages)
        # shellcheck disable=SC2086  # a list of words
        [ -z "$missing" ] || install_packages $missing
    elif [ "$what" != test ]; then
        for program in qemu-system-x86_64 qemu-img virsh genisoimage busybox syslinux mcopy ip curl cc pkg-config; do
            command -v "$program" >/dev/null ||
                fail "$program is missing and this is not Debian: install it with the system's package manager"
        done
    fi
}

setup_venv() {
    # pip is the last that comes into an environment: one without it was interrupted.
    [ ! -x .venv/bin/pip ] || return 0
    python=$(find_python) || fail "no Python >= 3.11 with venv was found: name one with PYTHON=/path/to/python3"
    say "Python environment: .venv, of $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
}

# The environment is up to date when it was made for the same project file with these extras.
setup_libraries() {
    stamp=.venv/.made-for
    wanted=$(cksum <pyproject.toml)
    for extra in $(echo "$extras" | tr , ' '); do
        grep -qxF "$extra $wanted" "$stamp" 2>/dev/null || {
            say "Python libraries: merope[$extras]"
            .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
            { cat "$stamp" 2>/dev/null || :; } | grep -F "$wanted" >"$stamp.part" || :
            for done in $(echo "$extras" | tr , ' '); do say "$done $wanted"; done >>"$stamp.part"
            mv "$stamp.part" "$stamp"
            return 0
        }
    done
}

# Two at once would get into each other's way.
if command -v flock >/dev/null; then
    exec 9<pyproject.toml
    flock 9
fi
setup_packages
setup_venv
setup_libraries
