#!/usr/bin/awk -f
# Sums what `cargo test` printed. Prints `N passed, N failed` as the last line; fails when a suite began and gave no
# result, when a test was ignored or filtered out, when one failed, and when none ran. A suite may have run in parts:
# what one of them filtered out another must have run.

function complain(text) {
    print "test: " text > "/dev/stderr"
    bad = 1
}

function end_of_suite() {
    if (suite != "" && !has_result) {
        complain("no result from " suite)
    }
}

/^ +(Running|Doc-tests) / {
    end_of_suite()
    suite = $0
    sub(/^ +/, "", suite)
    has_result = 0
    suites++
}

/^test result: / {
    has_result = 1
    in_suite = 0
    for (field = 1; field < NF; field++) {
        if ($(field + 1) ~ /^passed;/) { passed += $field; ran[suite] += $field; in_suite += $field }
        if ($(field + 1) ~ /^failed;/) { failed += $field; ran[suite] += $field; in_suite += $field }
        if ($(field + 1) ~ /^ignored;/) { ignored += $field; ran[suite] += $field; in_suite += $field }
        if ($(field + 1) ~ /^filtered$/) in_suite += $field
    }
    if (in_suite > tests[suite]) tests[suite] = in_suite
}

END {
    end_of_suite()
    if (suites == 0) complain("no suite ran")
    if (ignored > 0) complain(ignored " ignored")
    for (name in tests) if (tests[name] > ran[name]) filtered += tests[name] - ran[name]
    if (filtered > 0) complain(filtered " filtered out")
    if (passed + failed == 0) complain("no test ran")
    if (failed > 0) bad = 1
    fflush("/dev/stderr")
    printf "%d passed, %d failed\n", passed, failed
    exit bad
}
