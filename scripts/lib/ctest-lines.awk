# SPDX-License-Identifier: Apache-2.0
# Turns the output of `ctest -V` into one line a test case: "ok <stage> <program>: <case>". Cases are
# those of cmocka ("[       OK ] name") and of our shell tests ("ok name"); a program that names none
# counts as one. The whole output of a program that fails is shown, and kept in <folder>/<program>.log.
# Usage: ctest -V | awk -v stage=dev -v folder=FOLDER -f scripts/lib/ctest-lines.awk

function report(word, number, what) {
    printf "%s %s %s%s\n", word, stage, name[number], what == "" ? "" : ": " what
    fflush()
}

function show(number) {
    printf "%s", output[number]
    printf "%s", output[number] >(folder "/" name[number] ".log")
}

match($0, /^ +Start +[0-9]+: /) {
    number = $2 + 0
    name[number] = $3
    next
}

match($0, /^[0-9]+: /) {
    number = substr($0, 1, RLENGTH) + 0
    text = substr($0, RLENGTH + 1)
    output[number] = output[number] text "\n"
    if (text ~ /^\[ +OK \] /) {
        sub(/^\[ +OK \] /, "", text)
    } else if (text ~ /^ok [a-z_0-9]+$/) {
        sub(/^ok /, "", text)
    } else if (text ~ /^\[  FAILED  \] [A-Za-z_0-9]+$/ && !($0 in seen)) {
        # cmocka names a failed case twice: where it fails, and in its summary.
        seen[$0] = 1
        sub(/^\[  FAILED  \] /, "", text)
        failed[number]++
        report("FAILED", number, text)
        next
    } else {
        next
    }
    passed[number]++
    report("ok", number, text)
    next
}

# "12/30 Test #12: unit.arena ......   Passed    0.02 sec"
match($0, /^ *[0-9]+\/[0-9]+ Test +#[0-9]+: /) {
    split($0, part, /#|:/)
    number = part[2] + 0
    if ($0 ~ / Passed +[0-9.]+ sec/) {
        if (!passed[number])
            report("ok", number, "")
    } else {
        if (!failed[number]) {
            sub(/^.*\*\*\*/, "", $0)
            report("FAILED", number, $0)
        }
        show(number)
    }
    delete output[number]
}

# What ctest was ended in the midst of.
END {
    for (number in output) {
        report("FAILED", number, "cut off")
        show(number)
    }
}
