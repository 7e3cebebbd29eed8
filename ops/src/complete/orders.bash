# Completion of orders for bash: orders completions bash
_orders() {
    local line="${COMP_LINE:0:COMP_POINT}" current="${COMP_WORDS[COMP_CWORD]}" word candidate help
    # Bash takes = and : for ends of words; candidates are whole words.
    word="${line##*[[:space:]]}"
    case "$current" in [=:]) current="" ;; esac
    local before="${word%"$current"}"
    COMPREPLY=()
    while IFS=$'\t' read -r candidate help; do
        COMPREPLY+=("${candidate#"$before"}")
    done < <(orders __complete -- "$line" 2>/dev/null)
}
complete -o bashdefault -o default -F _orders orders
