# Gives each interface named in the context its addresses; interfaces are told apart by their MAC.
# Values come in $value, without a subshell for each: a process costs much under emulation.

get() { eval "value=\$CTX_$1"; }

find_interface() { # MAC
    for entry in /sys/class/net/*; do
        read -r mac <"$entry/address" && [ "$mac" = "$1" ] && interface=${entry##*/} && return 0
    done
    return 1
}

add_addresses() { # prefix of the variables
    get "$1_MASK"
    length=$(ipcalc -p 0.0.0.0 "${value:-255.255.255.0}" 2>/dev/null)
    get "$1_IP"
    [ -n "$value" ] && ip addr add "$value/${length#PREFIX=}" dev "$interface"
    get "$1_IP6_PREFIX_LENGTH"
    length=${value:-64}
    for name in IP6 IP6_ULA; do
        get "$1_$name"
        [ -n "$value" ] && ip -6 addr add "$value/$length" dev "$interface"
    done
}

set_up() { # number
    get "ETH$1_MAC"
    find_interface "$value" || return
    get "ETH$1_MTU"
    [ -n "$value" ] && ip link set dev "$interface" mtu "$value"
    ip link set dev "$interface" up
    add_addresses "ETH$1"
    for alias in $(sed -n "s/^CTX_ETH$1_ALIAS\([0-9]*\)_IP=.*/\1/p" /run/context); do
        add_addresses "ETH$1_ALIAS$alias"
    done
    get "ETH$1_METRIC"
    metric=${value:-0}
    get "ETH$1_GATEWAY"
    [ -n "$value" ] && ip route add default via "$value" dev "$interface" metric "$metric" 2>/dev/null
    get "ETH$1_GATEWAY6"
    [ -n "$value" ] && ip -6 route add default via "$value" dev "$interface" 2>/dev/null
    get "ETH$1_DNS"
    for server in $value; do echo "nameserver $server" >>/etc/resolv.conf; done
    get "ETH$1_SEARCH_DOMAIN"
    [ -n "$value" ] && echo "search $value" >>/etc/resolv.conf
}

ip link set lo up
: >/etc/resolv.conf
for number in $(sed -n 's/^CTX_ETH\([0-9]*\)_MAC=.*/\1/p' /run/context 2>/dev/null); do set_up "$number"; done
for server in $CTX_DNS; do echo "nameserver $server" >>/etc/resolv.conf; done
