# Gives each interface named in the context its addresses; interfaces are told apart by their MAC.

interface_with_mac() {
    for entry in /sys/class/net/*; do
        [ "$(cat "$entry/address" 2>/dev/null)" = "$1" ] && echo "${entry##*/}" && return
    done
    return 1
}

variable() { eval "printf '%s' \"\$CTX_$1\""; }

prefix_length() { # of a dotted mask, 24 when it is none
    length=$(ipcalc -p 0.0.0.0 "${1:-255.255.255.0}" 2>/dev/null)
    echo "${length#PREFIX=}"
}

add_addresses() { # interface, prefix of the variables
    address=$(variable "$2_IP")
    [ -n "$address" ] && ip addr add "$address/$(prefix_length "$(variable "$2_MASK")")" dev "$1"
    for name in IP6 IP6_ULA; do
        address=$(variable "$2_$name")
        length=$(variable "$2_IP6_PREFIX_LENGTH")
        [ -n "$address" ] && ip -6 addr add "$address/${length:-64}" dev "$1"
    done
}

ip link set lo up
: >/etc/resolv.conf
for number in $(sed -n 's/^CTX_ETH\([0-9]*\)_MAC=.*/\1/p' /run/context 2>/dev/null); do
    interface=$(interface_with_mac "$(variable "ETH${number}_MAC")") || continue
    mtu=$(variable "ETH${number}_MTU")
    [ -n "$mtu" ] && ip link set dev "$interface" mtu "$mtu"
    ip link set dev "$interface" up
    add_addresses "$interface" "ETH$number"
    for alias in $(sed -n "s/^CTX_ETH${number}_ALIAS\([0-9]*\)_IP=.*/\1/p" /run/context); do
        add_addresses "$interface" "ETH${number}_ALIAS$alias"
    done
    gateway=$(variable "ETH${number}_GATEWAY")
    metric=$(variable "ETH${number}_METRIC")
    [ -n "$gateway" ] && ip route add default via "$gateway" dev "$interface" metric "${metric:-0}" 2>/dev/null
    gateway=$(variable "ETH${number}_GATEWAY6")
    [ -n "$gateway" ] && ip -6 route add default via "$gateway" dev "$interface" 2>/dev/null
    for server in $(variable "ETH${number}_DNS"); do echo "nameserver $server" >>/etc/resolv.conf; done
    domain=$(variable "ETH${number}_SEARCH_DOMAIN")
    [ -n "$domain" ] && echo "search $domain" >>/etc/resolv.conf
done
for server in $CTX_DNS; do echo "nameserver $server" >>/etc/resolv.conf; done
