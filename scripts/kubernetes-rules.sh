#!/usr/bin/env bash
# Writes the rules of deploy/prometheus into the PrometheusRule of deploy/kubernetes. Run it after a change of them; a test
# compares the two.
set -euo pipefail
cd "$(dirname "$0")/.."

{
  echo "# Written by scripts/kubernetes-rules.sh from deploy/prometheus/rules."
  for name in recording alerts; do
    [[ $name == recording ]] || echo ---
    printf 'apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: orders-%s\nspec:\n' "$name"
    grep -v '^#' "deploy/prometheus/rules/$name.yml" | sed 's/^\(.\)/  \1/'
  done
} >deploy/kubernetes/base/rules.yaml
