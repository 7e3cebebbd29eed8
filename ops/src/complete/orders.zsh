#compdef orders
# Completion of orders for zsh: orders completions zsh
_orders() {
    local -a found described
    local one line="${(j: :)words[1,CURRENT-1]} $PREFIX"
    found=("${(@f)$(orders __complete -- "$line" 2>/dev/null)}")
    for one in $found; do
        if [[ $one == *$'\t'* ]]; then
            described+=("${${one%%$'\t'*}//:/\\:}:${one#*$'\t'}")
        elif [[ -n $one ]]; then
            described+=("${one//:/\\:}")
        fi
    done
    if (( $#described )); then
        _describe orders described
    else
        _files
    fi
}
if [[ $funcstack[1] == _orders ]]; then
    _orders "$@"
else
    compdef _orders orders
fi
