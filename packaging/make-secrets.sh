#!/bin/sh
# Writes the secrets of docker-compose.yml into ./secrets, each drawn at random, those that are missing only.
# Keep a copy of the folder in a safe place: without nuage_secret every stored file is unreadable.
set -eu
cd "$(dirname "$0")/.."
umask 077
mkdir -p secrets

random() { # random BYTES, in hexadecimal
    od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}

write() { # write NAME < content
    if [ -e "secrets/$1" ]; then
        cat >/dev/null
        return
    fi
    cat >"secrets/.$1.new"
    # The programs in the containers are not the owner; nobody else can enter the folder.
    chmod 0444 "secrets/.$1.new"
    mv "secrets/.$1.new" "secrets/$1"
}

{ random 32; echo; } | write nuage_secret
random 24 | write postgres_password
random 24 | write keycloak_password

if [ -e secrets/s3_credentials ] && [ -e secrets/s3_identities ]; then
    exit 0
fi
rm -f secrets/s3_credentials secrets/s3_identities
key=$(random 10)
secret=$(random 24)
write s3_credentials <<END
[default]
aws_access_key_id = $key
aws_secret_access_key = $secret
END
write s3_identities <<END
{"identities": [{"name": "nuage",
  "credentials": [{"accessKey": "$key", "secretKey": "$secret"}],
  "actions": ["Read:nuage", "Write:nuage", "List:nuage", "Tagging:nuage"]}]}
END
