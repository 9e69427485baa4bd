# Reads KEY='value' assignments, where a quote inside a value is written '\'', and prints them as
# CTX_KEY='value'. Stops with a word on standard error at the first thing that is anything else.
{ text = text $0 "\n" }
END {
    line = 1
    while (text != "") {
        if (match(text, /^[ \t]*(#[^\n]*)?\n/)) {
            text = substr(text, RLENGTH + 1)
            line++
            continue
        }
        if (!match(text, /^[A-Za-z_][A-Za-z0-9_]*='/)) fail()
        key = substr(text, 1, RLENGTH - 2)
        text = substr(text, RLENGTH + 1)
        value = ""
        for (;;) {
            end = index(text, "'")
            if (!end) fail()
            value = value substr(text, 1, end - 1)
            text = substr(text, end + 1)
            if (substr(text, 1, 3) != "\\''") break
            value = value "'\\''"
            text = substr(text, 4)
        }
        if (substr(text, 1, 1) != "\n") fail()
        printf "CTX_%s='%s'\n", key, value
        line += gsub(/\n/, "\n", value)
    }
}
function fail() {
    print "merope-guest: context.sh is not a list of assignments, line " line > "/dev/stderr"
    exit 1
}
