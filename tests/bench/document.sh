#!/usr/bin/env bash
# The document's commands, typed one after the other: nothing is asked first, and little is proven afterwards.
# On a host with the images registry:bench and client:bench. It takes away all that it made but its files.
set -euo pipefail
name=docker.funet8.com
etc=/etc/docker/registry
work=$(mktemp -d)
export DOCKER_CONFIG=$work/docker
until_answered() { for _ in {1..100}; do if curl --silent --insecure --output /dev/null "$1"; then return; fi; sleep 0.05; done; return 1; }

# 1 and 2: a registry over plain HTTP, an image pushed to it and pulled again.
docker run --detach --restart=always --name registry --publish 5000:5000 \
  --volume /opt/data/registry:/var/lib/registry registry:bench
until_answered http://127.0.0.1:5000/v2/
docker tag client:bench 127.0.0.1:5000/client:latest
docker push --quiet 127.0.0.1:5000/client:latest
curl --silent http://127.0.0.1:5000/v2/_catalog
docker image rm 127.0.0.1:5000/client:latest
docker pull --quiet 127.0.0.1:5000/client:latest
docker rm --force registry

# 3: an authority and a server certificate, with RSA keys of 4096 bits as in the document.
mkdir -p $etc/ssl $etc/auth "/etc/docker/certs.d/$name"
openssl req -x509 -newkey rsa:4096 -noenc -sha256 -days 3650 -subj "/O=Example/CN=$name CA" \
  -addext basicConstraints=critical,CA:TRUE,pathlen:1 -keyout "$work/ca.key" -out "$work/ca.crt" 2>/dev/null
openssl req -newkey rsa:4096 -noenc -subj "/O=Example/CN=$name" -keyout $etc/ssl/server.key -out "$work/server.csr" 2>/dev/null
openssl x509 -req -in "$work/server.csr" -sha256 -days 750 -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial \
  -extfile <(printf 'basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:%s,IP:127.0.0.1\n' $name) \
  -out $etc/ssl/server.crt 2>/dev/null
cp "$work/ca.crt" "/etc/docker/certs.d/$name/ca.crt"

# 4: the configuration, and a user.
cat >$etc/config.yml <<EOF
version: 0.1
log: {level: debug}
storage: {delete: {enabled: true}, cache: {blobdescriptor: inmemory}, filesystem: {rootdirectory: /var/lib/registry}}
auth: {htpasswd: {realm: basic-realm, path: /etc/docker/registry/auth/htpasswd}}
http:
  addr: :443
  host: https://$name
  headers: {X-Content-Type-Options: [nosniff]}
  tls: {certificate: /etc/docker/registry/ssl/server.crt, key: /etc/docker/registry/ssl/server.key}
EOF
htpasswd -Bbn admin 123456 >$etc/auth/htpasswd

# 5: Compose.
cat >$etc/docker-compose.yml <<'EOF'
services:
  registry:
    image: registry:bench
    command: [/etc/docker/registry/config.yml]
    ports: ["443:443"]
    volumes: ["./:/etc/docker/registry", "registry-data:/var/lib/registry"]
volumes:
  registry-data:
EOF
grep -q " $name$" /etc/hosts || echo "127.0.0.1 $name" >>/etc/hosts
docker compose --project-directory $etc up --detach
until_answered "https://$name/v2/"

# 6: login, push, pull, logout, and a push that is refused.
docker login --username admin --password-stdin $name <<<123456
docker tag client:bench $name/username/client:1
docker push --quiet $name/username/client:1
docker image rm $name/username/client:1
docker pull --quiet $name/username/client:1
docker logout $name
if docker push --quiet $name/username/client:1; then exit 1; fi
docker compose --project-directory $etc down --volumes
