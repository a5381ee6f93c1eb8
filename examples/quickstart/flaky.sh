#!/bin/sh
# Fails on the first two attempts. Takt tells a job which attempt it is.
if [ "$TAKT_ATTEMPT" -lt 3 ]; then
    echo "attempt $TAKT_ATTEMPT fails" >&2
    exit 1
fi
echo "{\"worked_on_attempt\": $TAKT_ATTEMPT}"
