#!/usr/bin/env bash
# Makes an authority and a certificate for each service, for mutual TLS between them: infra/compose/certificates.sh FOLDER
# A folder that has an authority keeps it; the services' certificates are made anew. Keep ca.key off the machines.
set -euo pipefail
umask 077
folder=${1:?infra/compose/certificates.sh FOLDER}
readonly USER_OF_IMAGES=10001 DAYS_OF_CA=3650 DAYS=365
command -v openssl >/dev/null || { echo "certificates.sh needs openssl: apt-get install openssl" >&2; exit 2; }

mkdir -p "$folder"
cd "$folder"
if [ ! -f ca.key ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days $DAYS_OF_CA -subj "/CN=Parley services" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout ca.key -out ca.crt 2>/dev/null
fi
for name in parley-auth parley-conversation parley-gateway parley-worker; do
  mkdir -p "$name"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$name" -keyout "$name/tls.key" 2>/dev/null |
    openssl x509 -req -CA ca.crt -CAkey ca.key -days $DAYS -out "$name/tls.crt" 2>/dev/null -extfile <(
      printf 'subjectAltName=DNS:%s\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' "$name"
      printf 'extendedKeyUsage=serverAuth,clientAuth\nauthorityKeyIdentifier=keyid\n'
    )
  cp ca.crt "$name/ca.crt"
  chmod 755 "$name" && chmod 644 "$name/tls.crt" "$name/ca.crt"
done
chmod 755 .
if [ "$(id -u)" = 0 ]; then
  chown $USER_OF_IMAGES parley-*/tls.key
else
  echo "the services run as user $USER_OF_IMAGES, who must be able to read the keys: sudo chown $USER_OF_IMAGES $folder/parley-*/tls.key" >&2
fi
