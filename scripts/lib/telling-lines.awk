# SPDX-License-Identifier: Apache-2.0
# The lines that tell most of a failed test's output: cmocka's assertions, compilers' errors, the first
# lines of a sanitizer's report, of a thrown error or of what a script blames; the last lines when it
# has none of these.
# Usage: awk -v max=20 -f scripts/lib/telling-lines.awk LOG

function tell(text) {
    if (told++ < max)
        print "  " substr(text, 1, 300)
}

{ last[NR % max] = $0 }

/^ +at .*\(?node:(internal|async_hooks)/ { next }

/^\[  ERROR   \]|^\[   LINE   \]|(^|[: ])(fatal )?error: / {
    tell($0)
    next
}

/[A-Za-z]Sanitizer: |: runtime error: |^[A-Za-z]*Error[: ]|^FAILED/ {
    follow = 14
}

follow > 0 && NF > 0 {
    follow--
    tell($0)
}

# The end of a sanitizer's report; a map of the memory comes after it.
/^SUMMARY: / { follow = 0 }

END {
    for (at = NR - max + 1; told == 0 && at <= NR; at++)
        if (at > 0)
            print "  " substr(last[at % max], 1, 300)
}
