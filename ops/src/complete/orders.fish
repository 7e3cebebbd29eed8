# Completion of orders for fish: orders completions fish
function __orders_candidates
    orders __complete -- (commandline -cp | string collect) 2>/dev/null
end
# Files where there is nothing else to offer.
complete -c orders -f -n '__orders_candidates | string length -q' -a '(__orders_candidates)'
