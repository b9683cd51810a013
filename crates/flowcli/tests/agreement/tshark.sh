#!/bin/sh
# Writes tshark.tsv: which packets tshark's TCP analysis names, by file, stream and class.
# Usage: tshark.sh CAPTURES > tshark.tsv (CAPTURES is the folder that holds truth/).
set -eu
cd "$1"
classes="retransmission fast_retransmission spurious_retransmission out_of_order lost_segment ack_lost_segment \
duplicate_ack zero_window zero_window_probe window_update window_full keep_alive keep_alive_ack"
fields=$(for class in $classes; do printf -- '-e tcp.analysis.%s ' "$class"; done)
version=$(tshark --version 2>/dev/null | sed -n '1s/ (Git.*//p')
printf '# %s: packets that its TCP analysis names, by number; runs as first-last\n' "$version"
printf 'file\tstream\tclass\tpackets\n'
# A stream that ends without any of them needs no line: truth/tcp_streams.tsv has its zeros.
awk -F '\t' '!/^#/ && $1 != "file" { print $1 }' truth/tcp_streams.tsv | sort -u | while read -r file; do
    # shellcheck disable=SC2086
    tshark -n -r "$file" -T fields -E occurrence=l -e frame.number -e tcp.stream $fields 2>/dev/null |
        awk -F '\t' -v file="$file" -v classes="$classes" '
            BEGIN { many = split(classes, name, " ") }
            function close_run(key) {
                if (!(key in first)) return
                list[key] = list[key] (list[key] == "" ? "" : ",") first[key] (last[key] > first[key] ? "-" last[key] : "")
            }
            {
                for (column = 1; column <= many; column++) if ($(column + 2) != "") {
                    key = $2 "\t" name[column]
                    if (!(key in first)) order[++keys] = key
                    if (key in first && last[key] == $1 - 1) { last[key] = $1; continue }
                    close_run(key)
                    first[key] = last[key] = $1
                }
            }
            END { for (at = 1; at <= keys; at++) { close_run(order[at]); print file "\t" order[at] "\t" list[order[at]] } }'
done
