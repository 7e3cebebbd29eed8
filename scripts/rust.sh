# Sourced by the scripts that build. rust-toolchain.toml names the version of Rust, and rustup fetches it by itself. Where
# that one is not installed, an installed default of the same or a later version is used rather than none.
# shellcheck shell=bash
if command -v rustup >/dev/null && [[ -z ${RUSTUP_TOOLCHAIN:-} ]]; then
  wanted=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
  installed=$(rustup toolchain list 2>/dev/null || true)
  if ! grep -q "^$wanted\(-\| \|\$\)" <<<"$installed"; then
    default=$(rustup default 2>/dev/null | awk '{ print $1 }')
    found=$([[ -n $default ]] && rustc "+$default" --version 2>/dev/null | awk '{ print $2 }' || true)
    if [[ -n $found && $(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1) == "$wanted" ]]; then
      export RUSTUP_TOOLCHAIN=$default
      echo "rust: $wanted is not installed; building with $default ($found)" >&2
    fi
  fi
fi
