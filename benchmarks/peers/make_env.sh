#!/usr/bin/env bash
# Makes the environments of the peers outside the checkout: bash benchmarks/peers/make_env.sh [FOLDER], 1 GB each.
# Each its own, since their pins are at odds with ours and with each other's (captum 0.7 against 0.9).
# torch first and alone, so that nothing later brings the GPU build. Where it would be downloaded:
#   TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu" bash benchmarks/peers/make_env.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-${OMICSBAL_PEER_ENVS:-$here/../../../peer_envs}}
python=${PYTHON:-python3.11}
for name in matilda scvi; do
    [ -x "$folder/$name/bin/python" ] || "$python" -m venv "$folder/$name"
    # shellcheck disable=SC2086 # options beside the name are wanted
    "$folder/$name/bin/pip" install -q ${TORCH:-torch==2.13.0}
    "$folder/$name/bin/pip" install -q -r "$here/requirements-$name.txt"
    echo "$folder/$name: $("$folder/$name/bin/pip" list 2>/dev/null | grep -iE '^(torch|matilda|scvi)' | tr -s ' ' | paste -sd ' ')"
done
